"""The bounds of every wait, and that a fleet spreads over the whole window."""

from backoff import delay_ms
from minitest import equal

ALMOST_1 = 0.999999


def test_the_first_window_comes_twice_and_each_wider_one_three_times_up_to_the_cap():
    widths = [delay_ms(attempt, 5, 60, ALMOST_1) // 1000 + 1 for attempt in range(14)]
    equal(widths, [5, 5, 10, 10, 10, 20, 20, 20, 40, 40, 40, 60, 60, 60])


def test_jitter_is_full():
    for attempt, window_ms in ((0, 2_000), (1, 2_000), (2, 4_000), (9, 16_000), (23, 300_000)):
        for part in (0.0, 0.25, 0.5, 0.75):
            equal(delay_ms(attempt, 2, 300, part), int(window_ms * part))


def test_a_narrow_cap_wins_over_a_wide_window():
    for attempt in range(4):
        equal(delay_ms(attempt, 60, 10, ALMOST_1), 9_999)


def test_no_number_of_attempts_is_too_many():
    for attempt in (15, 46, 47, 48, 63, 64, 1_000, 1_000_000, 2**62):
        equal(delay_ms(attempt, 5, 60, ALMOST_1), 59_999)
        equal(delay_ms(attempt, 5, 60, 0.0), 0)
    equal(delay_ms(2**62, 1, 10**9, 0.5), 32_768_000)  # 2 ** 16 windows and no more


def test_a_home_is_back_within_two_windows_of_a_broker_that_restarts():
    """Whatever chance says: the wait in which a broker comes back after one window is no longer than two of them,
    unless five attempts fell into that one window, which one node in a thousand meets."""
    for attempt in range(5):
        assert delay_ms(attempt, 5, 60, ALMOST_1) < 10_000


def test_the_wait_is_a_whole_number_below_the_window():
    for attempt in range(20):
        for part in (0.0, 0.1, 0.333, ALMOST_1):
            wait = delay_ms(attempt, 5, 60, part)
            assert isinstance(wait, int)
            width_ms = 1000 * min(60, 5 * 2 ** ((attempt + 1) // 3))
            assert 0 <= wait < width_ms, "attempt %d, %r: %d" % (attempt, part, wait)
