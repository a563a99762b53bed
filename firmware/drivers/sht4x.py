"""SHT40, SHT41 and SHT45 over I2C: temperature, humidity. Source: Sensirion SHT4x data sheet section 4."""


def crc8(data):
    """Polynomial 0x31, start 0xFF: 0xBEEF gives 0x92; over a word and its checksum it is 0."""
    crc = 0xFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc << 1 ^ (0x131 if crc & 0x80 else 0)
    return crc


class Driver:
    """Options: bus (0), address (0x44)."""

    def __init__(self, board, options):
        self._board = board
        self._bus = options.get("bus") or 0
        self._address = options.get("address") or 0x44
        self.quantities = (
            ("temperature", "m", "°C", 2, "temperature", -40, 125),
            ("humidity", "m", "%", 1, "humidity", 0, 100),
        )

    def start(self):
        """High precision, no heater: 8.3 ms at most."""
        self._i2c = self._board.i2c(self._bus)
        self._i2c.writeto(self._address, b"\xfd")
        return 12

    def read(self):
        """(°C, %); ValueError for a wrong checksum. Humidity is cut to 0..100 as section 4.6 says."""
        raw = bytearray(6)
        self._i2c.readfrom_into(self._address, raw)
        if crc8(raw[:3]) or crc8(raw[3:]):
            raise ValueError("checksum")
        humidity = (raw[3] << 8 | raw[4]) * 125 / 65535 - 6
        return (raw[0] << 8 | raw[1]) * 175 / 65535 - 45, min(max(humidity, 0), 100)
