"""A board with simulated chips, a world that the test sets, and a clock that only waiting moves."""

from tools.sim.bus import Buses

_PERIOD_MS = 1 << 30  # an ESP32's ticks wrap here, and begin below it, so that every test meets the wrap


class Bench:
    """`sensors`: as in a configuration. `world`: what they meet; `worlds[name]`: what one meets instead."""

    def __init__(self, sensors, world=None):
        self.world = world or {}
        self.worlds = {}
        self.now_ms = 0.0
        self.buses = Buses(sensors, self._world_for, lambda: self.now_ms)
        self.chips = self.buses.chips
        for name in ("i2c", "input_pin", "output_pin", "adc", "onewire", "dht"):
            setattr(self, name, getattr(self.buses, name))

    def ticks_ms(self):
        return (int(self.now_ms) + _PERIOD_MS - 1500) % _PERIOD_MS

    def ticks_diff(self, a, b):
        return (a - b + _PERIOD_MS // 2) % _PERIOD_MS - _PERIOD_MS // 2

    def wait_ms(self, ms):
        self.now_ms += ms

    def measure(self, driver):
        """What the sampler does: start, wait as long as the driver says, read."""
        self.wait_ms(driver.start())
        return driver.read()

    def _world_for(self, name):
        return lambda quantity: self.worlds.get(name, self.world)[quantity]


def driver(name, board, options):
    """A driver as a node gets it."""
    return __import__("firmware.drivers." + name, None, None, ("Driver",)).Driver(board, options)


def one(name, world=None, **options):
    """(bench, driver, chip) of a board with one sensor."""
    options["driver"] = name
    bench = Bench({"it": options}, world)
    return bench, driver(name, bench, options), bench.chips["it"]


class Answers:
    """A bus that gives these bytes to whoever reads: for the frames that a data sheet prints."""

    def __init__(self, data):
        self._data = data

    def i2c(self, bus):
        return self

    def writeto(self, address, buf):
        """Nothing listens."""

    def readfrom_into(self, address, buf):
        buf[:] = self._data
