"""How long to wait before the next attempt: exponential backoff with full jitter.

Full jitter draws from the whole window, so that a fleet that lost its broker in one instant does not come back
in one instant. A pure function: the caller owns the attempt count, the clock and the source of chance.
"""


def delay_ms(attempt, window_s, cap_s, random):
    """Milliseconds to wait before attempt number `attempt` (0 is the first after a failure).

    `window_s` is the width of the first window, which doubles with each attempt up to `cap_s`; `random` is a
    number in [0, 1). The window never exceeds the cap, so a narrow cap wins over a wide first window.
    """
    return int(1000 * random * min(cap_s, window_s * 2 ** min(attempt, 16)))
