"""`machine`, `esp32`, `vfs`, `onewire` and `dht` of a fake ESP32."""

CHIP_ADDRESS = 0x44  # the only chip on I2C bus 0: every read gives its registers, 0x11 each
SENSOR_PIN = 4  # where a 1-Wire chip and a DHT are


class Reset(BaseException):
    """What a reset is here: nothing after it runs."""


class Machine:
    """`machine`"""

    TIMER_WAKE = 4
    EXT0_WAKE = 2

    def __init__(self, esp32):
        self._esp32 = esp32
        self.Pin = Pin
        self.ADC = Adc
        self.I2C = I2c
        self.WDT = self._watchdog

    def unique_id(self):
        return b"\x24\x6f\x28\xa1\xb2\xc3"

    def reset_cause(self):
        return self._esp32.cause

    def wake_reason(self):
        return self._esp32.wake

    def freq(self, *hz):
        if not hz:
            return self._esp32.hz
        if hz[0] not in (20_000_000, 40_000_000, 80_000_000, 160_000_000, 240_000_000):
            raise ValueError("frequency must be 20MHz, 40MHz, 80Mhz, 160MHz or 240MHz")
        self._esp32.hz = hz[0]

    def reset(self):
        raise Reset("reset")

    def deepsleep(self, ms):
        assert isinstance(ms, int) and ms > 0
        raise Reset("deep sleep", ms)

    def RTC(self):
        return Rtc(self._esp32)

    def _watchdog(self, *, timeout):
        assert isinstance(timeout, int) and 0 < timeout < 1 << 31
        self._esp32.watchdog = self._esp32.watchdog or Watchdog(self._esp32.clock, timeout)
        return self._esp32.watchdog


class Watchdog:
    def __init__(self, clock, timeout_ms):
        self.timeout_ms = timeout_ms
        self._clock = clock
        self.fed_ms = clock.now_ms

    def feed(self):
        if self._clock.now_ms - self.fed_ms > self.timeout_ms:
            raise Reset("watchdog")
        self.fed_ms = self._clock.now_ms


class Rtc:
    def __init__(self, esp32):
        self._esp32 = esp32
        self._clock = esp32.clock

    def memory(self, *data):
        if not data:
            return self._esp32.rtc
        if len(data[0]) > 2_048:
            raise ValueError("buffer too long")
        self._esp32.rtc = bytes(data[0])

    def datetime(self, value):
        """Set it: (year, month, day, weekday, hour, minute, second, microsecond)."""
        year, month, day, weekday, hour, minute, second, microsecond = value
        assert 2000 <= year < 2100 and 0 <= weekday <= 7 and 0 <= microsecond < 1_000_000
        self._clock.set(_days(year, month, day) * 86400 + hour * 3600 + minute * 60 + second, microsecond)


def _days(year, month, day):
    """Days since 1970, by counting."""
    days = sum([366 if y % 4 == 0 else 365 for y in range(1970, year)])  # right from 1901 to 2099
    lengths = (31, 29 if year % 4 == 0 else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
    return days + sum(lengths[: month - 1]) + day - 1


class Pin:
    IN = 1
    OUT = 3
    PULL_DOWN = 1
    PULL_UP = 2

    def __init__(self, number, mode=-1, pull=-1):
        if not isinstance(number, int) or not 0 <= number < 40:
            raise ValueError("invalid pin")
        if mode == Pin.OUT and number >= 34:
            raise ValueError("pin can only be input")
        self.number = number
        self.mode = mode
        self.pull = pull
        self.handler = None
        self._level = 1 if pull == Pin.PULL_UP else 0

    def value(self, *level):
        if not level:
            return self._level
        assert self.mode == Pin.OUT
        self._level = int(bool(level[0]))

    def irq(self, handler):
        """Without a trigger: both edges, as this port has it."""
        assert self.mode == Pin.IN
        self.handler = handler

    def drive(self, level):
        """What happens outside: a level, and the interrupt that a change of it is."""
        if level != self._level:
            self._level = level
            self.handler(self)


class Adc:
    ATTN_0DB = 0
    ATTN_11DB = 3

    def __init__(self, number, *, atten):
        if number not in range(32, 40):
            raise ValueError("invalid pin")
        self._atten = atten

    def read_uv(self):
        return 1_650_000 if self._atten == Adc.ATTN_11DB else 950_000


class I2c:
    def __init__(self, bus, *, freq, scl=None, sda=None):
        if bus not in (0, 1):
            raise ValueError("I2C(%d) doesn't exist" % bus)
        assert freq == 100_000
        assert (scl is None) == (sda is None)
        self._bus = bus
        self.pins = scl, sda

    def scan(self):
        return [] if self._bus else [CHIP_ADDRESS]

    def writeto(self, address, buf):
        self._chip(address)

    def readfrom_into(self, address, buf):
        self._chip(address)
        buf[:] = b"\x11" * len(buf)

    def writeto_mem(self, address, register, buf):
        self._chip(address)

    def readfrom_mem_into(self, address, register, buf):
        self.readfrom_into(address, buf)

    def _chip(self, address):
        if self._bus or address != CHIP_ADDRESS:
            raise OSError(19)


class OneWire:
    """Of the module `onewire`."""

    def __init__(self, pin):
        assert isinstance(pin, Pin)
        self._there = pin.number == SENSOR_PIN

    def reset(self, required=False):
        return self._there

    def write(self, buf):
        assert len(buf)

    def readinto(self, buf):
        for i in range(len(buf)):
            buf[i] = 0xFF

    def scan(self):
        return [b"\x28\x01\x02\x03\x04\x05\x06\x07"] if self._there else []


def dht_readinto(pin, buf):
    """Of the module `dht`."""
    assert isinstance(pin, Pin) and len(buf) == 5
    if pin.number != SENSOR_PIN:
        raise OSError(116)
    buf[:] = b"\x02\x8c\x01\x5f\xee"


class Esp:
    """`esp32`"""

    HEAP_DATA = 4
    WAKEUP_ALL_LOW = False
    WAKEUP_ANY_HIGH = True

    def __init__(self, esp32):
        self._esp32 = esp32

    def wake_on_ext0(self, pin, level):
        if pin.number not in (0, 2, 4, 25, 26, 27, 32, 33, 34, 35, 36, 39):
            raise ValueError("invalid pin")  # not one that the sleeping half of the chip has
        self._esp32.wakers.append((pin.number, level))

    def idf_heap_info(self, capabilities):
        assert capabilities == Esp.HEAP_DATA
        return self._esp32.regions


class VfsLfs2:
    """What littlefs is known by."""


class VfsFat:
    """And FAT."""


class Vfs:
    """`vfs`"""

    def __init__(self, esp32):
        self._esp32 = esp32

    def mount(self):
        kind = VfsFat if self._esp32.filesystem == "VfsFat" else VfsLfs2
        return [(VfsFat(), "/card"), (kind(), "/")]
