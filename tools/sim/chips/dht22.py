"""A DHT22 (AM2302) as its five bytes (Aosong AM2302 product manual sections 7 and 8)."""

REST_MS = 2000  # it wants to be left alone for as long between two frames


class Chip:
    """`fault`: None, "crc", "missing" or "stuck" (held low: a frame of zeros)."""

    BUS = "dht"

    def __init__(self, world, options, clock_ms):
        self.fault = None
        self._world = world
        self._clock_ms = clock_ms
        self.power_on()

    def power_on(self):
        """It measures once when it wakes up."""
        self._asked_ms = None
        self._measured = self._frame()

    def measure(self, buf):
        """Fill `buf` with what was measured at the time before, then measure; OSError when asked too soon."""
        assert len(buf) == 5, "dht22: a frame has 5 bytes"
        if self.fault == "missing":
            raise OSError(110)
        now_ms = self._clock_ms()
        asked_ms, self._asked_ms = self._asked_ms, now_ms
        if asked_ms is not None and now_ms - asked_ms < REST_MS:
            raise OSError(110)
        if self.fault == "stuck":
            buf[:] = bytes(5)
            return
        buf[:] = self._measured
        if self.fault == "crc":
            buf[4] ^= 1
        self._measured = self._frame()

    def _frame(self):
        humidity = min(max(int(self._world("humidity") * 10 + 0.5), 0), 1000)
        temperature = self._world("temperature")
        raw = int(abs(temperature) * 10 + 0.5) | (0x8000 if temperature < 0 else 0)
        data = bytes((humidity >> 8, humidity & 0xFF, raw >> 8, raw & 0xFF))
        return data + bytes((sum(data) & 0xFF,))
