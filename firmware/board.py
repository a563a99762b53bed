"""The ESP32 as a board: the only file that imports machine, network and esp32."""

import asyncio
import gc
import os
import random
import socket
import sys
import time

import esp32
import machine
import network
import vfs

import stream
from store import Store

_YEARS_30_S = 946684800  # from 1970 to 2000, where the clock of this port begins to count
_FIRST_S = 1767225600  # 2026-01-01: before this code, so a clock that says less was never set
_CLOCK = "clock"  # in the store: the last known time in seconds, negative while the clock shows a guess
_DAY_S = 86_400
_PATIENCE = 24  # most of a day, as attempts become hourly
_CAUSES = ("unknown", "power-on", "hard", "watchdog", "deep-sleep", "soft")  # by machine.reset_cause()
# A name lookup without an answer blocks for 12 s, a handshake for seconds: a few in a row are no hang.
_WATCHDOG_MS = 120_000


class Board:
    """The contract: tests/device/test_board_contract.py. `root` is where the flash is mounted.

    Raises OSError when that is not littlefs.
    """

    chips = "real"
    ticks_ms = staticmethod(time.ticks_ms)
    ticks_diff = staticmethod(time.ticks_diff)
    ticks_add = staticmethod(time.ticks_add)
    sleep_ms = staticmethod(asyncio.sleep_ms)
    random = staticmethod(random.random)
    log = staticmethod(print)
    reset = staticmethod(machine.reset)
    flag = asyncio.ThreadSafeFlag

    def __init__(self, root=""):
        self._config = root + "/config.json"
        self.model = sys.implementation._machine
        self.family = _family(self.model)
        self.mac = ":".join(["%02x" % byte for byte in machine.unique_id()])
        self.default_id = self.family + "-" + self.mac[9:].replace(":", "")
        self.interpreter = "MicroPython %d.%d.%d" % tuple(sys.implementation.version[:3])
        cause = machine.reset_cause()
        self.reset_cause = _CAUSES[cause if 0 < cause < len(_CAUSES) else 0]
        self.woken_by_pin = self.reset_cause == "deep-sleep" and machine.wake_reason() != machine.TIMER_WAKE
        self.files = Store(_state_folder(root))
        self._epoch_s = 0 if time.gmtime(0)[0] == 1970 else _YEARS_30_S
        self.hints = None  # what makes the next join quick, for JSON: lib/rejoin.py, and addresses of hosts
        self.i2c_pins = None, None  # of bus 0, (SCL, SDA): None is the port's own choice
        self._clock_s = int(self.files.load(_CLOCK) or 0)
        self._buses, self._addresses, self._tried = {}, {}, None
        self._wlan, self._waking = None, True
        self._full_hz = None  # of the CPU, while it goes slowly to save power
        self._watchdog = None
        self._doubts = 0  # attempts to set the clock, one after the other, that failed
        self.drift = 0, 0  # of the clock: when it was last set (Unix seconds), by how many ppm it is slow
        self.clock_refused = 0  # answers of time servers that were none, or not believed
        random.seed(int.from_bytes(os.urandom(4), "little"))

    def time_s(self):
        """Unix seconds, None while nobody has told them."""
        now_s = self.clock_ms() // 1000
        return now_s if self._clock_s >= 0 and now_s >= _FIRST_S else None

    def clock_ms(self):
        """Milliseconds of the clock that goes on through deep sleep, corrected by `drift`; jumps when it is set."""
        shown_ms = time.time_ns() // 1_000_000 + 1000 * self._epoch_s
        return shown_ms + (shown_ms // 1000 - self.drift[0]) * self.drift[1] // 1000

    awake_ms = staticmethod(time.ticks_ms)  # since this start, where ticks begin

    async def sync_time(self, servers):
        """Set the clock as lib/sntp.py says; it survives a reset. OSError: no server answers, or none can be right."""
        patient = self._doubts < _PATIENCE  # else what was believed may be what is wrong
        shown_s, floor_s = (self.time_s(), max(_FIRST_S, abs(self._clock_s))) if patient else (None, _FIRST_S)
        self._doubts += 1
        now_ms = await _lent("sntp").ask(servers, socket, self, shown_s, floor_s)
        now_s, self._doubts = now_ms // 1000, 0
        self.drift = _lent("drift").learned(self.drift, self.clock_ms(), now_ms)
        self._show(now_ms)
        if self._clock_s < 0 or abs(now_s - self._clock_s) > _DAY_S:
            self._keep(now_s)

    def guess_time(self):
        """Unless set let the clock show what is surely past: certificates are judged by it, readings have none."""
        if self.time_s() is None:
            floor_s = max(_FIRST_S, abs(self._clock_s))
            if self._clock_s >= 0:
                self._keep(-floor_s)  # first, or a reset would make a truth of it
            if self.clock_ms() < 1000 * floor_s:
                self._show(1000 * floor_s)

    def _keep(self, clock_s):
        self.files.save(_CLOCK, str(clock_s).encode())
        self._clock_s = clock_s

    def _show(self, unix_ms):
        now = time.gmtime(unix_ms // 1000 - self._epoch_s)
        machine.RTC().datetime(now[:3] + (now[6],) + now[3:6] + (unix_ms % 1000 * 1000,))

    def i2c(self, bus):
        if bus not in self._buses:
            scl, sda = self.i2c_pins if bus == 0 else (None, None)
            pins = {} if scl is None or sda is None else {"scl": machine.Pin(scl), "sda": machine.Pin(sda)}
            self._buses[bus] = _device(machine.I2C, bus, freq=100_000, **pins)
        return self._buses[bus]

    def input_pin(self, number, pull=None):
        pulls = {"up": machine.Pin.PULL_UP, "down": machine.Pin.PULL_DOWN}
        return _device(machine.Pin, number, machine.Pin.IN, pulls.get(pull))

    def output_pin(self, number):
        return _device(machine.Pin, number, machine.Pin.OUT)

    def adc(self, number):
        return _device(machine.ADC, number, atten=machine.ADC.ATTN_11DB)  # the widest range, 2.45 V at least

    def onewire(self, number):
        from onewire import OneWire

        return OneWire(_device(machine.Pin, number))

    def dht(self, number):
        from dht import dht_readinto

        return _lent("dht_pin").Dht(_device(machine.Pin, number), dht_readinto)

    async def join(self, networks):
        """Join the best of `networks`, as lib/wifi.py says. Raises OSError with a reason."""
        if self._wlan is None:  # takes 34 KB of the memory that TLS lives on, so not before it is needed
            self._wlan = network.WLAN(network.STA_IF)
        hints, self.hints, self._waking = self.hints if self._waking else None, None, False  # later: no old lease
        if hints is None or not await _lent("rejoin").rejoin(self._wlan, networks, self, hints):
            found = await _lent("wifi").join(self._wlan, networks, self)
            hints = list(found) + [self._wlan.ifconfig(), self.clock_ms() // 1000, {}]
        self.hints = hints
        if self._full_hz:
            _lent("modem_sleep").doze(self._wlan, True)

    def save_power(self, wanted):
        """Keep the link with less power from now on, or as usual again: lib/modem_sleep.py."""
        if wanted != bool(self._full_hz):
            self._full_hz = _lent("modem_sleep").other(machine, self._wlan if self.joined() else None, self._full_hz)

    def joined(self):
        return self._wlan is not None and self._wlan.isconnected()

    async def leave(self):
        if self._wlan is not None:
            self._wlan.active(False)

    def address(self):
        return self._wlan.ifconfig()[0] if self.joined() else None

    def rssi(self):
        return self._wlan.status("rssi") if self.joined() else None

    async def open_stream(self, host, port, tls):
        """A Stream to host:port. Raises OSError; no deadline of its own."""
        if tls is not None:
            gc.collect()  # the last connection's certificates hold memory that this one needs
            self.guess_time()
        known = self.hints[5] if self.hints else {}
        # Looked up once, since that blocks and a name server may be down; anew unless keep_address was called.
        addresses, named = self._addresses.pop((host, port), None), known.pop(host, host)
        addresses = addresses or stream.resolve(named, port)
        result = await stream.connect(addresses, host, tls)
        self._tried = host, port, addresses
        return result

    def keep_address(self):
        """The last stream has led to a broker: the next one to there may go to the same address."""
        host, port, addresses = self._tried
        self._addresses = {(host, port): addresses}
        if self.hints:
            self.hints[5][host] = addresses[0][-1][0]

    def feed(self):
        """The first call starts the watchdog, and nothing stops it again."""
        if self._watchdog is None:
            self._watchdog = machine.WDT(timeout=_WATCHDOG_MS)
        self._watchdog.feed()

    def rtc_read(self):
        """What was last written to the memory that a reset and deep sleep leave alone; b"" after a power cut."""
        return machine.RTC().memory()

    def rtc_write(self, data):
        """Replace all of it, up to 2,048 bytes."""
        machine.RTC().memory(data)

    def deep_sleep(self, ms, pin=None):
        """Sleep, and start anew after `ms` or when `pin` (one that can wake the chip) changes; never returns."""
        if pin is not None:
            try:
                _lent("wake_pin").arm(machine, esp32, pin)
            except (OSError, ValueError, AttributeError) as error:  # the clock is left
                self.log("! power.wake_pin: %s" % error)
        machine.deepsleep(ms - ms * self.drift[1] // 1_000_000)

    def memory(self):
        """gc.mem_free() counts a block that Python might take from the rest of the system, which needs it."""
        regions = esp32.idf_heap_info(esp32.HEAP_DATA)
        largest = max([region[2] for region in regions])
        return max(0, gc.mem_free() - largest), sum([region[1] for region in regions]), largest

    def read_config(self):
        try:
            with open(self._config, "rb") as file:
                return file.read()
        except OSError as error:
            raise OSError("cannot read %s (%s): write it from config.json.example" % (self._config, error))


def _lent(name):
    """A module of lib that is needed once in a while: forgotten at once, so that its memory is free afterwards."""
    module = __import__(name)
    del sys.modules[name]
    return module


def _family(model):
    """The chip's name as the start of an id: esp32s3 of "Generic ESP32S3 module with ESP32S3"."""
    return "".join([c for c in model.split(" with ")[-1].lower() if c.isalpha() or c.isdigit()])[:16]


def _state_folder(root):
    """The folder of the Store. Raises OSError on FAT, where no way of writing survives a power cut."""
    for filesystem, path in vfs.mount():
        if path == "/" and type(filesystem).__name__ != "VfsLfs2":
            raise OSError("the flash has %s; format it with littlefs" % type(filesystem).__name__)
    if "state" not in os.listdir(root or "/"):
        os.mkdir(root + "/state")
    return root + "/state"


def _device(make, *args, **options):
    try:
        return make(*args, **options)
    except ValueError as error:  # no such pin or bus on this chip
        raise OSError(str(error))
