"""An SHT4x at command level (Sensirion SHT4x data sheet section 4)."""

from tools.sim.checksum import sensirion

MEASURE_MS = {0xFD: 8.3, 0xF6: 4.5, 0xE0: 1.6}  # longest case of high, medium and low precision


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
        """One command of one byte; none is taken while it measures."""
        self._awake()
        assert len(data) == 1 and data[0] in MEASURE_MS, "sht4x: unknown command %r" % (data,)
        self._ready_ms = self._clock_ms() + MEASURE_MS[data[0]]

    def read(self, size):
        """Temperature and humidity, each with its checksum, once; no answer before it has measured."""
        self._awake()
        if self._ready_ms is None:
            raise OSError(19)
        assert size <= 6, "sht4x: more than 6 bytes"
        self._ready_ms = None
        frame = b""
        for share in (self._world("temperature") + 45) / 175, (self._world("humidity") + 6) / 125:
            raw = min(max(int(share * 65535 + 0.5), 0), 65535)
            frame += bytes((raw >> 8, raw & 0xFF, sensirion(raw) ^ (self.fault == "crc")))
        return frame[:size]

    def _awake(self):
        if self._ready_ms is not None and self._clock_ms() < self._ready_ms:
            raise OSError(19)
