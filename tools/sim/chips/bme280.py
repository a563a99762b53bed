"""A BME280 or BMP280 at register level (Bosch BST-BME280-DS002 sections 3 to 6, BST-BMP280-DS001).

It searches for the raw values whose compensation gives the world's, with the data sheet's floating-point
formulas (section 8.1), so that a driver's integer ones are held against another form.
"""

MEASURE_MS = 9.3  # each quantity once, longest case (appendix B)

T = (27504, 26435, -1000)  # T and P: the worked example of BST-BMP280-DS001 section 3.12
P = (36477, -10685, 3024, 2855, 140, -7, 15500, -14600, 6000)
H = (75, 362, 0, 324, 50, 30)

# Registers: calibration, id, calibration of humidity, control and data.
READABLE = ((0x88, 0xA1), (0xD0, 0xD0), (0xE1, 0xE7), (0xF2, 0xF5), (0xF7, 0xFE))
RESERVED = (0xA0, 0xF6)  # a burst may run over these


def fine(raw):
    """Fine temperature, °C times 5120, of a raw one."""
    a = (raw / 16384 - T[0] / 1024) * T[1]
    b = raw / 131072 - T[0] / 8192
    return a + b * b * T[2]


def pressure_pa(t, raw):
    """Pa from fine temperature and raw pressure."""
    a = t / 2 - 64000
    b = a * a * P[5] / 32768 + a * P[4] * 2
    b = b / 4 + P[3] * 65536
    a = (P[2] * a * a / 524288 + P[1] * a) / 524288
    a = (1 + a / 32768) * P[0]
    p = (1048576 - raw - b / 4096) * 6250 / a
    return p + (P[8] * p * p / 2147483648 + p * P[7] / 32768 + P[6]) / 16


def humidity_percent(t, raw):
    """% from fine temperature and raw humidity, not cut to 0..100."""
    h = t - 76800
    h = (raw - (H[3] * 64 + H[4] / 16384 * h)) * (
        H[1] / 65536 * (1 + H[5] / 67108864 * h * (1 + H[2] / 67108864 * h))
    )
    return h * (1 - H[0] * h / 524288)


def inverse(function, wanted, bits):
    """The raw value whose rising `function` comes nearest below `wanted`."""
    raw = 0
    for bit in range(bits - 1, -1, -1):
        if function(raw | 1 << bit) <= wanted:
            raw |= 1 << bit
    return raw


def resolved(raw, oversampling):
    """A 20-bit raw value as it is given: 16 bits, one more for each doubling; 0x80000 when skipped."""
    if not oversampling:
        return 0x80000
    step = 16 >> min(oversampling - 1, 4)
    return min(raw + step // 2, 0xFFFFF) // step * step


def words(values):
    """16-bit words, low byte first."""
    return b"".join([bytes((value & 0xFF, value >> 8 & 0xFF)) for value in values])


class Chip:
    """`fault`: None, "missing" or "stuck" (both seen by the bus). `registers`: all 256, to be forged."""

    BUS = "i2c"
    ADDRESS = 0x76

    def __init__(self, world, options, clock_ms):
        self.fault = None
        self._world = world
        self._clock_ms = clock_ms
        self._humid = options.get("kind") != "bmp280"
        self.power_on()

    def power_on(self):
        """What a brown-out does: every register as after power-on, asleep, nothing measured."""
        self._ready_ms = None
        self._pointer = None
        self._humidity_on = False
        registers = self.registers = bytearray(256)
        registers[0x88:0xA0] = words(T + P)
        registers[0xD0] = 0x60 if self._humid else 0x58
        registers[0xF7:0xFD] = b"\x80\x00\x00\x80\x00\x00"
        if self._humid:
            registers[0xA1] = H[0]
            registers[0xE1:0xE8] = bytes(
                (H[1] & 0xFF, H[1] >> 8, H[2], H[3] >> 4, H[3] & 15 | (H[4] & 15) << 4, H[4] >> 4, H[5])
            )
            registers[0xFD:0xFF] = b"\x80\x00"

    def write(self, data):
        """The address to be read next alone, or pairs of address and value: writing does not advance."""
        self._settle()
        if len(data) == 1:
            self._pointer = data[0]
            return
        assert len(data) % 2 == 0, "bme280: a value without its register"
        for index in range(0, len(data), 2):
            self._set(data[index], data[index + 1])

    def read(self, size):
        """`size` bytes from the address written just before, which advances."""
        assert self._pointer is not None, "bme280: read without an address"
        self._settle()
        first, self._pointer = self._pointer, None
        for register in range(first, first + size):
            assert self._readable(register), "bme280: read of register 0x%02x" % register
        return bytes(self.registers[first : first + size])

    def _readable(self, register):
        if not self._humid and (0xE1 <= register <= 0xE7 or register in (0xF2, 0xFD, 0xFE)):
            return False
        return register in RESERVED or any([low <= register <= high for low, high in READABLE])

    def _set(self, register, value):
        asleep = self._ready_ms is None
        if register == 0xE0:
            assert value == 0xB6, "bme280: reset takes 0xB6"
            self.power_on()
            return
        known = (0xF2, 0xF4, 0xF5) if self._humid else (0xF4, 0xF5)
        assert register in known, "bme280: write of register 0x%02x" % register
        assert asleep or register != 0xF5, "bme280: config is ignored while it measures"
        self.registers[register] = value
        if register == 0xF4:
            assert value & 3 != 3, "bme280: normal mode is not modelled"
            # The humidity setting takes effect with this write (section 5.4.3).
            self._humidity_on = self.registers[0xF2] & 7 != 0
            if value & 3:
                self._ready_ms = self._clock_ms() + MEASURE_MS
                self.registers[0xF3] |= 8

    def _settle(self):
        """Put a measurement that is over into the registers, and go to sleep."""
        if self._ready_ms is None or self._clock_ms() < self._ready_ms:
            return
        self._ready_ms = None
        registers = self.registers
        registers[0xF3] &= ~8
        registers[0xF4] &= ~3
        world = self._world
        control = registers[0xF4]
        t_raw = resolved(inverse(fine, world("temperature") * 5120, 20), control >> 5)
        t = fine(t_raw)
        wanted_pa = world("pressure") * 100
        # Pressure falls as the raw value rises.
        p_raw = resolved(inverse(lambda raw: -pressure_pa(t, raw), -wanted_pa, 20), control >> 2 & 7)
        for register, raw in (0xF7, p_raw), (0xFA, t_raw):
            registers[register : register + 3] = bytes((raw >> 12, raw >> 4 & 0xFF, raw << 4 & 0xF0))
        if self._humid:
            h_raw = inverse(lambda raw: humidity_percent(t, raw), world("humidity"), 16)
            if not self._humidity_on:
                h_raw = 0x8000
            registers[0xFD:0xFF] = bytes((h_raw >> 8, h_raw & 0xFF))
