"""Long outages on littlefs with the geometry of a board: what they cost in flash and in memory."""

import gc

import flash
from firmware import boots, drain, slots, spool  # noqa: F401 - found here once
from minitest import equal
from test_spool import Life, seqs

BOARD_BLOCKS = 512  # 2 MB: the file system of a board with 4 MB
CYCLES = 100_000  # erases that a block endures: the usual word of makers of NOR flash
YEARS = 10
DAYS = 6
MINUTE_MS = 60_000


def device(blocks):
    return flash.Flash(flash.formatted(blocks))


def minutes(life, count, online=False):
    """Let time pass at one reading a minute; the turns are those of a node."""
    for _ in range(count):
        life.box.add(0, [life.box.seq % 100])
        life.check()
        if online:
            record = life.box.take_live()
            if record:
                life.live.append((life.box.boot, life.box.reading(record, False)[2]))
                life.box.acknowledge(record)
        for _ in range(4):
            life.turn(MINUTE_MS // 4)


def drain_all(life):
    while life.batch() or life.batch():
        pass
    life.turn()


def half_offline(stretch_min):
    """(erases a day, erases a day of the block that has most) of a node that is away every other stretch."""
    chip = device(BOARD_BLOCKS)
    with flash.mounted(chip):
        life = Life(flash.ROOT, 1)
        life.live = []
        before = list(chip.erases)
        for _ in range(DAYS * 1440 // (2 * stretch_min)):
            minutes(life, stretch_min)
            life.box.begin()
            drain_all(life)
            minutes(life, stretch_min, online=True)
            life.box.end([])
        equal(life.box.queued, 0)
        equal(sum(life.box.dropped.values()), 0)
    erases = [after - first for after, first in zip(chip.erases, before)]
    return sum(erases) / DAYS, max(erases) / DAYS


def test_ten_years_of_being_offline_half_of_the_time():
    for stretch_min in (16, 60, 720):  # 16: the shortest that reaches flash
        a_day, hottest = half_offline(stretch_min)
        # Data goes round all blocks; until it has been round once, the hottest is one that holds the folder.
        years = CYCLES / max(hottest, a_day / BOARD_BLOCKS) / 365
        print("away every other %d min: %d erases a day, hottest block %.1f, so %d years at %d cycles" % (
            stretch_min, a_day, hottest, years, CYCLES))
        assert years > YEARS


def test_three_days_without_a_broker():
    chip = device(128)
    with flash.mounted(chip):
        life = Life(flash.ROOT, 1)
        life.live = []
        minutes(life, 60)
        gc.collect()
        before = gc.mem_alloc()
        most = 0
        for _ in range(71):
            minutes(life, 60)
            gc.collect()
            most = max(most, gc.mem_alloc() - before)
        assert most < 1_000, "%d bytes more than after an hour" % most
        equal((life.box.seq, life.box.queued), (4_320, 4_320))
        spilled = sum(chip.erases)
        life.box.begin()
        count = 0
        while life.box.stored or len(life.box.old):  # two batches a second, live readings meanwhile
            count += 1
            life.batch()
            if count % 120 == 0:
                life.box.add(0, [1])
                record = life.box.take_live()
                equal(life.box.reading(record, False)[2:4], (life.box.seq, life.board.time_s()), "live, and on time:")
                life.box.acknowledge(record)
        life.turn()
        equal(life.heard, seqs(1, 1, 4_320), "all of them, the oldest first:")
        began = life.readings[0][3]
        equal([reading[3] for reading in life.readings], [began + 60 * minute for minute in range(4_320)])
        equal(sum(life.box.dropped.values()), 0)
        gc.collect()
        print("3 days: %d erases to spill, %d to drain, heap at most %d bytes above the first hour" % (
            spilled, sum(chip.erases) - spilled, most))
        assert sum(chip.erases) < 3 * 96 * 2, "at most two erases for each spill"


if flash.vfs is None:  # CPython has no littlefs
    del test_ten_years_of_being_offline_half_of_the_time, test_three_days_without_a_broker
