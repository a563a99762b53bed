"""Time of a fake ESP32: `time`, and `asyncio` as far as it sleeps."""

import asyncio
import time

_PERIOD_MS = 1 << 30
_YEARS_30_S = 946684800


class Clock:
    """The `time` module of a port that counts from 2000, at its power-on unless it is set.

    `now_ms` is the world's time; the clock gains `fast_ppm` on it, the ticks do not.
    """

    def __init__(self):
        self.now_ms = _PERIOD_MS - 700  # never wraps, as the world's time does not
        self.fast_ppm = 0
        self._set_at_ms = self.now_ms
        self._set_us = _YEARS_30_S * 1_000_000

    def set(self, unix_s, microseconds=0):
        self._set_us = unix_s * 1_000_000 + microseconds
        self._set_at_ms = self.now_ms

    def _shown_us(self):
        """Since 2000."""
        passed_us = (self.now_ms - self._set_at_ms) * (1_000_000 + self.fast_ppm) // 1_000
        return self._set_us + passed_us - _YEARS_30_S * 1_000_000

    def ticks_ms(self):
        return self.now_ms % _PERIOD_MS

    def ticks_diff(self, a, b):
        assert 0 <= a < _PERIOD_MS and 0 <= b < _PERIOD_MS
        return (a - b + _PERIOD_MS // 2) % _PERIOD_MS - _PERIOD_MS // 2

    def ticks_add(self, a, ms):
        if not -_PERIOD_MS // 2 < ms < _PERIOD_MS // 2:
            raise OverflowError("ticks interval overflow")
        return (a + ms) % _PERIOD_MS

    def time(self):
        return self._shown_us() // 1_000_000

    def time_ns(self):
        return self._shown_us() * 1_000

    def gmtime(self, seconds):
        return tuple(time.gmtime(seconds + _YEARS_30_S))[:8]


class Asyncio:
    """The real asyncio, whose sleep lets the fake clock go on instead of waiting."""

    def __init__(self, clock):
        self._clock = clock
        self.Event = asyncio.Event
        self.core = getattr(asyncio, "core", None)
        self.ThreadSafeFlag = getattr(asyncio, "ThreadSafeFlag", Flag)

    async def sleep_ms(self, ms):
        self._clock.now_ms += ms
        await asyncio.sleep(0)


class Flag:
    """ThreadSafeFlag for CPython."""

    def __init__(self):
        self._event = asyncio.Event()
        self._loop = None

    def set(self):
        if self._loop is None:
            self._event.set()
        else:
            self._loop.call_soon_threadsafe(self._event.set)

    async def wait(self):
        self._loop = asyncio.get_running_loop()
        await self._event.wait()
        self._event.clear()
