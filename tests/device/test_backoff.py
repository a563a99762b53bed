"""The bounds of every wait, and that a fleet spreads over the whole window."""

from backoff import delay_ms
from minitest import equal

ALMOST_1 = 0.999999


def test_the_window_doubles_up_to_the_cap():
    widths = [delay_ms(attempt, 5, 60, ALMOST_1) for attempt in range(8)]
    equal(widths, [4_999, 9_999, 19_999, 39_999, 59_999, 59_999, 59_999, 59_999])


def test_jitter_is_full():
    for attempt, window_ms in ((0, 2_000), (1, 4_000), (3, 16_000), (9, 300_000)):
        for part in (0.0, 0.25, 0.5, 0.75):
            equal(delay_ms(attempt, 2, 300, part), int(window_ms * part))


def test_a_narrow_cap_wins_over_a_wide_window():
    for attempt in range(4):
        equal(delay_ms(attempt, 60, 10, ALMOST_1), 9_999)


def test_no_number_of_attempts_is_too_many():
    for attempt in (15, 16, 17, 63, 64, 1_000, 1_000_000, 2**62):
        equal(delay_ms(attempt, 5, 60, ALMOST_1), 59_999)
        equal(delay_ms(attempt, 5, 60, 0.0), 0)
    equal(delay_ms(2**62, 1, 10**9, 0.5), 32_768_000)  # 2 ** 16 windows and no more


def test_the_wait_is_a_whole_number_below_the_window():
    for attempt in range(20):
        for part in (0.0, 0.1, 0.333, ALMOST_1):
            wait = delay_ms(attempt, 5, 60, part)
            assert isinstance(wait, int)
            assert 0 <= wait < 1000 * min(60, 5 * 2**attempt), "attempt %d, %r: %d" % (attempt, part, wait)
