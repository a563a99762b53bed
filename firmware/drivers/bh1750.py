"""BH1750FVI over I2C: illuminance. Source: ROHM BH1750FVI technical note, "Measurement procedure"."""


class Driver:
    """Options: bus (0), address (0x23)."""

    def __init__(self, board, options):
        self._board = board
        self._bus = options.get("bus") or 0
        self._address = options.get("address") or 0x23
        # 0xFFFF means "brighter than this chip can tell": the range ends one step below.
        self.quantities = (("illuminance", "m", "lx", 1, "illuminance", 0, 54612),)

    def start(self):
        """One measurement in high resolution, then the chip powers down by itself: 180 ms at most."""
        self._i2c = self._board.i2c(self._bus)
        self._i2c.writeto(self._address, b"\x20")
        return 190

    def read(self):
        """(lx,). A chip whose supply fails while it measures says 0, as in the dark: it has nothing that tells them
        apart."""
        raw = bytearray(2)
        self._i2c.readfrom_into(self._address, raw)
        return ((raw[0] << 8 | raw[1]) / 1.2,)
