"""A simulated board: one node's hardware, which outlives its resets, and the board that each start of the node gets.

The contract is the one that every board passes: tests/device/test_board_contract.py.
"""

import asyncio
from binascii import crc32

import drift
import sntp
import wifi
from tools.sim.flash import Flash
from tools.sim.loop import Event
from tools.sim.ntp import Sockets
from tools.sim.radio import Wlan

TICKS_PERIOD_MS = 1 << 30  # an ESP32's
FIRST_TICKS_MS = TICKS_PERIOD_MS - 5_000  # so that every simulated node meets the wrap, five seconds after its start
WATCHDOG_US = 120_000_000  # as in firmware/board.py
DNS_TIMEOUT_S = 7  # a lookup without an answer, as measured on an ESP32
YEAR_2000_MS = 946_684_800_000  # where an ESP32's clock begins when nobody has set it
_64_BITS = (1 << 64) - 1
_NO_DEVICE = 19
_RAM_FREE = 60_000  # of the heap, when nothing else is said


class Reset(BaseException):
    """The program asked for a reset, or for deep sleep of args[1] milliseconds."""


class Hardware:
    """What outlives a reset. `name` is the node's place in the run; `world` has what every node shares (see World).

    Knobs: `drift_ppm` of its clock, `flash`, `wlan`, `path`, `buses`, `dns` ("ok", "fails", "silent"), `heap_free`.
    """

    def __init__(self, world, name, number, points, config):
        self.world = world
        self.loop = world.loop
        self.name = name
        self.mac = "24:6f:28:" + number.to_bytes(3, "big").hex(":")
        self.config = config
        self.path = world.path(name)
        self.flash = Flash()
        world.shelf.flashes[name] = self.flash
        self.points = points
        self.wlan = Wlan(world.loop, self.path, points)
        self.buses = None
        self.drift_ppm = 0
        self.dns = "ok"
        self.heap_free = _RAM_FREE
        self.rtc = None  # (Unix ms, its clock in us then), None after a loss of power
        self.memory = b""  # what outlives a reset and deep sleep
        self.starts = 0

    def local_us(self):
        """This board's own count of microseconds since the simulation began, which drifts."""
        return self.loop.now_us * (1_000_000 + self.drift_ppm) // 1_000_000


class Board:
    """One start of a node on `hardware`. `ended(why)` is called when the watchdog bites; `die` cuts it off."""

    family = "sim"
    chips = "simulated"
    model = "simulated ESP32"
    interpreter = "CPython 3.10.0"  # at least; a run says the same whichever it is

    def __init__(self, hardware, reset_cause="power-on", ended=None):
        self._hardware = hardware
        self.reset_cause = reset_cause
        hardware.starts += 1
        self.mac = hardware.mac
        self.default_id = "sim-" + self.mac[9:].replace(":", "")
        self.files = hardware.world.store("/" + hardware.name + "/state")
        self._chance = crc32(f"{hardware.world.seed}/{hardware.name}/{hardware.starts}".encode())
        self.i2c_pins = None, None
        self.hints = None
        self.clock_refused = 0
        self.drift = 0, 0
        self.woken_by_pin = False
        self.dead = False
        self.log = hardware.world.log(hardware)
        self._loop = hardware.loop
        self._began_us = hardware.local_us()
        self._ended = ended
        self._fed_us = None
        self._sockets = Sockets(self._loop, hardware.path, hardware.world.time_servers, hardware.world.unix_s,
                                self._resolves)

    def random(self):
        """SplitMix64 (Steele, Lea, Flood 2014): eight bytes of state, where random.Random has 2.5 KB."""
        self._chance = (self._chance + 0x9E3779B97F4A7C15) & _64_BITS
        mixed = ((self._chance ^ self._chance >> 30) * 0xBF58476D1CE4E5B9) & _64_BITS
        mixed = ((mixed ^ mixed >> 27) * 0x94D049BB133111EB) & _64_BITS
        return ((mixed ^ mixed >> 31) >> 11) / (1 << 53)

    def die(self):
        """Whatever this start of the node still tries has no effect."""
        self.dead = True
        self._hardware.path.vanish()

    # Time

    def ticks_ms(self):
        hardware = self._hardware
        local_us = hardware.loop.now_us * (1_000_000 + hardware.drift_ppm) // 1_000_000
        return (FIRST_TICKS_MS + (local_us - self._began_us) // 1_000) % TICKS_PERIOD_MS

    def ticks_diff(self, a, b):
        half = TICKS_PERIOD_MS // 2
        return (a - b + half) % TICKS_PERIOD_MS - half

    def ticks_add(self, a, ms):
        if not -TICKS_PERIOD_MS // 2 < ms < TICKS_PERIOD_MS // 2:
            raise OverflowError("ticks interval overflow")
        return (a + ms) % TICKS_PERIOD_MS

    def sleep_ms(self, ms):
        """At least so many of its own milliseconds."""
        return asyncio.sleep(ms * 1000 / (1_000_000 + self._hardware.drift_ppm))

    def time_s(self):
        """Unix seconds, None while nobody has told them since the power came."""
        return None if self._hardware.rtc is None else self.clock_ms() // 1_000

    async def sync_time(self, servers):
        """Set the clock with lib/sntp. OSError: no server answers."""
        unix_ms = await sntp.ask(servers, self._sockets, self, self.time_s())
        if not self.dead:
            self.drift = drift.learned(self.drift, self.clock_ms(), unix_ms)
            self._hardware.rtc = unix_ms, self._hardware.local_us()

    def guess_time(self):
        """Nothing here judges certificates."""

    def clock_ms(self):
        rtc, local_us = self._hardware.rtc, self._hardware.local_us()
        shown_ms = YEAR_2000_MS + local_us // 1_000 if rtc is None else rtc[0] + (local_us - rtc[1]) // 1_000
        return shown_ms + (shown_ms // 1000 - self.drift[0]) * self.drift[1] // 1000

    def awake_ms(self):
        return (self._hardware.local_us() - self._began_us) // 1_000

    def flag(self):
        return Flag()

    # Chips

    def i2c(self, bus):
        return self._buses().i2c(bus)

    def input_pin(self, number, pull=None):
        return self._buses().input_pin(number, pull)

    def output_pin(self, number):
        return self._buses().output_pin(number)

    def adc(self, number):
        return self._buses().adc(number)

    def onewire(self, number):
        return self._buses().onewire(number)

    def dht(self, number):
        return self._buses().dht(number)

    def _buses(self):
        if self._hardware.buses is None:
            raise OSError(_NO_DEVICE)
        return self._hardware.buses

    # Network

    async def join(self, networks):
        """With lib/wifi. Raises OSError with a reason."""
        await wifi.join(self._hardware.wlan, networks, self)

    def save_power(self, wanted):
        """Currents are not simulated."""

    def joined(self):
        return not self.dead and self._hardware.wlan.isconnected()

    async def leave(self):
        self._hardware.wlan.active(False)

    def address(self):
        return self._hardware.wlan.ifconfig()[0] if self.joined() else None

    def rssi(self):
        return self._hardware.wlan.status("rssi") if self.joined() else None

    def keep_address(self):
        """Each stream looks its host up anew."""

    def _resolves(self):
        return self.joined() and self._hardware.dns == "ok"

    async def open_stream(self, host, port, tls):
        """A Stream to host:port. Raises OSError; no deadline of its own."""
        if tls is not None:
            raise OSError("the simulated network has no TLS")
        if not self.joined():
            raise OSError(118, "no Wi-Fi")
        if self._hardware.dns == "silent" or self._hardware.dns == "fails":
            await asyncio.sleep(DNS_TIMEOUT_S if self._hardware.dns == "silent" else 0.02)
            raise OSError(f"cannot resolve {host}: -2")
        if ".." in host:
            raise OSError(f"cannot resolve {host}: no host name")
        return await self._hardware.world.network.connect(self._hardware.path, host, port)

    # The rest

    def feed(self):
        """The first call starts the watchdog, and nothing stops it again."""
        first = self._fed_us is None
        self._fed_us = self._loop.now_us
        if first:
            self._loop.after_us(WATCHDOG_US, self._watch)

    def _watch(self):
        if self.dead:
            return
        due_us = self._fed_us + WATCHDOG_US
        if self._loop.now_us >= due_us:
            self._ended("watchdog")
        else:
            self._loop.at_us(due_us, self._watch)

    def memory(self):
        return self._hardware.heap_free, None, None

    def reset(self):
        raise Reset("reset")

    def rtc_read(self):
        return self._hardware.memory

    def rtc_write(self, data):
        if not self.dead:
            self._hardware.memory = bytes(data)

    def deep_sleep(self, ms, pin=None):
        """For `ms`; simulated pins wake nobody."""
        raise Reset("deep-sleep", ms)

    def read_config(self):
        if self._hardware.config is None:
            raise OSError("no config.json: write it from config.json.example")
        return self._hardware.config


class Flag(Event):
    """Nothing here interrupts Python, so an event of the loop is safe enough; it clears when waited for."""

    __slots__ = ()

    async def wait(self):
        await super().wait()
        self.clear()
