"""This computer as a board: what is the same on CPython and on MicroPython's Unix port."""

import asyncio
import os
import random
import sys
import time

from lending import lend
from store import Store

RESET = 75  # the exit status by which `mote run` knows that the node is to start again
_NO_DEVICE = 19  # ENODEV: what a bus says when nothing answers


class Common:
    """A HostBoard (contract: test_board_contract.py) but for what it takes from its interpreter, which is in
    micropython_world and cpython_world.

    `options`: "config" (path), "state" (folder, its flash), "mac", "model" (text), "chips" ("simulated" or "none");
    "cause" (of the start), "woken_by_pin"; "access_points" (SSID -> password or None) for a model of Wi-Fi; for
    simulated chips "buses" (with i2c, input_pin, ...) or "wire" (a descriptor to the process that has them).

    `poll`, where it is not None, has to be called some times a second: it brings pin interrupts.
    """

    family = "host"

    def __init__(self, options):
        self._config = options["config"]
        self.chips = options["chips"]
        self.files = Store(options["state"])
        self._rtc = options["state"] + "/rtc-memory"  # which is no part of its flash: power-on is to begin without
        self.mac = options["mac"]
        self.default_id = "host-" + self.mac[9:].replace(":", "")
        self.interpreter = self.name + " %d.%d.%d" % tuple(sys.implementation.version[:3])
        self.model = options["model"]
        self._options = options
        self._began = self.ticks_ms()
        self.reset_cause = options.get("cause", "power-on")
        self.woken_by_pin = options.get("woken_by_pin", False)
        self.hints = None
        self.clock_refused = 0
        self.drift = 0, 0
        self.random = random.random
        random.seed(int.from_bytes(os.urandom(4), "little"))
        if options.get("wire") is not None and not options.get("buses"):
            # There, since the node may start again with them.
            options["buses"] = lend("tools.host.wire").Wire(options["wire"])
        buses = options.get("buses")
        for name in ("i2c", "input_pin", "output_pin", "adc", "onewire", "dht"):
            setattr(self, name, getattr(buses, name) if buses else _absent)
        self.poll = buses.poll if buses else None
        points = options.get("access_points")
        self._wlan = lend("tools.host.wlan").Wlan(points) if points else None

    def time_s(self):
        return int(time.time())

    def clock_ms(self):
        return time.time_ns() // 1_000_000

    def awake_ms(self):
        return self.ticks_diff(self.ticks_ms(), self._began)

    async def sync_time(self, servers):
        """The computer keeps its own clock."""

    def guess_time(self):
        """It is never without one."""

    def flag(self):
        return Flag()

    async def join(self, networks):
        """The computer is on its network already, where there is no model of Wi-Fi."""
        if self._wlan:
            await lend("wifi").join(self._wlan, networks, self)

    def joined(self):
        return not self._wlan or self._wlan.isconnected()

    async def leave(self):
        if self._wlan:
            self._wlan.active(False)

    def rssi(self):
        return None

    def keep_address(self):
        """Each stream looks its host up anew."""

    def save_power(self, wanted):
        """A computer has its own ways."""

    def feed(self):
        """There is no watchdog."""

    def reset(self):
        raise SystemExit(RESET)

    def rtc_read(self):
        try:
            with open(self._rtc, "rb") as file:
                return file.read()
        except OSError:  # nothing since power came on
            return b""

    def rtc_write(self, data):
        with open(self._rtc, "wb") as file:
            file.write(data)

    def deep_sleep(self, ms, pin=None):
        """End this run; who started it starts the next one, after `ms` or when `pin` changes, as a chip does."""
        self._options["rest"] = ms, pin, None if pin is None else self.input_pin(pin).value()
        raise SystemExit("deep sleep")

    def read_config(self):
        try:
            with open(self._config, "rb") as file:
                return file.read()
        except OSError as error:
            raise OSError("cannot read %s (%s): copy config.json.example and edit it" % (self._config, error))


class Flag:
    """Nothing here interrupts Python, so asyncio's own event is safe enough; it clears when waited for."""

    def __init__(self):
        self._event = asyncio.Event()
        self.set = self._event.set

    async def wait(self):
        await self._event.wait()
        self._event.clear()


def _absent(*_):
    raise OSError(_NO_DEVICE)
