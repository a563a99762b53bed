"""Buses and pins with simulated chips on them, as a board offers them. On both Pythons.

A configuration's sensors name the chips; what they do not name is not there: OSError(19).
"""

import time

NOT_THERE = 19  # ENODEV
STUCK = 110  # ETIMEDOUT: what `machine.I2C` says when a line is held low


def real_clock_ms():
    """Milliseconds that never wrap, for chips that take their time."""
    return time.monotonic() * 1000 if hasattr(time, "monotonic") else time.ticks_ms()


class Buses:
    """`sensors`: that section of a configuration. `world_for(name)`: the world of one sensor, a function from
    a quantity to its value. `clock_ms()`: milliseconds that never wrap. `chips`: by the sensor's name, to set
    a `fault` or to `power_on()`.

    Somebody has to call `poll()` every 20 to 100 ms while a pin has a handler.
    """

    def __init__(self, sensors, world_for, clock_ms=real_clock_ms):
        self.chips = {}
        self._clock_ms = clock_ms
        self._places = {}
        self.place(sensors or {}, world_for)

    def place(self, sensors, world_for):
        """Put a chip where each sensor says that it is, unless there is one; some drivers have none."""
        for name in sorted(sensors):
            options = sensors[name] or {}  # null: no sensor of that name
            try:
                module = __import__("tools.sim.chips." + options.get("driver", ""), None, None, ("Chip",))
            except ImportError:
                continue
            kind = module.Chip.BUS
            number = options.get("bus") or 0 if kind == "i2c" else options.get("pin")
            if number is None:
                continue
            bus = self._bus(kind, number)
            address = options.get("address") or getattr(module.Chip, "ADDRESS", options.get("rom"))
            if address not in bus.chips:
                bus.chips[address] = module.Chip(world_for(name), options, self._clock_ms)
            self.chips[name] = bus.chips[address]

    def i2c(self, bus):
        """An I2C bus; empty when no sensor is on it."""
        return self._bus("i2c", bus)

    def input_pin(self, number, pull=None):
        """A digital input; OSError when no sensor is on it."""
        return self._occupied("pin", number)

    def output_pin(self, number):
        """A digital output that remembers its level."""
        return self._bus("output", number)

    def adc(self, number):
        """An analog input; OSError when no sensor is on it."""
        return self._occupied("adc", number)

    def onewire(self, number):
        """A 1-Wire bus; OSError when no sensor is on it."""
        return self._occupied("onewire", number)

    def dht(self, number):
        """A DHT22's wire; OSError when no sensor is on it."""
        return self._occupied("dht", number)

    def poll(self):
        """Let the digital inputs follow the world, and call the handlers of those that changed."""
        for place in self._places:
            if place[0] == "pin":
                self._places[place].poll()

    def _occupied(self, kind, number):
        if (kind, number) not in self._places:
            raise OSError(NOT_THERE)
        return self._places[(kind, number)]

    def _bus(self, kind, number):
        if (kind, number) not in self._places:
            self._places[(kind, number)] = KINDS[kind]()
        return self._places[(kind, number)]


class I2c:
    """One I2C bus: `chips` by address."""

    def __init__(self):
        self.chips = {}

    def scan(self):
        """Addresses that answer."""
        return [address for address in sorted(self.chips) if self.chips[address].fault != "missing"]

    def writeto(self, address, buf):
        """One write transfer."""
        self._chip(address).write(bytes(buf))

    def readfrom_into(self, address, buf):
        """One read transfer."""
        buf[:] = self._chip(address).read(len(buf))

    def writeto_mem(self, address, register, buf):
        """One write transfer that begins with the register's address."""
        self._chip(address).write(bytes((register,)) + bytes(buf))

    def readfrom_mem_into(self, address, register, buf):
        """The register's address, then a read transfer."""
        chip = self._chip(address)
        chip.write(bytes((register,)))
        buf[:] = chip.read(len(buf))

    def _chip(self, address):
        for chip in self.chips.values():
            if chip.fault == "stuck":
                raise OSError(STUCK)
        chip = self.chips.get(address)
        if chip is None or chip.fault == "missing":
            raise OSError(NOT_THERE)
        return chip


class OneWire:
    """One 1-Wire bus: `chips` by ROM as the configuration writes it."""

    def __init__(self):
        self.chips = {}
        self._stuck = False

    def reset(self):
        """Whether any chip answered; a bus that is held low looks as if."""
        self._stuck = any([chip.fault == "stuck" for chip in self.chips.values()])
        for chip in self._present():
            chip.reset()
        return self._stuck or len(self._present()) > 0

    def write(self, buf):
        """Bytes to every chip."""
        for byte in buf:
            for chip in self._present():
                chip.write(byte)

    def readinto(self, buf):
        """Bytes from every chip at once: a 0 bit of one wins."""
        for index in range(len(buf)):
            byte = 0 if self._stuck else 0xFF
            for chip in self._present():
                byte &= chip.read()
            buf[index] = byte

    def scan(self):
        """The ROMs of all chips."""
        return sorted([chip.rom for chip in self._present()])

    def _present(self):
        return [chip for chip in self.chips.values() if chip.fault != "missing"]


class Single:
    """A pin with one chip, whose methods it lends."""

    def __init__(self):
        self.chips = {}

    def _chip(self):
        return next(iter(self.chips.values()))


class Adc(Single):
    """An analog input."""

    def read_uv(self):
        """Microvolts."""
        return self._chip().read_uv()


class Dht(Single):
    """A DHT22's wire."""

    def measure(self, buf):
        """Fill the five bytes of a frame."""
        self._chip().measure(buf)


class InputPin(Single):
    """A digital input."""

    def __init__(self):
        self.chips = {}
        self._handler = None

    def value(self):
        """0 or 1."""
        return self._chip().value()

    def irq(self, handler):
        """`handler(pin)` at both edges, from `Buses.poll()`."""
        self._handler = handler

    def poll(self):
        """Follow the world; call the handler after an edge."""
        chip = self._chip()
        if chip.fault == "missing":
            return
        before = chip.value()
        chip.poll()
        if self._handler and chip.value() != before:
            self._handler(self)


class OutputPin:
    """A digital output."""

    def __init__(self):
        self.level = 0

    def value(self, level):
        """Set the level."""
        self.level = level


KINDS = {"i2c": I2c, "onewire": OneWire, "adc": Adc, "dht": Dht, "pin": InputPin, "output": OutputPin}
