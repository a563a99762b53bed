"""Uptime over a clock of 30 bits, as an ESP32 has it: ticks wrap every 12.4 days."""

from minitest import equal
from uptime import Uptime

PERIOD_MS = 2**30
DAY_MS = 86_400_000


class Clock:
    """Ticks as MicroPython defines them: wrapping, and differences in half a period either way."""

    def __init__(self, now):
        self.now = now

    def ticks_ms(self):
        return self.now % PERIOD_MS

    def ticks_diff(self, a, b):
        assert 0 <= a < PERIOD_MS and 0 <= b < PERIOD_MS, "not ticks: %d, %d" % (a, b)
        return (a - b + PERIOD_MS // 2) % PERIOD_MS - PERIOD_MS // 2

    def ticks_add(self, a, ms):
        return (a + ms) % PERIOD_MS


STARTS = (0, 1, 2**29 - 5_000, 2**29, 2**30 - 5_000, 2**30 - 1)


def test_it_counts_from_its_construction():
    for start in STARTS:
        clock = Clock(start)
        uptime = Uptime(clock)
        equal(uptime.ms(), 0)
        clock.now += 1
        equal(uptime.ms(), 1)
        equal(uptime.ms(), 1)


def test_it_does_not_wrap_where_the_ticks_do():
    for start in STARTS:
        for step in (1, 999, 10_000, DAY_MS, 6 * DAY_MS, 2**29 - 1):
            clock = Clock(start)
            uptime = Uptime(clock)
            for count in range(1, 11):
                clock.now += step
                equal(uptime.ms(), count * step, "start %d, step %d:" % (start, step))


def test_a_jump_of_six_days_is_counted():
    clock = Clock(2**29 - 5_000)
    uptime = Uptime(clock)
    clock.now += 6 * DAY_MS
    equal(uptime.ms(), 6 * DAY_MS)


def test_years_are_counted():
    clock = Clock(2**30 - 5_000)
    uptime = Uptime(clock)
    for _ in range(800):
        clock.now += 5 * DAY_MS
        ms = uptime.ms()
    equal(ms, 4_000 * DAY_MS)


def test_a_jump_of_more_than_half_a_period_is_counted():
    for start in STARTS:
        for jump in (2**29, 7 * DAY_MS, 12 * DAY_MS):
            clock = Clock(start)
            uptime = Uptime(clock)
            clock.now += jump
            equal(uptime.ms(), jump, "start %d, jump %d:" % (start, jump))


def test_it_never_goes_backwards():
    for back in (1, 250, 1_000):
        clock = Clock(12_345)
        uptime = Uptime(clock)
        clock.now += 1_000
        equal(uptime.ms(), 1_000)
        clock.now -= back
        equal(uptime.ms(), 1_000, "a step back of %d ms:" % back)
        clock.now += 250
        equal(uptime.ms(), 1_250)
