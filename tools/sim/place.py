"""What all nodes of a run share: time, network, name and time servers, the world that they measure, one seed."""

import math

from tools.sim.flash import Shelf
from tools.sim.loop import Loop
from tools.sim.network import Network, Path
from tools.sim.ntp import TimeServer
from tools.sim.world import World

BEGIN_S = 1_798_761_600  # 2027-01-01 00:00 UTC: when simulations begin
TIME_SERVERS = ("time-a", "time-b", "time-c")


class Place:
    """`say(t_s, node, text)`, where it is not None, gets what nodes log. `world_for(node)` makes a node's world: a
    function from a sensor's name to its world (see tools.sim.world.World.sensor); None is the built-in one."""

    def __init__(self, seed, say=None, world_for=None):
        self.seed = seed
        self.loop = Loop()
        self.network = Network(self.loop)
        self.broker = None
        self.shelf = Shelf()
        self.store = self.shelf.bound("store").Store
        self.bound = {name: self.shelf.bound(name) for name in ("segments", "segments_writer")}
        self.time_servers = {name: TimeServer() for name in TIME_SERVERS}
        self._say = say
        self._world_for = world_for

    def unix_s(self):
        """The true time in seconds, with fractions."""
        return BEGIN_S + self.loop.now_us / 1e6

    def path(self, name):
        return Path(self.loop, name)

    def world(self, name, number):
        """The world of one node, a function from a sensor's name to its world."""
        if self._world_for:
            return self._world_for(name, self.unix_s)
        return World(self.seed * 7919 + number, self.unix_s).sensor

    def clock_ms(self):
        """For chips that take their time."""
        return self.loop.now_us / 1e3

    def log(self, hardware):
        """A board's `log`."""
        if self._say is None:
            return _quiet
        return lambda text: self._say(self.loop.now_us / 1e6, hardware.name, text)


def _quiet(text):
    """Nobody listens."""


def whole_us(seconds):
    """Seconds as whole microseconds, rounded up."""
    return math.ceil(seconds * 1e6)
