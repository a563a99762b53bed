"""`machine`, `esp32`, `onewire` and `dht` of the virtual board. The chips on its buses live in another process, and so
does what has to outlive this one: the watchdog, the cause of the last reset."""

import time


class Module:
    """A module made of names."""


def machine(options, wire, tell):
    """`machine`; what ends the process is told, and does not return."""
    module = Module()
    module.PWRON_RESET, module.HARD_RESET, module.WDT_RESET, module.DEEPSLEEP_RESET, module.SOFT_RESET = 1, 2, 3, 4, 5
    module.Pin = _pins(options["pins"], wire)
    module.ADC = _adcs(options["adc_pins"], wire)
    module.I2C = module.SoftI2C = _buses(options["buses"], wire)
    module.WDT = _watchdogs(tell)
    module.RTC = Rtc
    module.unique_id = lambda: bytes(options["mac"])
    module.reset_cause = lambda: options["cause"]
    module.freq = _frequency()
    module.reset = lambda: end(tell, "reset", "")
    module.deepsleep = lambda ms=0: end(tell, "sleep", ms)
    return module


def _frequency():
    now = [160_000_000]

    def freq(*hz):
        if not hz:
            return now[0]
        if hz[0] not in (20_000_000, 40_000_000, 80_000_000, 160_000_000, 240_000_000):
            raise ValueError("frequency must be 20MHz, 40MHz, 80Mhz, 160MHz or 240MHz")
        now[0] = hz[0]

    return freq


def end(tell, kind, value):
    tell(kind, value)
    while True:
        time.sleep(1)


def _pins(numbers, wire):
    class Pin:
        IN, OUT, OPEN_DRAIN = 1, 3, 7
        PULL_DOWN, PULL_UP = 1, 2
        IRQ_RISING, IRQ_FALLING = 1, 2

        def __init__(self, number, mode=-1, pull=-1, value=None):
            if not isinstance(number, int) or number not in numbers["all"]:
                raise ValueError("invalid pin")
            if mode == Pin.OUT and number in numbers["input_only"]:
                raise ValueError("pin can only be input")
            self.number = number
            self._mode = mode
            self._pull = pull
            self._level = 0

        def value(self, *level):
            if self._mode == Pin.OUT:
                if level:
                    self._level = level[0]
                    wire.output_pin(self.number).value(int(bool(level[0])))
                return self._level
            try:
                return wire.input_pin(self.number).value()
            except OSError:  # nothing is connected
                return 1 if self._pull == Pin.PULL_UP else 0

        def irq(self, handler, trigger=3):
            wire.input_pin(self.number).irq(lambda _: handler(self))

    return Pin


def _adcs(pins, wire):
    class Adc:
        ATTN_0DB, ATTN_11DB = 0, 3

        def __init__(self, pin, atten=0):
            number = pin if isinstance(pin, int) else pin.number
            if number not in pins:
                raise ValueError("invalid pin")
            self._port = wire.adc(number)

        def read_uv(self):
            return self._port.read_uv()

    return Adc


def _buses(count, wire):
    class I2c:
        def __init__(self, bus=0, scl=None, sda=None, freq=400_000):
            if not 0 <= bus < count:
                raise ValueError("I2C(%d) doesn't exist" % bus)
            port = wire.i2c(bus)
            for name in ("scan", "writeto", "readfrom_into", "writeto_mem", "readfrom_mem_into"):
                setattr(self, name, getattr(port, name))

        def readfrom_mem(self, address, register, count):
            buf = bytearray(count)
            self.readfrom_mem_into(address, register, buf)
            return bytes(buf)

    return I2c


def _watchdogs(tell):
    class Wdt:
        """Each new one sets the period of the only one there is."""

        def __init__(self, id=0, timeout=5000):
            if timeout <= 0:
                raise ValueError("WDT timeout too short")
            tell("watchdog", timeout)

        def feed(self):
            tell("feed")

    return Wdt


class Rtc:
    """The clock: this computer's own, which nobody sets."""

    def datetime(self, value=None):
        return time.gmtime()

    def memory(self, *data):
        return b""


def esp32():
    """`esp32`"""
    module = Module()
    module.HEAP_DATA = 4
    module.idf_heap_info = lambda capabilities: [(240, 0, 0, 0), (113840, 61000, 49152, 40000)]
    return module


def onewire(wire):
    """`onewire`"""
    module = Module()
    module.OneWire = lambda pin: wire.onewire(pin.number)
    return module


def dht(wire):
    """`dht`"""
    module = Module()
    module.dht_readinto = lambda pin, buf: wire.dht(pin.number).measure(buf)
    return module
