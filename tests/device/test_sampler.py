"""Every sensor at its own period; what is missing, broken or impossible costs only itself, and is counted."""

from firmware.sampler import Sampler
from minitest import equal

TWO = (("warmth", "m", "\u00b0C", 1, "temperature", -40, 85), ("wet", "m", "%", 0, "humidity", 0, 100))
NAN = float("nan")
INF = float("inf")


class Fake:
    """A driver: `wait_ms` of conversion, then `values`; `fails` is raised at the start, `spoils` at the read."""

    def __init__(self, bench, wait_ms=0, values=(20, 50)):
        self.quantities = TWO
        self.wait_ms = wait_ms
        self.values = values
        self.fails = self.spoils = None
        self.takes_ms = 0  # what start itself needs
        self.starts = []
        self.reads = []
        self._bench = bench

    def start(self):
        self.starts.append(self._bench.now)
        self._bench.now += self.takes_ms
        if self.fails:
            raise self.fails
        return self.wait_ms

    def read(self):
        self.reads.append(self._bench.now)
        assert self._bench.now >= self.starts[-1] + self.takes_ms + self.wait_ms, "read before the time"
        if self.spoils:
            raise self.spoils
        return self.values


class Bench:
    """A sampler, the readings it handed on as (time, index, values), and the time, which only `until` moves."""

    def __init__(self):
        self.now = 0
        self.readings = []
        self.wakes = 0
        self.turns = 0
        self.sampler = Sampler(lambda: self.now, self._take, self._wake)

    def build(self, *drivers):
        self.sampler.build(list(drivers), self.now)

    def _take(self, index, values):
        self.readings.append((self.now, index, values))

    def _wake(self):
        self.wakes += 1

    def until(self, end):
        """Give turns as the node does, until `end`."""
        while True:
            wait = self.sampler.turn(self.now)
            self.turns += 1
            assert self.turns < 10_000
            if self.now + max(0, wait) > end:
                self.now = max(end, self.now)
                return wait
            self.now += max(0, wait)

    def times(self, index=0):
        return [now for now, which, _ in self.readings if which == index]


def bench(*options):
    """(bench, drivers), each of `options` being (interval in seconds, conversion in milliseconds)."""
    result = Bench()
    drivers = [Fake(result, wait_ms) for _, wait_ms in options]
    result.build(*[(driver, index, options[index][0]) for index, driver in enumerate(drivers)])
    return result, drivers


def test_each_sensor_keeps_its_own_beat():
    it, _ = bench((10, 0), (3, 0), (60, 0))
    it.until(60_000)
    equal(it.times(0), list(range(0, 60_001, 10_000)))
    equal(it.times(1), list(range(0, 60_001, 3_000)))
    equal(it.times(2), [0, 60_000])
    equal(it.readings[0], (0, 0, [20, 50]))


def test_a_conversion_is_waited_for_and_does_not_shift_the_beat():
    it, (slow, quick) = bench((10, 780), (1, 0))
    it.until(60_000)
    equal(slow.starts, list(range(0, 60_001, 10_000)))
    equal(slow.reads, list(range(780, 60_000, 10_000)))
    equal(quick.reads, list(range(0, 60_001, 1_000)), "meanwhile others are read:")


def test_a_start_that_takes_long_is_waited_for_too():
    it, (slow,) = bench((10, 780))
    slow.takes_ms = 300
    for it.now, reads in ((0, 0), (900, 0), (1_079, 0), (1_080, 1)):
        it.sampler.turn(it.now)
        equal(len(slow.reads), reads, it.now)
    it.until(20_000)
    equal(slow.starts, [0, 10_000, 20_000])


def test_the_beat_does_not_drift_when_turns_come_late():
    it, (driver,) = bench((10, 50))
    now = 0
    while now < 100_000:
        it.now = now
        it.sampler.turn(now)
        now += 37
    starts = driver.starts
    equal(len(starts), 10)
    for count, at in enumerate(starts):
        assert 0 <= at - 10_000 * count < 37, starts


def test_missed_beats_are_skipped_not_made_up():
    it, (driver,) = bench((1, 0))
    it.until(3_000)
    it.now = 10_400  # the node was busy, or stopped
    it.until(13_000)
    equal(driver.starts[:4], [0, 1_000, 2_000, 3_000])
    equal(driver.starts[4:], [10_400, 11_400, 12_400])


def test_a_conversion_longer_than_the_period_is_the_period():
    it, (driver,) = bench((1, 2_050))
    it.until(20_000)
    for count in range(1, len(driver.starts)):
        gap = driver.starts[count] - driver.starts[count - 1]
        assert 2_050 <= gap < 3_100, driver.starts
    assert len(driver.reads) >= 6


def test_a_missing_chip_costs_only_its_own_readings_and_is_tried_again():
    it, (gone, there) = bench((10, 20), (1, 0))
    gone.fails = OSError(19)
    it.until(35_000)
    equal(len(gone.starts), 4)
    equal(it.times(0), [])
    equal(it.times(1), list(range(0, 35_001, 1_000)))
    equal(it.sampler.rejected, {"missing": 4, "bad": 0, "range": 0})
    gone.fails = None
    it.until(60_000)
    equal(len(it.times(0)), 2)
    equal(it.sampler.rejected["missing"], 4)


def test_a_chip_that_goes_away_during_a_conversion_is_started_again():
    it, (driver,) = bench((10, 20))
    driver.spoils = OSError(110)
    it.until(25_000)
    equal((len(driver.starts), len(driver.reads), it.readings), (3, 3, []))
    equal(it.sampler.rejected, {"missing": 3, "bad": 0, "range": 0})
    driver.spoils = None
    it.until(35_000)
    equal(len(it.readings), 1)


def test_a_bad_answer_is_counted_apart():
    it, (driver,) = bench((10, 20))
    driver.spoils = ValueError("CRC")
    it.until(15_000)
    driver.spoils, driver.fails = None, ValueError("low_mv is high_mv")
    it.until(25_000)
    equal((it.readings, it.sampler.rejected), ([], {"missing": 0, "bad": 3, "range": 0}))


def test_a_driver_that_is_wrong_is_tried_again():
    it, (driver, other) = bench((10, None), (10, 0))  # says no time
    it.until(25_000)
    driver.spoils, driver.wait_ms = TypeError("int(None)"), 0
    it.until(35_000)
    equal((it.sampler.rejected, len(driver.starts), len(driver.reads)), ({"missing": 0, "bad": 4, "range": 0}, 4, 1))
    equal(len(it.times(1)), 4)


def test_impossible_values_never_leave_and_are_counted():
    it, (driver,) = bench((1, 0))
    it.until(0)
    for warmth, wet, expected, rejected in (
        (-40, 0, [-40, 0], 0), (85, 100, [85, 100], 0), (-40.01, 50, [None, 50], 1), (85.01, 50, [None, 50], 1),
        (20, 100.5, [20, None], 1), (NAN, 50, [None, 50], 1), (20, INF, [20, None], 1), (20, -INF, [20, None], 1),
        (None, 50, [None, 50], 0), (20, None, [20, None], 0), (200, 200, None, 2), (None, None, None, 0),
        (None, NAN, None, 1), (0, 0.0, [0, 0.0], 0),
    ):
        driver.values = (warmth, wet)
        it.readings.clear()
        it.sampler.rejected["range"] = 0
        it.until(it.now + 1_000)
        equal([values for _, _, values in it.readings], [] if expected is None else [expected], (warmth, wet))
        equal(it.sampler.rejected, {"missing": 0, "bad": 0, "range": rejected}, (warmth, wet))


def test_sample_reads_all_at_once_but_disturbs_no_conversion():
    it, (slow, quick) = bench((100, 780), (100, 0))
    it.until(5_000)
    it.sampler.sample()
    it.until(5_300)
    equal((slow.starts, quick.starts), ([0, 5_000], [0, 5_000]))
    it.sampler.sample()  # the slow one is measuring
    it.until(6_000)
    equal((slow.starts, slow.reads), ([0, 5_000], [780, 5_780]))
    equal(quick.starts, [0, 5_000, 5_300])
    it.until(99_000)
    equal(len(slow.starts), 2)
    it.until(320_000)
    for driver in (slow, quick):
        first, second, third = driver.starts[-3:]
        equal((second - first, third - second), (100_000, 100_000), "after it the beat goes on:")
        assert first - driver.starts[-4] <= 100_000


def test_a_driver_that_notices_something_is_read_at_once():
    it, (driver, other) = bench((100, 10), (100, 0))
    it.until(5_000)
    driver.notify()
    equal(it.wakes, 1)
    it.until(5_100)
    equal((driver.reads, other.reads), ([10, 5_010], [0]))
    driver.notify()
    it.sampler.turn(it.now)
    driver.notify()  # while it measures
    equal(it.wakes, 3)
    it.until(5_200)
    equal(driver.reads[2:], [5_110])


def test_a_turn_says_when_the_next_is_due():
    it = Bench()
    equal(it.sampler.turn(0), 60_000, "no sensor:")
    it, (driver,) = bench((10, 780))
    equal(it.sampler.turn(0), 780)
    equal(it.sampler.turn(500), 280)
    it.now = 780
    equal(it.sampler.turn(780), 9_220)
    driver.fails = OSError(19)
    it.now = 10_000
    equal(it.sampler.turn(10_000), 10_000, "after a failure:")


def test_a_driver_that_stays_keeps_its_beat_and_its_conversion():
    it, (slow, quick) = bench((10, 780), (10, 0))
    it.until(10_300)  # the slow one is measuring
    it.build((quick, 1, 10), (slow, 0, 10))
    it.until(31_000)
    equal(slow.starts, [0, 10_000, 20_000, 30_000])
    equal(slow.reads, [780, 10_780, 20_780, 30_780])
    equal(quick.starts, [0, 10_000, 20_000, 30_000])


def test_a_new_interval_counts_from_the_next_reading():
    it, (driver,) = bench((10, 0))
    it.until(10_000)
    it.build((driver, 5, 2))
    it.until(26_000)
    equal(driver.starts, [0, 10_000, 20_000, 22_000, 24_000, 26_000])
    equal(it.times(5), [20_000, 22_000, 24_000, 26_000], "under its new index:")


def test_a_new_driver_leaves_a_measuring_chip_alone():
    it, (driver,) = bench((10, 780))
    it.until(200)
    new = Fake(it, 780)
    it.build((new, 0, 10))
    it.until(5_000)
    equal(driver.reads, [], "the old driver is gone:")
    assert new.starts[0] >= 780, new.starts
    assert new.starts[0] <= 1_200
    equal(len(it.readings), 1)
    it.sampler.sample()
    it.until(5_300)  # the new one is measuring
    for now in (5_300, 5_400, 5_500):  # one change after the other
        it.now = now
        hasty = Fake(it)
        it.build((hasty, 0, 10))
        it.sampler.sample()
        hasty.notify()
        it.until(now + 50)
        equal(hasty.starts, [], "the chip may still measure:")
    it.until(10_000)
    assert 5_780 <= hasty.starts[0] <= 6_600, hasty.starts
    last = Fake(it)
    it.build((last, 0, 10))
    it.until(10_000)
    equal(last.starts, [10_000], "with nothing measuring it begins at once:")


def test_a_removed_sensor_is_read_no_more():
    it, (one, two) = bench((1, 0), (1, 0))
    it.until(2_000)
    it.build((two, 1, 1))
    it.until(5_000)
    equal(len(one.starts), 3)
    equal(len(two.starts), 6)
    it.build()
    equal(it.until(9_000), 60_000)
    equal(len(two.starts), 6)
