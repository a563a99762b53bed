"""A plausible world: every quantity by sensor and time, with days and a little noise. On both Pythons."""

from binascii import crc32
from math import cos, floor, pi, sin

DAY_S = 86400
WARMEST_S = 15 * 3600  # the time of day at which the day's wave is at its top (UTC)

# Mean, half of the day's swing (warmest at 15 h), half of the slow drift, noise, lowest, highest.
SMOOTH = {
    "temperature": (20.5, 3, 2, 0.04, -40, 60),
    "humidity": (52, -9, 6, 0.2, 5, 95),
    "pressure": (1013, -0.6, 9, 0.05, 950, 1050),
    "illuminance": (6000, 14000, 2000, 20, 0, 54000),
    "moisture": (45, -1, 12, 0.2, 0, 100),
    "battery": (75, 2, 15, 0.2, 0, 100),
    "voltage": (1.6, 0.3, 0.2, 0.002, 0, 3.2),
}
# How long a level lasts, and how often it is 1.
LEVELS = {"open": (90, 0.25), "motion": (20, 0.2)}
PULSE_S = 4  # between two pulses in the mean


class World:
    """`seed`: any whole number. `clock_s()`: seconds with fractions; Unix time gives it the days of UTC."""

    def __init__(self, seed, clock_s):
        self._seed = seed
        self._clock_s = clock_s

    def sensor(self, name):
        """The world of one sensor: a function from a quantity to its value now, KeyError for no quantity."""
        seed = crc32(name.encode()) ^ self._seed & 0xFFFFFFFF

        def world(quantity):
            return value(seed ^ crc32(quantity.encode()), quantity, self._clock_s())

        return world


def value(seed, quantity, t_s):
    """A quantity at a time: always the same for the same arguments."""
    phase = noise(seed, 1) * pi
    if quantity in LEVELS:
        length_s, share = LEVELS[quantity]
        return 1 if noise(seed, floor(t_s / length_s)) < 2 * share - 1 else 0
    if quantity == "pulses":
        # The rate swings by half over ten minutes and is never negative.
        return floor(t_s / PULSE_S + 48 / PULSE_S * sin(2 * pi * t_s / 600 + phase))
    mean, day, drift, rough, low, high = SMOOTH[quantity]
    wave = cos(2 * pi * (t_s - WARMEST_S) / DAY_S)
    slow = sin(2 * pi * t_s / (3.1 * DAY_S) + phase) + 0.1 * sin(2 * pi * t_s / 5000 + 2 * phase)
    result = mean + day * wave + drift * slow / 1.1 + rough * noise(seed, floor(t_s))
    return min(max(result, low), high)


def noise(seed, n):
    """-1..1, evenly, for every seed and whole number."""
    x = (n * 0x9E3779B1 ^ seed) & 0xFFFFFFFF
    x = ((x ^ x >> 16) * 0x7FEB352D) & 0xFFFFFFFF
    x = ((x ^ x >> 15) * 0x846CA68B) & 0xFFFFFFFF
    return (x ^ x >> 16) / 0x7FFFFFFF - 1
