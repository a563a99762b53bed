"""BME280 and BMP280 over I2C: temperature, pressure and, on the BME280, humidity.

Source: Bosch BST-BME280-DS002 sections 4.2 and 5.4, BST-BMP280-DS001 section 3.11.
"""

import struct

_QUANTITIES = (
    ("temperature", "m", "°C", 2, "temperature", -40, 85),
    ("pressure", "m", "hPa", 1, "atmospheric_pressure", 300, 1100),
    ("humidity", "m", "%", 1, "humidity", 0, 100),
)


def fine(trim, raw):
    """The temperature in 1/5120 °C, which the other two need as well."""
    a = raw // 8 - 2 * trim[0]
    b = raw // 16 - trim[0]
    return (a * trim[1] >> 11) + ((b * b >> 12) * trim[2] >> 14)


def pressure_hpa(trim, t, raw):
    """hPa from fine temperature and raw pressure, the 64-bit formula; ValueError for impossible trimming."""
    p1, p2, p3, p4, p5, p6, p7, p8, p9 = trim[3:12]
    t -= 128000
    offset = t * t * p6 + (t * p5 << 17) + (p4 << 35)
    slope = (((1 << 47) + (t * t * p3 >> 8) + (t * p2 << 12)) * p1) >> 33
    if not slope:
        raise ValueError("trimming")
    p = (((1048576 - raw << 31) - offset) * 3125) // slope
    p = (p + (p9 * (p >> 13) * (p >> 13) >> 25) + (p8 * p >> 19) >> 8) + (p7 << 4)
    return p / 25600


def humidity_percent(trim, t, raw):
    """% relative humidity from fine temperature and raw humidity, cut to 0..100 as the data sheet does."""
    h1, h2, h3, h4, h5, h6 = trim[12:]
    t -= 76800
    h = ((t * h6 >> 10) * ((t * h3 >> 11) + 32768) >> 10) + 2097152
    h = ((raw << 14) - (h4 << 20) - h5 * t + 16384 >> 15) * (h * h2 + 8192 >> 14)
    h -= ((h >> 15) * (h >> 15) >> 7) * h1 >> 4
    return min(max(h, 0), 100 << 22) / (1 << 22)


class Driver:
    """Options: bus (0), address (0x76), kind ("bmp280": do not declare the humidity that it lacks).

    The chip's id tells which it is; the humidity of an unnamed BMP280 is None.
    """

    KINDS = ("bmp280",)

    def __init__(self, board, options):
        self._board = board
        self._bus = options.get("bus") or 0
        self._address = options.get("address") or 0x76
        self._trim = None
        self.quantities = _QUANTITIES[:2] if options.get("kind") == "bmp280" else _QUANTITIES

    def start(self):
        """Forced mode, each quantity measured once: 9.3 ms at most (appendix B)."""
        self._i2c = self._board.i2c(self._bus)
        # The trimming counts as unknown until nothing has failed: what answers next may be another chip.
        trim, self._trim = self._trim, None
        if not trim:
            trim = self._identify()
        if trim[12:]:
            self._write(0xF2, b"\x01")
        self._write(0xF4, b"\x25")
        self._trim = trim
        return 12

    def read(self):
        """(°C, hPa, % or None). OSError when the chip is still measuring or was reset meanwhile."""
        trim, self._trim = self._trim, None
        raw = self._read(0xF3, 12 if trim[12:] else 10)
        if raw[0] & 9 or raw[1] & 0xFC != 0x24:
            raise OSError(5)
        t = fine(trim, raw[7] << 12 | raw[8] << 4 | raw[9] >> 4)
        p = pressure_hpa(trim, t, raw[4] << 12 | raw[5] << 4 | raw[6] >> 4)
        h = humidity_percent(trim, t, raw[10] << 8 | raw[11]) if trim[12:] else None
        self._trim = trim
        return ((t * 5 + 128 >> 8) / 100, p, h)[: len(self.quantities)]

    def _identify(self):
        chip = self._read(0xD0, 1)[0]
        if chip not in (0x56, 0x57, 0x58, 0x60):
            raise OSError(19)
        # Sleep first: the filter setting is ignored while another program's measurements run.
        self._write(0xF4, b"\0")
        self._write(0xF5, b"\0")
        raw = self._read(0x88, 26)
        trim = struct.unpack_from("<HhhHhhhhhhhh", raw)
        if chip == 0x60:
            h2, h3, h4, h45, h5, h6 = struct.unpack("<hBbBbb", self._read(0xE1, 7))
            trim += (raw[25], h2, h3, h4 * 16 + (h45 & 15), h5 * 16 + (h45 >> 4), h6)
        return trim

    def _read(self, register, size):
        buf = bytearray(size)
        self._i2c.readfrom_mem_into(self._address, register, buf)
        return buf

    def _write(self, register, data):
        self._i2c.writeto_mem(self._address, register, data)
