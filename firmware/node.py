"""The node: builds the parts, hands each what it needs, and ends when any of them ends."""

import gc
import json
import sys

from firmware import VERSION
from firmware.control import Control
from firmware.desired import Desired
from firmware.link import Link
from firmware.outbox import Outbox
from firmware.sampler import Sampler
from ring import Ring
from together import together
from uptime import Uptime

TEND_MS = 1_000
FIRST_BOOT_BELOW = 2**29  # a fresh filesystem draws its first boot number below this, so that none ever repeats


def load(name):
    """Import a module by its dotted name and return it."""
    __import__(name)
    return sys.modules[name]


def config_table():
    """The module firmware.config, loaded while it is needed: it is the largest, and seldom used."""
    return load("firmware.config")


class Node:
    """One node in the world that `board` is."""

    def __init__(self, board):
        self._board = board
        self._ending = "stopped"
        self._uptime = Uptime(board)
        self._desired = Desired(board, config_table)
        self._outbox = Outbox(board, self._uptime, Ring)
        self._sampler = Sampler(board, self._uptime, self._outbox.add)
        verbs = {"restart": self._restart, "sample": self._sample, "report": self._report, "identify": _nothing}
        self._control = Control(board, self._desired, verbs, self._follow, self._reply)
        self._link = Link(board, self._uptime, self._outbox, self._receive, self._birth)
        self._dialect = None
        self._boot = 0
        self._heap_low = None

    def stop(self):
        """Ask for a clean leave: `offline` is published, DISCONNECT sent, and `run` returns."""
        self._link.leave()

    async def run(self):
        """Live until stopped; returns "stopped", or "restart" when a command asked for it.

        Raises ConfigError when the provisioned configuration is wrong.
        """
        self._desired.load()
        self._boot = _next_boot(self._board)
        self._build()
        await together(self._link.run(), self._sampler.run(), self._control.run(), self._tend())
        return self._ending

    def _build(self):
        """Build what follows from the configuration: drivers, room in the outbox, the dialect."""
        config = self._desired.effective
        config["node"]["id"] = config["node"]["id"] or self._board.default_id
        sensors, drivers = [], []
        for name in sorted(config["sensors"]):
            options = config["sensors"][name]
            try:
                driver = load("firmware.drivers." + options["driver"]).Driver(self._board, options)
                index = self._outbox.declare(name, driver.quantities)
            except (ImportError, OSError, ValueError, KeyError) as error:
                self._board.log("sensor %s: %s %s" % (name, type(error).__name__, error))
                continue
            interval_s = options.get("interval_s") or config["telemetry"]["interval_s"]
            drivers.append((driver, index, interval_s))
            sensors.append((name, driver.quantities, interval_s))
        self._outbox.resize(config["outbox"]["ram_readings"])
        self._sampler.build(drivers)
        self._dialect = load("firmware.dialects.mote").Dialect(config, self._about(), sensors)
        self._link.build(config, self._dialect)

    def _about(self):
        board = self._board
        return {
            "firmware": VERSION,
            "interpreter": board.interpreter,
            "board": board.model,
            "chips": board.chips,
            "mac": board.mac,
            "boot": self._boot,
            "last_seq": None,
            "reset_cause": board.reset_cause,
        }

    def _birth(self):
        """The messages that open a session, then fresh readings."""
        discovery = self._dialect.discovery()
        if discovery:
            yield discovery
        yield self._dialect.status("online")
        yield self._dialect.info(self._board.address())
        yield self._dialect.report(self._desired.report)
        self._sampler.sample()

    def _receive(self, topic, payload, retained):
        route = self._dialect.route(topic, payload, retained)
        if route:
            self._control.receive(*route, payload)

    def _follow(self, effect):
        """Follow a change of the configuration, or the wish of Home Assistant to hear everything again."""
        if effect == "live" or effect == "reconnect":
            self._build()
        if effect == "reconnect":
            self._link.reconnect()
        elif effect:
            self._report(None)
        else:
            self._link.post(self._dialect.report(self._desired.report))

    def _reply(self, fields):
        self._link.post(self._dialect.reply(fields))

    def _restart(self, word):
        self._ending = "restart"
        self._link.leave()

    def _sample(self, word):
        self._sampler.sample()

    def _report(self, word):
        for message in self._birth():
            self._link.post(message)
        self._link.post(self._dialect.diagnostics(self._diagnostics()))

    async def _tend(self):
        """Publish diagnostics, and feed the watchdog as long as every part keeps its promise to move."""
        next_ms = 0
        while True:
            now = self._uptime.ms()
            link_ms = self._link.promise_ms
            if now <= self._sampler.promise_ms and (link_ms is None or now <= link_ms):
                self._board.feed()
            if now >= next_ms:
                next_ms = now + 1000 * self._desired.effective["telemetry"]["diagnostics_s"]
                self._link.post(self._dialect.diagnostics(self._diagnostics()))
            await self._board.sleep_ms(TEND_MS)

    def _diagnostics(self):
        gc.collect()
        free, idf_free, idf_largest = self._board.memory()
        self._heap_low = free if self._heap_low is None else min(free, self._heap_low)
        outbox = self._outbox
        return {
            "boot": self._boot,
            "uptime_s": self._uptime.ms() // 1000,
            "rssi": self._board.rssi(),
            "heap_free": free,
            "heap_low": self._heap_low,
            "idf_free": idf_free,
            "idf_largest": idf_largest,
            "reconnects": max(0, self._link.sessions - 1),
            "produced": outbox.seq,
            "acknowledged": outbox.acknowledged,
            "queued": outbox.queued,
            "dropped": outbox.dropped,
            "rejected": self._sampler.rejected,
            "lost": {"commands": self._control.dropped, "messages": self._link.dropped},
        }


def _nothing(word):
    """A verb whose work is done by the part that received it."""


def _next_boot(board):
    """Count this start, in a file of its own, since it changes at each."""
    stored = board.files.load("boot")
    boot = json.loads(stored) + 1 if stored else int(board.random() * FIRST_BOOT_BELOW) + 1
    board.files.save("boot", json.dumps(boot).encode())
    return boot
