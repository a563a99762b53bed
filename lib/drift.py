"""How wrong a clock goes, learned from two answers of a time server; in between it is corrected by that. Only lent.

A crystal is off by up to 40 ppm, 3 s a day; the oscillator that counts while an ESP32 is in deep sleep by up to some
percent, minutes a day, by its temperature (ESP-IDF Programming Guide, "System Time", RTC Timer Clock Sources).
"""

MOST_PPM = 20_000  # beyond it somebody has set the clock, or it is broken
NOISE_MS = 250  # what ways of unequal length may make of an answer
_LONG_S = 21_600  # in which that noise is 12 ppm
_SURE_MS = 10 * NOISE_MS


def learned(drift, clock_ms, true_ms):
    """The drift from now on, when a clock corrected by `drift` shows `clock_ms` and a server says `true_ms` (Unix time
    in ms): (Unix seconds of now, since when the correction counts; parts per million that the clock is slow).

    What is known stays where the answer tells nothing of the rate: the first one, one that is too near to the last for
    what it differs by, or one that differs by more than a clock can go wrong.
    """
    since_s, ppm = drift
    passed_s, off_ms = true_ms // 1000 - since_s, true_ms - clock_ms
    if since_s and passed_s > 0 and abs(off_ms) >= (NOISE_MS if passed_s >= _LONG_S else _SURE_MS):
        better = ppm + off_ms * 1000 // passed_s
        ppm = better if abs(better) <= MOST_PPM else ppm
    return true_ms // 1000, ppm
