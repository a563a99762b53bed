"""How long to wait before the next attempt: exponential backoff with full jitter.

Full jitter draws from the whole window, so that a fleet that lost its broker in one instant does not come back
in one instant. The first window comes twice, for a restart is over soon, and each wider one three times: a home is
back within two first windows of its broker, and at its peak a fleet of N makes 2.3 N attempts in the time of a first
window, where plain doubling has 1.7 N and windows that do not widen 2.7 N. A pure function: the caller owns the attempt
count, the clock and the source of chance.
"""


def delay_ms(attempt, window_s, cap_s, random):
    """Milliseconds to wait before attempt number `attempt` (0 is the first after a failure).

    `window_s`, whole seconds, is the width of the first two windows, which doubles with every third attempt up to
    `cap_s`; `random` is a number in [0, 1). The window never exceeds the cap, so a narrow cap wins over a wide first
    window.
    """
    return int(1000 * random * min(cap_s, window_s << min((attempt + 1) // 3, 16)))
