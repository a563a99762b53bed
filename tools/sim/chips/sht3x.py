"""An SHT3x at command level (Sensirion SHT3x-DIS data sheet section 4), single shot."""

from tools.sim.checksum import sensirion

# Longest case of high, medium and low repeatability.
MEASURE_MS = {b"\x24\x00": 15.5, b"\x24\x0b": 6.5, b"\x24\x16": 4.5}


class Chip:
    """`fault`: None, "crc", or "missing" or "stuck" (both seen by the bus)."""

    BUS = "i2c"
    ADDRESS = 0x44

    def __init__(self, world, options, clock_ms):
        self.fault = None
        self._world = world
        self._clock_ms = clock_ms
        self.power_on()

    def power_on(self):
        """Nothing measured."""
        self._ready_ms = None

    def write(self, data):
        """One command of two bytes; none is taken while it measures."""
        self._awake()
        assert data in MEASURE_MS, "sht3x: unknown command %r" % (data,)
        self._ready_ms = self._clock_ms() + MEASURE_MS[data]

    def read(self, size):
        """Temperature and humidity, each with its checksum, once; no answer before it has measured."""
        self._awake()
        if self._ready_ms is None:
            raise OSError(19)
        assert size <= 6, "sht3x: more than 6 bytes"
        self._ready_ms = None
        frame = b""
        for share in (self._world("temperature") + 45) / 175, self._world("humidity") / 100:
            raw = min(max(int(share * 65535 + 0.5), 0), 65535)
            frame += bytes((raw >> 8, raw & 0xFF, sensirion(raw) ^ (self.fault == "crc")))
        return frame[:size]

    def _awake(self):
        if self._ready_ms is not None and self._clock_ms() < self._ready_ms:
            raise OSError(19)
