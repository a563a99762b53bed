"""DHT22 (AM2302): temperature and humidity over a wire of its own. Source: Aosong AM2302 manual section 7."""


def decode(raw):
    """(°C, %) from five bytes; the temperature's highest bit is its sign. ValueError for a wrong checksum."""
    # Five zeros, a wire held low, have a right checksum.
    if sum(raw[:4]) & 255 != raw[4] or not any(raw):
        raise ValueError("checksum")
    temperature = ((raw[2] & 0x7F) << 8 | raw[3]) / 10
    return -temperature if raw[2] & 0x80 else temperature, (raw[0] << 8 | raw[1]) / 10


class Driver:
    """Options: pin. It cannot be read more often than every 2 s."""

    NEEDS_PIN = True

    def __init__(self, board, options):
        self._board = board
        self._pin = options.get("pin")
        self._asked_ms = self._measured_ms = None
        self.quantities = (
            ("temperature", "m", "°C", 1, "temperature", -40, 80),
            ("humidity", "m", "%", 1, "humidity", 0, 100),
        )

    def start(self):
        """The chip tells what it measured at the time before: when that is long ago, it is asked twice. ValueError when
        the first answer is no frame: then it has not measured either, and would tell what is older still."""
        asked_ms = self._since(self._asked_ms)
        if self._since(self._measured_ms) < 10000:
            return max(0, 2050 - asked_ms)
        if asked_ms < 2050:
            raise OSError(110)  # it went wrong just now, and so soon there would be no answer
        self._measure()
        return 2050

    def read(self):
        """(°C, %); ValueError for a wrong checksum."""
        return self._measure()

    def _measure(self):
        raw = bytearray(5)
        self._asked_ms = self._board.ticks_ms()
        self._board.dht(self._pin).measure(raw)
        values = decode(raw)
        self._measured_ms = self._asked_ms
        return values

    def _since(self, ticks):
        """Milliseconds since then, many when there was none."""
        age_ms = 10000 if ticks is None else self._board.ticks_diff(self._board.ticks_ms(), ticks)
        return age_ms if age_ms >= 0 else 10000
