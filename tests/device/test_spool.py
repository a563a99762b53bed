"""Readings on flash: spilled, drained and deleted, through restarts, a full flash and, on littlefs, every cut of the
power. What was on flash is sent once, but for the batch whose acknowledgement flash had not heard of."""

import os

import flash
import segments_writer
from firmware import boots, drain, slots, spool  # noqa: F401 - found here once, and not below the clock of a test
from firmware.outbox import Outbox
from lending import lend, load
from minitest import equal
from ring import Ring
from segments import BLOCK_BYTES, Segments
from stage import Board
from store import Store
from uptime import Uptime

ONE = (("level", "m", "%", 1, None, 0, 100),)
WIDE = tuple([("q%d" % number, "m", None, 2, None, 0, 9e9) for number in range(50)])  # 209 bytes: 16 fill a segment
RULES = {"spill_after_s": 900, "flash_bytes": 262_144, "full": "oldest"}
SLOTS = 16
UNBOUNDED = boots.UNBOUNDED


class Life:
    """A boot of a node on the flash that is mounted at `root`: offline until `online`."""

    def __init__(self, root, boot, rules=RULES, sensors=(ONE,), keep="all", fetch=load, unix_s=1_800_000_000):
        self.board = Board()
        self.board.unix_s = unix_s
        self.board.files = Store(root)
        self.uptime = Uptime(self.board)
        self.box = Outbox(self.board, self.uptime, Ring, fetch)
        for number, quantities in enumerate(sensors):
            slots.declare(self.box, "sensor%d" % number, quantities, keep)
        self.box.rules = rules
        slots.resize(self.box, Ring, SLOTS)
        self.box.start(boot)
        self.heard = []  # (boot, seq) of what the broker has acknowledged, in order
        self.readings = []
        self.last = []  # the batch that came last
        self._now = 0

    def add(self, count, index=0):
        for _ in range(count):
            self.board.now_ms += 60_000
            width = len(self.box.sensors[index][1])
            self.box.add(index, [self.box.seq + 1] * width)
            self.check()

    def turn(self, ms=500):
        self._now += ms
        self.board.now_ms += ms
        return self.box.turn(self._now)

    def batch(self):
        """Let the next batch be sent and acknowledged; False when there was none."""
        self.turn(60_500 if self.box.sent else 500)
        token, readings = self.box.take_batch()
        if not readings:
            return False
        self.check()
        self.last = [(reading[5] if len(reading) > 5 else self.box.boot, reading[2]) for reading in readings]
        self.heard += self.last
        self.readings += readings
        self.box.acknowledge(token)
        self.check()
        return True

    def drain(self):
        """Everything that waits goes out."""
        self.box.begin()
        while self.batch() or self.batch():
            pass
        self.turn()
        self.box.end([])
        return self.heard

    def check(self):
        box = self.box
        equal(box.seq, box.acknowledged + box.queued + sum(box.dropped.values()), "produced:")
        old = box.inherited
        equal(old["found"], old["acknowledged"] + old["queued"] + old["dropped"], "inherited:")

    def past(self):
        return boots.past(self.board.files)


def seqs(boot, first, last):
    return [(boot, seq) for seq in range(first, last + 1)]


def test_a_full_ring_goes_to_flash_and_leaves_oldest_first():
    life = Life(flash.folder(), 7)
    life.add(40)
    equal((len(life.box.old), life.box.stored, life.box.queued), (8, 32, 40))
    equal(life.drain(), seqs(7, 1, 40))
    equal((life.box.acknowledged, life.box.stored, Segments(life.board.files.root).numbers), (40, 0, []))
    for reading in life.readings:
        equal(reading[0], "sensor0")
        equal(reading[3:5], (1_800_000_000 + 60 * reading[2], [float(reading[2])]), "its own time and value:")
        equal((reading[1][0][0], reading[1][0][3]), ("level", 1))


def test_what_waits_in_ram_goes_to_flash_after_its_time():
    life = Life(flash.folder(), 7)
    life.add(3)
    life.turn()
    life.turn(899_000)
    equal(life.box.stored, 0)
    life.turn(2_000)
    equal((life.box.stored, len(life.box.old)), (3, 0))


def test_a_restart_goes_on_where_the_last_boot_ended():
    root = flash.folder()
    life = Life(root, 7)
    life.add(20)
    life.box.close()
    equal(life.past(), [[7, 20, 0, 0, 1]], "a clean end leaves nothing unknown:")
    life = Life(root, 8)
    equal(life.box.inherited, {"found": 20, "acknowledged": 0, "queued": 20, "dropped": 0})
    equal(boots.told(life.board.files), ',"last_seq":20,"past":[[7, 20, 0, 0]]')
    life.add(2)
    equal(life.drain(), seqs(7, 1, 20) + seqs(8, 1, 2))
    equal(life.box.inherited, {"found": 20, "acknowledged": 20, "queued": 0, "dropped": 0})


def test_a_power_cut_takes_what_was_in_ram_and_info_says_how_much_at_most():
    root = flash.folder()
    life = Life(root, 7)
    life.add(20)  # 16 on flash
    life = Life(root, 8)
    equal(life.past()[:-1], [[7, 16, SLOTS + 16 + 64, 0, 1]])
    equal(life.drain(), seqs(7, 1, 16))
    life = Life(root, 9)
    equal(life.past()[:-1], [[7, 16, 96, 0, 1], [8, 0, 96, 0, 1]], "nothing of boot 8 was ever on flash:")
    life = Life(root, 10, dict(RULES, flash_bytes=0))
    life = Life(root, 11)
    equal(life.past()[-2], [10, 0, UNBOUNDED, 0, 1], "without flash nobody can say:")
    equal(boots.told(life.board.files),
          ',"last_seq":0,"past":[[7, 16, 96, 0], [8, 0, 96, 0], [9, 0, 96, 0], [10, 0, null, 0]]')


def test_what_was_drained_is_known_to_have_been_on_flash():
    root = flash.folder()
    life = Life(root, 7)
    life.add(20)
    life.drain()
    life = Life(root, 8)
    equal(life.past()[0][:2], [7, 16])


def test_while_older_ones_are_in_flight_nothing_newer_is_claimed():
    root = flash.folder()
    life = Life(root, 7)
    life.box.begin()
    life.add(8)
    live = [life.box.take_live() for _ in range(8)]  # 1 to 8 in flight
    life.add(SLOTS + 16 + 1)  # 9 to 24 to flash, the others in RAM
    equal(life.box.stored, SLOTS)
    life = Life(root, 8)
    equal((len(live), life.past()[0][:3]), (8, [7, 0, 96]), "1 to 8 are lost:")
    equal(life.drain(), seqs(7, 9, 24))


def test_what_a_dying_connection_held_comes_later_but_in_order():
    life = Life(flash.folder(), 7)
    life.box.begin()
    life.add(4)
    live = [life.box.take_live() for _ in range(4)]
    life.add(SLOTS + 16 + 1)  # 5 to 20 to flash
    equal(life.box.stored, SLOTS)
    life.box.end(live)  # 1 to 4 are younger there than 5 to 20
    life.add(30)
    life.box.begin()
    while life.batch() or life.batch():
        equal(life.last, sorted(life.last))
    equal(sorted(life.heard), seqs(7, 1, life.box.seq))


def test_many_boots_keep_their_own_numbers_and_tables():
    root = flash.folder()
    for boot in range(1, 6):
        life = Life(root, boot, sensors=(ONE, WIDE) if boot % 2 else (WIDE, ONE))
        life.add(2, 0)
        life.add(2, 1)
        life.box.close()
    life = Life(root, 9)
    equal(life.drain(), [(boot, seq) for boot in range(1, 6) for seq in range(1, 5)])
    for reading in life.readings:
        odd = reading[5] % 2
        first = reading[2] <= 2
        equal(reading[0], "sensor0" if first else "sensor1")
        equal(len(reading[4]), 1 if first == bool(odd) else 50)
    equal(len(life.past()), 6)


def test_what_is_known_of_past_boots_is_bounded():
    root = flash.folder()
    for boot in range(1, 20):
        life = Life(root, boot)
    equal([entry[0] for entry in life.past()], list(range(13, 20)))


def test_live_readings_do_not_wait_for_the_backlog():
    life = Life(flash.folder(), 7)
    life.add(40)
    life.box.begin()
    assert life.batch()
    life.add(1)
    equal(life.box.reading(life.box.take_live(), False)[2], 41)
    life.box.end([])


def test_one_batch_from_flash_is_in_flight_and_a_broken_connection_sends_it_again():
    life = Life(flash.folder(), 7)
    life.add(40)
    life.box.begin()
    life.turn()
    token, readings = life.box.take_batch()
    equal([reading[2] for reading in readings], list(range(1, 9)))
    life.turn()
    equal(life.box.take_batch(), (None, []), "until it is acknowledged:")
    life.check()
    life.box.end([token])
    life.check()
    equal(life.drain(), seqs(7, 1, 40))


def test_the_oldest_segment_goes_when_flash_is_full_and_is_counted():
    root = flash.folder()
    life = Life(root, 7, dict(RULES, flash_bytes=2 * BLOCK_BYTES), (WIDE,))
    life.add(SLOTS * 4)
    equal(life.box.dropped, {"overflow": 0, "flash": SLOTS, "policy": 0})
    equal(len(Segments(root).numbers), 2)
    life = Life(root, 8, dict(RULES, flash_bytes=2 * BLOCK_BYTES), (WIDE,))
    equal((life.past()[0], life.box.inherited["found"]), ([7, 48, 96, SLOTS, 1], 32))
    life.add(SLOTS + 1)
    equal(life.box.inherited, {"found": 32, "acknowledged": 0, "queued": 16, "dropped": 16})
    equal((life.past()[0][3], life.box.dropped["flash"]), (32, 0), "of the boot that they are from:")
    equal(life.drain(), seqs(7, 33, 48) + seqs(8, 1, 17))


THIN = dict(RULES, flash_bytes=3 * BLOCK_BYTES, full="thin")


def test_thinning_leaves_every_other_reading_of_each_sensor():
    root = flash.folder()
    life = Life(root, 7, THIN, (WIDE, ONE))
    for _ in range(40):
        life.add(1, 0)
        life.add(3, 1)  # 160 readings, 16 in each segment
    equal(len(Segments(root).numbers), 3)
    life.drain()
    life.check()
    dropped = life.box.dropped["flash"]
    equal((life.box.acknowledged, dropped > 80, life.past()[-1][3]), (160 - dropped, True, dropped))
    equal(life.heard, sorted(life.heard), "the oldest first:")
    names = [reading[0] for reading in life.readings]
    assert 2 <= names.count("sensor1") / names.count("sensor0") <= 4, names
    gaps = [life.heard[at + 1][1] - life.heard[at][1] for at in range(len(life.heard) - 1)]
    equal(gaps[-SLOTS:], [1] * SLOTS, "what is new is whole:")
    equal(life.heard[0], (7, 1), "the first of all is still there:")
    assert max(gaps) <= 64, gaps


def test_a_segment_on_its_way_is_not_dropped():
    life = Life(flash.folder(), 7, dict(RULES, flash_bytes=2 * BLOCK_BYTES), (WIDE,))
    life.add(SLOTS * 3)  # two segments
    life.box.begin()
    life.turn()
    token, readings = life.box.take_batch()
    life.add(SLOTS + 1)  # 16 are live, as the link takes none, and one has to age
    equal(life.box.dropped["flash"], SLOTS)
    life.box.acknowledge(token)
    life.check()
    equal([reading[2] for reading in readings], list(range(1, 9)))
    life.box.end([])  # 17 more: the next oldest makes room
    equal(life.drain(), seqs(7, 9, 16) + seqs(7, 49, 65))


def test_flash_that_takes_nothing_leaves_the_ring_to_drop():
    root = flash.folder()
    life = Life(root, 7)
    os.mkdir(root + "/q1")
    life.add(40)
    equal((life.box.dropped["overflow"] > 0, life.box.stored), (True, 0))
    assert any(["outbox: spill" in line for line in life.board.said]), life.board.said
    assert len([line for line in life.board.said if "spill" in line]) < 30, "it is not tried at each reading"


class Full:
    """What `open` gives on a flash that is full of other things: a file that is begun, and takes nothing."""

    begun = 0

    def __init__(self, path, mode):
        Full.begun += 1
        assert Full.begun < 100, "it tries for ever"
        self._file = open(path, mode)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._file.close()

    def write(self, data):
        return 0


def test_a_flash_full_of_other_things_leaves_the_ring_to_drop():
    root = flash.folder()
    life, writer = Life(root, 7), load("segments_writer")
    Full.begun = 0
    writer.open = Full
    try:
        life.add(40)
    finally:
        del writer.open
    equal((life.box.dropped["overflow"] > 0, life.box.stored), (True, 0))
    assert Full.begun and not [name for name in os.listdir(root) if name[0] == "q"], "what was begun is cleared away"
    life.add(40)
    assert life.box.stored, "there is room again"


class Refusing:
    """`with Refusing(code):` writing a segment fails with OSError(code), once its file is there if it `begins`."""

    def __init__(self, code, begins=True):
        self._code = code
        self._begins = begins
        self._tries = 0

    def __enter__(self):
        segments_writer.open = self._open

    def __exit__(self, *error):
        segments_writer.open = open

    def _open(self, path, mode):
        self._tries += 1
        assert self._tries < 50, "it goes round for ever"
        if self._begins:
            open(path, mode).close()
        raise OSError(self._code)


FULL = 28  # ENOSPC


def test_a_flash_with_no_room_for_another_name_makes_room_too():
    life = Life(flash.folder(), 7, sensors=(WIDE,))
    life.add(SLOTS * 2 + 1)  # two segments
    with Refusing(FULL, begins=False):
        equal(life.box.flash("spill"), None)
    life.check()
    equal((life.box.dropped["flash"], Segments(life.board.files.root).numbers), (SLOTS * 2, []))
    assert str(FULL) in life.board.said[-1], life.board.said


def test_flash_that_others_fill_keeps_the_segment_in_flight():
    life = Life(flash.folder(), 7, sensors=(WIDE,))
    life.add(SLOTS + 1)
    life.box.begin()
    life.turn()
    token, _ = life.box.take_batch()
    with Refusing(FULL):
        equal(life.box.flash("spill"), None)
    life.check()
    equal((len(life.box.old), Segments(life.board.files.root).numbers), (1, [token[0]]))
    life.box.end([])
    equal(life.drain(), seqs(7, 1, SLOTS + 1))


def test_flash_that_others_fill_makes_room_by_the_oldest_and_no_more():
    life = Life(flash.folder(), 7, sensors=(WIDE,))
    life.add(SLOTS * 2 + 1)  # two segments
    with Refusing(FULL):
        equal(life.box.flash("spill"), None)
    life.check()
    equal((life.box.dropped["flash"], len(life.box.old), Segments(life.board.files.root).numbers), (SLOTS * 2, 1, []))


def test_a_flash_that_fails_to_write_costs_nothing_that_is_stored():
    life = Life(flash.folder(), 7, sensors=(WIDE,))
    life.add(SLOTS * 2 + 1)  # two segments
    safe = life.box.safe
    with Refusing(5):  # EIO
        equal(life.box.flash("spill"), None)
    equal(life.box.safe, safe, "what no flash took is not told as safe:")
    life.check()
    equal((life.box.dropped["flash"], life.box.stored, len(life.box.old)), (0, SLOTS * 2, 1))
    equal(life.drain(), seqs(7, 1, SLOTS * 2 + 1), "once it writes again:")


def test_a_littlefs_that_fails_to_write_once_costs_nothing_that_is_stored():
    if flash.vfs is None:
        return  # CPython has no littlefs whose device could fail
    device = flash.Flash(flash.formatted(12))
    with flash.mounted(device):
        life = Life(flash.ROOT, 7, sensors=(WIDE,))
        life.add(SLOTS * 2 + 1)
        device.failing = 1
        equal(life.box.flash("spill"), None)
        life.check()
        equal((life.box.dropped["flash"], life.box.stored, len(life.box.old)), (0, SLOTS * 2, 1))
        equal(device.failing, 0)
        equal(life.drain(), seqs(7, 1, SLOTS * 2 + 1), "once it writes again:")


def test_a_boot_that_ends_on_a_full_flash_notes_what_it_could_not_keep():
    root = flash.folder()
    life = Life(root, 7)
    life.add(10)
    with Refusing(FULL):
        life.box.close()
    equal(life.past(), [[7, 0, 10, 0, 1]])
    equal(Life(root, 8).box.inherited["found"], 0)


def test_a_littlefs_that_is_full_ends_a_spill_and_takes_it_when_there_is_room():
    if flash.vfs is None:
        return  # CPython has no littlefs that could be full
    with flash.mounted(flash.Flash(flash.formatted(12))):
        life = Life(flash.ROOT, 7)
        junk = 0
        try:
            while True:
                with open("%s/junk%d" % (flash.ROOT, junk), "wb") as file:
                    file.write(bytes(3_000))
                junk += 1
        except OSError as error:
            equal(error.args[0], FULL)
        life.add(10)
        with Rounds():
            equal(life.box.flash("spill"), None)
        equal((len(life.box.old), life.box.stored, Segments(flash.ROOT).numbers), (10, 0, []))
        for number in range(junk):
            os.remove("%s/junk%d" % (flash.ROOT, number))
        equal(life.box.flash("spill"), True)
        equal(life.drain(), seqs(7, 1, 10))


class Rounds:
    """`with Rounds():` making room is given up after some attempts, so that it cannot go on for ever."""

    def __enter__(self):
        self._right, self._left = load("firmware.spool").Spool._shed, 50
        load("firmware.spool").Spool._shed = self._counted()

    def __exit__(self, *error):
        load("firmware.spool").Spool._shed = self._right

    def _counted(self):
        def shed(its):
            self._left -= 1
            assert self._left, "it goes round for ever"
            return self._right(its)

        return shed


def test_a_damaged_frame_costs_what_is_behind_it_and_is_counted():
    root = flash.folder()
    life = Life(root, 7)
    life.add(33)  # two frames of 16
    path = "%s/q%d" % (root, Segments(root).numbers[0])
    with open(path, "rb") as file:
        data = bytearray(file.read())
    data[-10] ^= 1
    with open(path, "wb") as file:
        file.write(data)
    equal(life.drain(), seqs(7, 1, 16) + seqs(7, 33, 33))
    equal(life.box.dropped["flash"], 16)
    life.check()


def test_nothing_is_added_behind_a_damaged_frame():
    root = flash.folder()
    life = Life(root, 7)
    life.add(17)
    with open("%s/q%d" % (root, Segments(root).numbers[0]), "ab") as file:
        file.write(b"half a frame")
    life.add(16)
    equal(len(Segments(root).numbers), 2)
    equal(life.drain(), seqs(7, 1, 33))


def test_a_time_that_was_unknown_is_worked_out_also_in_a_later_boot():
    root = flash.folder()
    life = Life(root, 7, unix_s=None)
    life.add(17)  # 1 to 16 on flash
    life.board.unix_s = 1_800_000_000
    life.add(16)
    life = Life(root, 8)
    life.drain()
    equal([reading[3] for reading in life.readings], [1_800_000_000 + 60 * seq for seq in range(1, 33)])
    root = flash.folder()
    life = Life(root, 7, unix_s=None)
    life.add(16)
    life.box.close()
    life = Life(root, 8)
    life.drain()
    equal({reading[3] for reading in life.readings}, {None}, "nobody ever knew:")


def test_policies_none_and_latest():
    root = flash.folder()
    life = Life(root, 7, keep="none")
    life.add(5)
    equal((life.box.queued, life.box.dropped["policy"]), (0, 5))
    life = Life(root, 8, sensors=(ONE, WIDE), keep="latest")
    for _ in range(SLOTS * 3):
        life.add(1, 0)
        life.add(2, 1)
    equal((life.box.queued, life.box.dropped["policy"]), (2, SLOTS * 9 - 2), "in RAM:")
    life.turn()
    life.turn(901_000)
    life.add(2, 1)
    life.turn()
    life.turn(901_000)
    equal(life.box.stored, 3)
    equal(life.past()[-1][2], UNBOUNDED)
    last = life.box.seq
    equal(life.drain(), [(8, last - 4), (8, last)], "on flash the newest of each sensor counts:")
    life.check()
    equal(life.box.dropped["policy"], last - 2)


def test_lent_code_does_the_same_and_is_forgotten():
    import sys

    names = "firmware.spool", "firmware.drain", "firmware.boots", "segments", "segments_writer"
    for name in names:
        sys.modules.pop(name, None)  # one that other tests have loaded would stay
    life = Life(flash.folder(), 7, fetch=lend)
    life.add(40)
    assert life.box._drain is None
    equal(life.drain(), seqs(7, 1, 40))
    life.turn()
    assert life.box._drain is None
    equal([name for name in names if name in sys.modules], [])
    for name in names:
        load(name)  # where other tests expect it


def test_a_wake_goes_on_with_the_same_boot():
    root = flash.folder()
    life = Life(root, 7)
    life.add(16)
    life.box.close()
    seq = life.box.seq
    life = Life(root, 7)
    life.box.seq = seq
    equal((life.box.stored, life.box.inherited["found"], len(life.past())), (16, 0, 1))
    life.add(1)
    equal(life.drain(), seqs(7, 1, 17))


# Power cuts: a boot that leaves something, one whose power is cut, and one that sends what is there.


def first_boot(rules, sensors):
    image = flash.formatted(24)
    device = flash.Flash(image)
    with flash.mounted(device):
        life = Life(flash.ROOT, 1, rules, sensors)
        life.add(40)
        if sensors == (ONE,):
            life.box.begin()
            life.batch()
            life.batch()
            life.turn()
            life.box.end([])
        stored = []
        segments = Segments(flash.ROOT)
        for number in segments.numbers:
            stored += [(1, record[3]) for record in segments.read(number, 0, 1000).records]  # seq is small
    return image, set(seqs(1, 1, 40)) - set(life.heard), set(stored) - set(life.heard)


def second_boot(life, alive):
    """What a node does with its flash; stops when `alive()` does not hold any longer."""
    life.add(20)
    for _ in range(3 if alive() else 0):
        life.box.begin()
        for _ in range(3):
            if alive():
                life.batch()
        if alive():
            life.turn()
            life.box.end([])
            life.add(7)
    if alive():
        life.drain()
        life.add(18)
    if alive():
        life.box.close()


def cut_life(image, rules, sensors, cut_at, torn):
    """(device, what the broker had heard, what the last batch was, how many readings were taken) of a second boot."""
    device = flash.Flash(bytearray(image), cut_at, torn)
    life = None
    try:
        with flash.mounted(device):
            life = Life(flash.ROOT, 2, rules, sensors)
            second_boot(life, lambda: not device.dead)
    except OSError:
        pass  # the power was cut
    return device, life


def after_the_cut(image, rules, sensors):
    """(what comes out in a third boot, what is known of the first two)."""
    with flash.mounted(flash.Flash(image)):
        life = Life(flash.ROOT, 3, rules, sensors)
        known = {entry[0]: entry for entry in life.past()[:-1]}
        return life.drain(), known, life.readings


def judge(life, before, heard_after, known, where):
    """Every promise about a power cut, for one of them."""
    heard = set(life.heard) if life else set()
    twice = heard & set(heard_after)
    equal(len(heard_after), len(set(heard_after)), where + " sent twice in one life")
    assert twice <= set(life.last if life else ()), "%s sent again %s" % (where, sorted(twice))
    arrived = heard | set(heard_after)
    produced = life.box.seq if life else 0
    lost = (before | set(seqs(2, 1, produced))) - arrived
    for boot in (1, 2):
        _, last_seq, most, dropped, _ = known.get(boot, (boot, 0, 96, 0, 0))
        safe = [seq for number, seq in lost if number == boot and seq <= last_seq]
        assert len(safe) <= dropped, "%s lost of boot %d: %s, counted %d" % (where, boot, safe, dropped)
        tail = [seq for number, seq in lost if number == boot and seq > last_seq]
        assert len(tail) <= most, "%s lost from the RAM of boot %d: %s" % (where, boot, tail)
    return lost


def every_cut(rules, sensors, scene, tenths=(0, 1, 3, 5, 8, 10)):
    """Judge every cut of the second boot; `scene` is what first_boot has left."""
    image, before, on_flash = scene
    cuts = 0
    for torn in tenths:
        cut_at = 0
        while True:
            device, life = cut_life(image, rules, sensors, cut_at, torn)
            where = "cut at %d, %d tenths of it done:" % (cut_at, torn)
            heard_after, known, readings = after_the_cut(device.image, rules, sensors)
            lost = judge(life, before, heard_after, known, where)
            if rules is RULES:
                equal(lost & on_flash, set(), where + " what was on flash")
            for reading in readings:
                equal(reading[4], [float(reading[2])] * len(reading[4]), where)
            cuts += 1
            if not device.dead:
                break
            cut_at += 1

    assert cuts > 25 * len(tenths), cuts
    return cuts


def test_power_cut_at_every_operation_of_spill_drain_and_delete():
    every_cut(RULES, (ONE,), first_boot(RULES, (ONE,)))


def test_power_cut_at_every_operation_while_the_oldest_are_dropped():
    small = dict(RULES, flash_bytes=2 * BLOCK_BYTES)
    every_cut(small, (WIDE,), first_boot(small, (WIDE,)))


def test_power_cut_at_every_operation_while_the_oldest_are_thinned():
    every_cut(THIN, (WIDE,), first_boot(THIN, (WIDE,)))


def deletes_when_taken(self):
    found = TAKE[0](self)
    if found[0]:
        path = "%s/q%d" % (self._files.root, found[0][0])
        os.rename(path, path + ".sent")
    return found


def deletes_when_sent(self):
    """Deletes the whole segment with its first batch."""
    Segments(self._files.root).remove(self._box.sent[0])
    self._box.sent = None
    return True


def forgets_what_was_done(self):
    number, done = self._box.sent[:2]
    self._cursor = number, done, self._box.sent[2], 0
    segments = Segments(self._files.root)
    if segments.read(number).total <= done:
        segments.remove(number)
    self._box.sent = None
    return True


def drops_before_it_counts(self):
    number = self._segments.numbers[0]
    self._box.stored -= self._segments.read(number).total
    self._box.dropped["flash"] += self._segments.read(number).total
    self._segments.remove(number)
    return True


TAKE = []  # the right one


def test_the_power_cut_test_finds_the_usual_mistakes():
    small = dict(RULES, flash_bytes=2 * BLOCK_BYTES), (WIDE,)
    drains, spools = load("firmware.drain").Drain, load("firmware.spool").Spool  # another test had lent them
    TAKE.append(drains.take)
    for kind, name, mistake, node in (
            (drains, "take", deletes_when_taken, (RULES, (ONE,))),
            (drains, "note", deletes_when_sent, (RULES, (ONE,))),
            (drains, "note", forgets_what_was_done, (RULES, (ONE,))),
            (spools, "_shed", drops_before_it_counts, small)):
        right, scene = getattr(kind, name), first_boot(*node)
        setattr(kind, name, mistake)
        try:
            every_cut(*node, scene, (0, 10))
        except (AssertionError, AttributeError, OSError):
            continue
        finally:
            setattr(kind, name, right)
        raise ValueError("%s survived" % mistake)


if flash.vfs is None:  # CPython has no littlefs whose power could be cut
    del test_the_power_cut_test_finds_the_usual_mistakes
    del test_power_cut_at_every_operation_of_spill_drain_and_delete
    del test_power_cut_at_every_operation_while_the_oldest_are_dropped
    del test_power_cut_at_every_operation_while_the_oldest_are_thinned
