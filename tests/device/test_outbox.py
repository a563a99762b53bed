"""Readings that wait or are on their way: none is lost uncounted, none is sent twice, the oldest go first."""

import struct

from firmware import slots
from firmware.outbox import Outbox
from minitest import equal, near, raises
from ring import Ring
from stage import Board
from uptime import Uptime

ONE = (("level", "m", "%", 1, None, 0, 100),)
THREE = (("a", "m", None, 0, None, 0, 9), ("b", "m", None, 1, None, 0, 9), ("c", "m", None, 2, None, 0, 9))
LIVE_SLOTS = 16


def box(room=64, *sensors):
    """(outbox with these sensors declared, its board)."""
    board = Board()
    outbox = Outbox(board, Uptime(board), Ring)
    for number, quantities in enumerate(sensors or (ONE,)):
        equal(slots.declare(outbox, "sensor%d" % number, quantities), number)
    slots.resize(outbox, Ring, room)
    return outbox, board


def seqs(outbox, records):
    return [outbox.reading(record, True)[2] for record in records]


def drain(outbox):
    """All that waits, as the sequence numbers of each batch; acknowledged."""
    batches = []
    now = 1_000_000_000
    while True:
        now += outbox.turn(now)
        batch, readings = outbox.take_batch()
        if not readings:
            return batches
        batches.append([reading[2] for reading in readings])
        outbox.acknowledge(batch)


def check(outbox):
    equal(outbox.seq, outbox.acknowledged + outbox.queued + sum(outbox.dropped.values()), "produced:")


def test_a_reading_is_live_while_connected():
    outbox, _ = box()
    outbox.begin()
    outbox.add(0, [5])
    equal(outbox.queued, 1)
    record = outbox.take_live()
    equal(outbox.reading(record, False), ("sensor0", ONE, 1, 1_800_000_000, [5.0]))
    equal((outbox.take_live(), outbox.queued, outbox.acknowledged), (None, 1, 0))
    outbox.acknowledge(record)
    equal((outbox.queued, outbox.acknowledged), (0, 1))
    equal(outbox.take_batch(), (None, []))
    check(outbox)


def test_without_a_connection_readings_wait_and_the_oldest_go():
    outbox, _ = box(20)
    for number in range(25):
        outbox.add(0, [number])
        check(outbox)
    equal((outbox.take_live(), outbox.queued, outbox.dropped), (None, 20, {"overflow": 5, "flash": 0, "policy": 0}))
    outbox.begin()
    equal(outbox.take_live(), None, "nothing stale is live:")
    equal(drain(outbox), [list(range(6, 14)), list(range(14, 22)), list(range(22, 26))])
    equal((outbox.queued, outbox.acknowledged), (0, 20))
    check(outbox)


def test_batches_are_rate_limited_and_wait_for_a_connection():
    outbox, _ = box()
    for number in range(20):
        outbox.add(0, [number])
    assert outbox.turn(100) > 1000
    equal(outbox.take_batch(), (None, []), "without a connection:")
    outbox.begin()
    equal(outbox.take_batch(), (None, []), "before its turn:")
    equal(outbox.turn(100), 500)
    equal(len(outbox.take_batch()[1]), 8)
    equal(outbox.take_batch(), (None, []))
    equal(outbox.turn(599), 1)
    equal(outbox.take_batch(), (None, []))
    equal(outbox.turn(600), 500)
    equal(len(outbox.take_batch()[1]), 8)
    outbox.turn(1100)
    equal(len(outbox.take_batch()[1]), 4)
    assert outbox.turn(1600) > 1000
    equal(outbox.take_batch(), (None, []))


def test_whoever_sends_is_woken():
    outbox, _ = box()
    outbox.add(0, [1])
    assert not outbox.waiting.is_set(), "nobody can send"
    outbox.begin()
    assert outbox.waiting.is_set()
    outbox.waiting.clear()
    outbox.turn(0)
    assert outbox.waiting.is_set(), "a batch is due"
    outbox.waiting.clear()
    outbox.add(0, [1])
    assert outbox.waiting.is_set(), "a live reading"


def test_what_a_broken_connection_left_becomes_backlog_in_order():
    outbox, _ = box()
    for number in range(10):
        outbox.add(0, [number])  # 1 to 10
    outbox.begin()
    outbox.turn(0)
    batch, _ = outbox.take_batch()  # 1 to 8 in flight, 9 and 10 wait
    for number in range(6):
        outbox.add(0, [number])  # 11 to 16
    live = [outbox.take_live() for _ in range(4)]  # 11 to 14 in flight, 15 and 16 wait
    outbox.acknowledge(live.pop(1))
    equal(outbox.queued, 15)
    outbox.end([True, batch, live[0], True, live[1], live[2]])
    equal((outbox.queued, outbox.take_live(), outbox.take_batch()), (15, None, (None, [])))
    check(outbox)
    outbox.begin()
    equal(outbox.take_live(), None)
    equal(drain(outbox), [[1, 2, 3, 4, 5, 6, 7, 8], [9, 10, 11, 13, 14, 15, 16]])
    check(outbox)


def slow(room):
    """An outbox whose window is full: 1 to 8 in flight, 13 to 28 wait as live, 9 to 12 found no place there."""
    outbox, _ = box(room)
    outbox.begin()
    for number in range(8):
        outbox.add(0, [number])
    live = [outbox.take_live() for _ in range(8)]
    for number in range(LIVE_SLOTS + 4):
        outbox.add(0, [number])
        check(outbox)
    return outbox, live


def test_live_readings_that_a_slow_link_leaves_behind_become_backlog():
    outbox, _ = slow(64)
    outbox.turn(0)
    equal(seqs(outbox, outbox.take_batch()[0]), [9, 10, 11, 12])
    equal(seqs(outbox, [outbox.take_live()]), [13], "live readings stay in order:")


def test_after_a_break_the_oldest_come_first_wherever_they_were():
    outbox, live = slow(64)
    outbox.end(live)
    outbox.begin()
    equal(sum(drain(outbox), []), list(range(1, 29)))
    outbox, live = slow(64)
    outbox.turn(0)
    outbox.end(live + [outbox.take_batch()[0]])
    outbox.begin()
    equal(sum(drain(outbox), []), list(range(1, 29)))
    check(outbox)


def test_what_does_not_fit_after_a_break_is_dropped_from_the_oldest():
    outbox, live = slow(16)
    outbox.end(live)
    equal((outbox.queued, outbox.dropped), (16, {"overflow": 12, "flash": 0, "policy": 0}))
    check(outbox)
    outbox.begin()
    equal(sum(drain(outbox), []), list(range(13, 29)))


def test_a_new_session_is_live_again():
    outbox, _ = box()
    outbox.begin()
    outbox.add(0, [1])
    record = outbox.take_live()
    outbox.end([record])
    outbox.add(0, [2])
    outbox.begin()
    outbox.add(0, [3])
    equal(seqs(outbox, [outbox.take_live()]), [3])
    equal(outbox.take_live(), None)
    equal(drain(outbox), [[1, 2]])


def test_a_time_that_was_unknown_is_worked_out_later_but_not_for_live():
    outbox, board = box()
    board.unix_s = None
    board.now_ms = 5_000
    outbox.add(0, [1])
    outbox.begin()
    outbox.add(0, [2])
    live = outbox.take_live()
    equal(outbox.reading(live, False)[3], None)
    board.now_ms = 9_000
    outbox.end([live])
    outbox.begin()
    outbox.turn(0)
    batch, _ = outbox.take_batch()
    equal([outbox.reading(record, True)[3] for record in batch], [None, None], "still unknown:")
    board.unix_s = 1_800_000_000  # at power-on: the uptime of 5 s is ...005
    equal([outbox.reading(record, True)[3] for record in batch], [1_800_000_005, 1_800_000_005])
    equal(outbox.reading(batch[0], False)[3], None, "live it stays unknown:")
    board.now_ms = 100_000
    equal(outbox.reading(batch[0], True)[3], 1_800_000_005)
    outbox.add(0, [3])
    equal(outbox.reading(outbox.take_live(), False)[3], 1_800_000_100, "from now on it is known:")


def test_values_are_kept_as_32_bit_floats_and_none():
    outbox, _ = box(16, THREE)
    outbox.begin()
    outbox.add(0, [None, 21.37, -0.5])
    values = outbox.reading(outbox.take_live(), False)[4]
    equal(values[0], None)
    near(values[1], 21.37, 2e-6)
    equal(values[1], struct.unpack(">f", struct.pack(">f", 21.37))[0])
    equal(values[2], -0.5)
    outbox.add(0, [16_777_215, 1e-6, 1013.25])
    near(outbox.reading(outbox.take_live(), False)[4][0], 16_777_215, 0)
    for text, decimals in (("21.4", 1), ("1013.25", 2), ("0.001", 3)):
        outbox.add(0, [float(text), None, None])
        equal("%.*f" % (decimals, outbox.reading(outbox.take_live(), False)[4][0]), text)


def test_sensors_of_different_widths_share_the_room():
    outbox, _ = box(16, ONE, THREE)
    outbox.add(0, [1])
    outbox.add(1, [2, None, 4])
    outbox.begin()
    outbox.turn(0)
    found = [outbox.reading(record, True) for record in outbox.take_batch()[0]]
    equal([(name, quantities, values) for name, quantities, _, _, values in found],
          [("sensor0", ONE, [1.0]), ("sensor1", THREE, [2.0, None, 4.0])])


def test_a_sensor_keeps_its_index_and_its_old_meaning():
    outbox, _ = box()
    equal(slots.declare(outbox, "sensor0", ONE), 0)
    outbox.add(0, [1])
    equal(slots.declare(outbox, "sensor0", THREE), 1, "the same name with other quantities:")
    slots.resize(outbox, Ring, 64)
    outbox.add(1, [1, 2, 3])
    outbox.begin()
    outbox.turn(0)
    equal([outbox.reading(record, True)[1] for record in outbox.take_batch()[0]], [ONE, THREE])


def test_room_that_memory_does_not_have_costs_no_reading():
    outbox, _ = box()
    for level in range(5):
        outbox.add(0, [level])
    made = []

    def tight(slots, size):
        if made:
            raise MemoryError
        made.append(Ring(slots, size))
        return made[0]

    with raises(MemoryError):
        slots.resize(outbox, tight, 512)
    check(outbox)
    outbox.begin()
    equal(drain(outbox), [[1, 2, 3, 4, 5]])


def test_there_is_an_end_to_new_sensors():
    outbox, _ = box()
    for number in range(1, 127):
        equal(slots.declare(outbox, "sensor%d" % number, ONE), number)
    with raises(ValueError):
        slots.declare(outbox, "one more", ONE)
    equal(slots.declare(outbox, "sensor5", ONE), 5)
    slots.resize(outbox, Ring, 16)
    outbox.begin()
    outbox.add(126, [7])
    equal(outbox.reading(outbox.take_live(), False)[0], "sensor126")


def test_a_new_size_keeps_what_waits_and_drops_from_the_oldest():
    outbox, _ = box(30)
    for number in range(20):
        outbox.add(0, [number])
    slots.resize(outbox, Ring, 30)
    slots.resize(outbox, Ring, 17)
    equal((outbox.queued, outbox.dropped["overflow"]), (17, 3))
    slots.resize(outbox, Ring, 100)
    outbox.begin()
    for number in range(5):
        outbox.add(0, [number])
    slots.resize(outbox, Ring, 20)
    equal((outbox.queued, outbox.dropped["overflow"], outbox.take_live()), (20, 5, None))
    equal(sum(drain(outbox), []), list(range(6, 26)))
    check(outbox)


def test_a_wider_sensor_while_readings_are_in_flight():
    outbox, _ = box(16)
    for number in range(3):
        outbox.add(0, [number])
    outbox.begin()
    outbox.turn(0)
    batch, _ = outbox.take_batch()
    outbox.add(0, [7])
    live = outbox.take_live()
    outbox.add(0, [8])
    index = slots.declare(outbox, "wide", THREE)
    slots.resize(outbox, Ring, 16)
    outbox.add(index, [1, 2, 3])
    equal(outbox.reading(live, False)[4], [7.0], "what is in flight is read as it was:")
    outbox.end([batch, live])
    check(outbox)
    outbox.begin()
    outbox.turn(0)
    again, _ = outbox.take_batch()
    equal(seqs(outbox, again), [1, 2, 3, 4, 5, 6])
    equal([outbox.reading(record, True)[4] for record in again], [[0.0], [1.0], [2.0], [7.0], [8.0], [1.0, 2.0, 3.0]])


class Chance:
    """A generator that both Pythons share."""

    def __init__(self, seed):
        self._state = seed

    def below(self, limit):
        self._state = (self._state * 1103515245 + 12345) & 0x7FFFFFFF
        return (self._state >> 8) % limit


class Model:
    """What an outbox is to do, in plain lists of sequence numbers; it drives the real one and compares."""

    def __init__(self, seed):
        self.chance = Chance(seed)
        self.box, self.board = box(16, ONE, THREE)
        self.slots = 16
        self.old = []
        self.live = []
        self.flying = []  # (sequence numbers, token)
        self.online = False
        self.seq = self.dropped = self.acknowledged = 0
        self.now = 0
        self.widths = [1, 3]

    def trim(self):
        self.old.sort()
        excess = max(0, len(self.old) - self.slots)
        self.dropped += excess
        self.old = self.old[excess:]

    def add(self):
        index = self.chance.below(len(self.widths))
        self.seq += 1
        self.board.now_ms += self.chance.below(3000)
        self.box.add(index, [self.seq] * self.widths[index])
        if not self.online:
            self.old.append(self.seq)
        else:
            if len(self.live) == LIVE_SLOTS:
                self.old.append(self.live.pop(0))
            self.live.append(self.seq)
        self.trim()

    def take(self):
        record = self.box.take_live()
        equal(record is None, not self.live)
        if record is not None:
            expected = [self.live.pop(0)]
            equal(seqs(self.box, [record]), expected)
            self.flying.append((expected, record))

    def take_batch(self):
        self.now += 500
        self.box.turn(self.now)
        batch, _ = self.box.take_batch()
        if self.online:
            expected, self.old = self.old[:8], self.old[8:]
            equal(seqs(self.box, batch or []), expected)
            if batch:
                self.flying.append((expected, batch))
        else:
            equal(batch, None)

    def acknowledge(self):
        if self.flying:
            numbers, token = self.flying.pop(0)
            self.box.acknowledge(token)
            self.acknowledged += len(numbers)

    def toggle(self):
        if self.online:
            self.box.end([True] + [token for _, token in self.flying])
            for numbers, _ in self.flying:
                self.old += numbers
            self.old += self.live
            self.flying, self.live = [], []
        else:
            self.box.begin()
        self.online = not self.online
        self.trim()

    def resize(self):
        if self.chance.below(3) == 0 and len(self.widths) < 6:
            self.widths.append(len(self.widths) + 2)
            slots.declare(self.box, "more%d" % len(self.widths), THREE + THREE[:1] * (self.widths[-1] - 3))
        width, self.slots = max(self.widths), 16 + self.chance.below(30)
        changed = (width, self.slots) != getattr(self, "size", None)
        self.size = width, self.slots
        slots.resize(self.box, Ring, self.slots)
        if changed:
            self.old += self.live
            self.live = []
            self.trim()

    def step(self):
        steps = (self.add,) * 8 + (self.take,) * 4 + (self.acknowledge,) * 3 + (self.take_batch, self.toggle)
        steps += (self.resize,) if self.chance.below(20) == 0 else ()
        steps[self.chance.below(len(steps))]()
        check(self.box)
        flying = sum([len(numbers) for numbers, _ in self.flying])
        equal(self.box.queued, len(self.old) + len(self.live) + flying)
        equal(self.box.acknowledged, self.acknowledged)
        equal(self.box.dropped, {"overflow": self.dropped, "flash": 0, "policy": 0})
        equal(self.box.seq, self.seq)


def test_the_accounts_are_right_at_every_step_of_random_lives():
    for seed in range(12):
        model = Model(seed)
        try:
            for _ in range(400):
                model.step()
            if model.online:
                model.toggle()
            model.toggle()
            equal(sum(drain(model.box), []), model.old, "what is left, oldest first:")
        except Exception:
            print("seed", seed)
            raise


def test_what_the_broker_refuses_is_dropped_and_counted():
    outbox, _ = box()
    for value in range(4):
        outbox.add(0, [value])
    outbox.begin()
    for value in range(2):
        outbox.add(0, [value])
    outbox.refused(outbox.take_live())
    outbox.acknowledge(outbox.take_live())
    outbox.turn(1_000_000_000)
    token, readings = outbox.take_batch()
    equal((len(readings), outbox.queued), (4, 4))
    outbox.refused(token)
    equal((outbox.queued, outbox.acknowledged, outbox.dropped["policy"]), (0, 1, 5))
    check(outbox)
