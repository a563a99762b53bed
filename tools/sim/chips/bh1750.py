"""A BH1750FVI at command level (ROHM BH1750FVI technical note), one-time high resolution only."""

MEASURE_MS = 180  # longest case


class Chip:
    """`fault`: None, "missing" or "stuck" (both seen by the bus)."""

    BUS = "i2c"
    ADDRESS = 0x23

    def __init__(self, world, options, clock_ms):
        self.fault = None
        self._world = world
        self._clock_ms = clock_ms
        self.power_on()

    def power_on(self):
        """Powered down, the result register 0."""
        self._ready_ms = None
        self._raw = 0

    def measuring(self):
        """Whether a measurement is under way."""
        self._settle()
        return self._ready_ms is not None

    def write(self, data):
        """One command of one byte: power down, power on, reset, or measure once."""
        assert len(data) == 1 and data[0] in (0x00, 0x01, 0x07, 0x20), "bh1750: unknown command %r" % (data,)
        self._settle()
        if data[0] == 0x20:
            self._ready_ms = self._clock_ms() + MEASURE_MS
        elif data[0] == 0x07:
            self._raw = 0
        elif data[0] == 0x00:
            self._ready_ms = None

    def read(self, size):
        """The result of the last measurement that is over, so an old one when read too early."""
        assert size == 2, "bh1750: the result has 2 bytes"
        self._settle()
        return bytes((self._raw >> 8, self._raw & 0xFF))

    def _settle(self):
        if self._ready_ms is not None and self._clock_ms() >= self._ready_ms:
            self._ready_ms = None
            self._raw = min(int(self._world("illuminance") * 1.2 + 0.5), 0xFFFF)
