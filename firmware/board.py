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
import sntp
import stream
import vfs
from store import Store

_YEARS_30_S = 946684800  # from 1970 to 2000, where the clock of this port begins to count
_CAUSES = ("unknown", "power-on", "hard", "watchdog", "deep-sleep", "soft")  # by machine.reset_cause()
# A name lookup without an answer blocks for 12 s, a handshake for seconds: a few in a row are no hang.
_WATCHDOG_MS = 120_000
_JOIN_MS = 20_000  # a scan, an association and DHCP take 3 to 8 s
_RADIO_MS = 100  # events of a connection that ended arrive late; before they have, the next one seems to end
_TIME_TRIES = 40
_TIME_TRY_MS = 50  # 2 s in all for a server, some hundred times a usual round trip
_REASONS = {  # by the status that an attempt ends with; 15: the 4-way handshake got no further
    None: "no address in time",
    15: "wrong password",
    201: "no such network",
    202: "wrong password",
    204: "wrong password",
}


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
    deep_sleep = staticmethod(machine.deepsleep)
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
        self.files = Store(_state_folder(root))
        self._epoch_s = 0 if time.gmtime(0)[0] == 1970 else _YEARS_30_S
        self._buses = {}
        self._addresses = {}
        self._wlan = None
        self._watchdog = None
        random.seed(int.from_bytes(os.urandom(4), "little"))

    def time_s(self):
        unix_s = int(time.time()) + self._epoch_s
        return unix_s if sntp.plausible(unix_s) else None

    async def sync_time(self, servers):
        """Set the clock by the first of `servers` that answers; it survives a reset. OSError: none did."""
        for server in servers:
            try:
                now = time.gmtime(await _ask(server) - self._epoch_s)
            except OSError as error:
                self.log("clock: %s: %s" % (server, error))
                continue
            machine.RTC().datetime(now[:3] + (now[6],) + now[3:6] + (0,))
            return
        raise OSError("no time server answers")

    def i2c(self, bus):
        if bus not in self._buses:
            self._buses[bus] = _device(machine.I2C, bus, freq=100_000)
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
        return Dht(_device(machine.Pin, number))

    async def join(self, networks):
        """Join the strongest of `networks` {"ssid": {"password": str or None}} that lets us in.

        The scan blocks for 2 s. Raises OSError with a reason; it takes 20 s at most.
        """
        if self._wlan is None:  # takes 34 KB of the memory that TLS lives on, so not before it is needed
            self._wlan = network.WLAN(network.STA_IF)
        wlan = self._wlan
        try:
            wlan.active(True)
            wlan.config(reconnects=0)  # or the driver is a second retry loop
            problem = OSError("no network is configured")
            choice = _strongest(wlan.scan(), networks)
            for ssid, bssid in choice:
                wlan.connect(ssid, networks[ssid].get("password"), bssid=bssid)
                status = await self._attempt(_JOIN_MS // len(choice))
                if wlan.isconnected():
                    return
                problem = OSError("%s: %s" % (ssid, _REASONS.get(status, "Wi-Fi status %s" % status)))
            raise problem
        finally:
            if not wlan.isconnected():
                wlan.active(False)

    async def _attempt(self, limit_ms):
        """Wait for an address. Without one: restart the radio; the last status, None when time ran out."""
        wlan = self._wlan
        began = time.ticks_ms()
        while not wlan.isconnected():
            status = wlan.status()
            late = time.ticks_diff(time.ticks_ms(), began) > limit_ms
            if late or status not in (network.STAT_CONNECTING, network.STAT_IDLE):
                wlan.active(False)
                await asyncio.sleep_ms(_RADIO_MS)
                wlan.active(True)
                return None if late else status
            await asyncio.sleep_ms(_RADIO_MS)

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
        # Looked up once, since that blocks and a name server may be down; anew after a failure.
        addresses = self._addresses.pop((host, port), None) or stream.resolve(host, port)
        result = await stream.connect(addresses, host, tls)
        self._addresses = {(host, port): addresses}
        return result

    def feed(self):
        """The first call starts the watchdog, and nothing stops it again."""
        if self._watchdog is None:
            self._watchdog = machine.WDT(timeout=_WATCHDOG_MS)
        self._watchdog.feed()

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


class Dht:
    """A DHT's five raw bytes."""

    def __init__(self, pin):
        self._pin = pin

    def measure(self, buf):
        from dht import dht_readinto

        dht_readinto(self._pin, buf)


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


def _strongest(scan, networks):
    """[(SSID, BSSID)] of the networks in reach, best signal first."""
    known = {ssid.encode(): ssid for ssid in networks}
    scan.sort(key=lambda entry: -entry[3])
    found = [(known.pop(entry[0]), entry[1]) for entry in scan if entry[0] in known]
    return found or [(ssid, None) for ssid in networks]  # those that hide, perhaps


async def _ask(server):
    """Unix seconds from a time server. OSError when it does not answer in time."""
    family, kind, _, _, address = socket.getaddrinfo(server, sntp.PORT, 0, socket.SOCK_DGRAM)[0]
    sock = socket.socket(family, kind)
    try:
        sock.setblocking(False)
        nonce = os.urandom(sntp.NONCE_BYTES)
        sock.sendto(sntp.request(nonce), address)
        for _ in range(_TIME_TRIES):
            await asyncio.sleep_ms(_TIME_TRY_MS)
            try:
                return sntp.parse(sock.recv(128), nonce)
            except (OSError, ValueError):
                continue  # nothing yet, or not from the server: the number of tries is the deadline
    finally:
        sock.close()
    raise OSError("no answer")
