"""An ESP32 that is not there: the modules that firmware/board.py imports, stricter than the real ones.

Where the port shrugs (a wrong argument, a second connect) these raise, and time is a 30-bit count that begins
just below its wrap and goes on only when somebody sleeps.
"""

import sys

from fakes import chip, clock, radio, wire

_modules = sys.modules  # found here while `sys` itself is a fake
_MODEL = "Generic ESP32S3 module with ESP32S3"


class Module:
    """A module made of names."""

    def __init__(self, **names):
        for name in names:
            setattr(self, name, names[name])


class Swapped:
    """`with Swapped(names):` has these modules in sys.modules."""

    def __init__(self, names):
        self._names = names
        self._before = {}

    def __enter__(self):
        for name in self._names:
            self._before[name] = _modules.get(name)
            _modules[name] = self._names[name]

    def __exit__(self, *error):
        for name in self._before:
            if self._before[name] is None:
                _modules.pop(name, None)  # who borrows a module forgets it at once
            else:
                _modules[name] = self._before[name]
        return False


class Esp32:
    """`with Esp32(root) as esp32:` for as long as its modules are to be imported; `root` is its flash.

    Knobs: `access_points` (radio.AccessPoint), `time_servers` (name -> function from a request to a list of
    replies), `cause`, `filesystem`, `model`, `clock`, `regions` (of the heap).
    """

    def __init__(self, root):
        self.root = root
        self.model = _MODEL
        self.cause = 1
        self.wake = 0
        self.wakers = []  # (GPIO, level) that were armed for the deep sleep
        self.rtc = b""
        self.filesystem = "VfsLfs2"
        self.clock = clock.Clock()
        self.access_points = []
        self.time_servers = {}
        self.regions = [(240, 0, 0, 0), (79912, 35712, 31744, 30000), (113840, 61000, 49152, 40000)]
        self.watchdog = None
        self.radio_cycles = 0
        self.power_modes = []  # of the radio: (mode, whether it was joined) as they were set
        self.hz = 160_000_000
        self.sockets = 0
        self.stream = wire.Stream()
        # The board imports these when a driver asks for them.
        onewire = Module(OneWire=chip.OneWire)
        self._late = Swapped({"onewire": onewire, "dht": Module(dht_readinto=chip.dht_readinto)})

    def __enter__(self):
        self._late.__enter__()
        return self

    def __exit__(self, *error):
        return self._late.__exit__(*error)

    def board(self):
        """A Board on this chip, as after a reset."""
        modules = {
            "machine": chip.Machine(self),
            "network": radio.Network(self),
            "esp32": chip.Esp(self),
            "vfs": chip.Vfs(self),
            "time": self.clock,
            "asyncio": clock.Asyncio(self.clock),
            "gc": Module(collect=lambda: None, mem_free=lambda: 100_000),
            "socket": wire.Socket(self),
            "stream": self.stream,
            "sys": Module(
                implementation=Module(version=(1, 29, 0, "preview"), _machine=self.model), modules=_modules
            ),
        }
        _modules.pop("firmware.board", None)
        with Swapped(modules):
            from firmware.board import Board
        return Board(self.root)
