"""The node: builds the parts, hands each what it needs, and ends when any of them ends."""

import gc

from firmware import VERSION
from firmware.control import Control
from firmware.link import Link
from firmware.outbox import Outbox
from firmware.sampler import Sampler
from lending import load
from ring import Ring
from together import together
from uptime import Uptime

_TEND_MS = 5_000
_STUCK_MS = 180_000  # longer than any deadline of a session: nothing that waits was taken, nothing acknowledged
_LATE_MS = 2_500  # once to twice that: then Home Assistant has subscribed to the topics of what it has not known
_PROOF_MS = 90_000  # what ends a start later than this is no boot loop


class Node:
    """One node in the world that `board` is. `fetch` loads the modules that are seldom needed, at births and for
    documents of the configuration: lending.load keeps them, lending.lend is for worlds whose memory is tight."""

    def __init__(self, board, fetch=load):
        self._board = board
        self._fetch = fetch
        self._ending = "stopped"
        self._wake = board.flag()
        self._uptime = Uptime(board)
        self._outbox = Outbox(board, self._uptime, Ring, fetch)
        self._sampler = Sampler(self._uptime.ms, self._outbox.add, self._wake.set)
        self._control = Control(board, fetch, {
            "restart": self._restart, "sample": self._sample, "report": self._report, "identify": self._identify,
            "factory-reset": self._forget}, self._follow, self._reply, self._opened)
        self._link = Link(board, self._uptime, self._outbox, self._receive, self._birth)
        self._dialect = self._heap_low = self._settings = self._trial = None  # a Tryout while there is a trial
        self._drivers = {}  # sensor name: (options, driver)
        self._boot = self._diagnostics_ms = self._proof_ms = self._seen = self._moved_ms = 0

    def stop(self):
        """Ask for a clean leave: `offline` is published, DISCONNECT sent, and `run` returns."""
        self._link.leave()

    async def run(self):
        """Live until "stopped" or told to "restart". Raises ConfigError when the provisioned configuration is wrong."""
        self._board.log = self._fetch("firmware.logbook").kept(self._board, self._fetch, self._link)
        self._settings = self._fetch("firmware.changes").begin(self._fetch, self._board)
        if self._settings.trial:
            self._try_out()
        self._boot = self._fetch("firmware.boots").next_boot(self._board)
        self._board.log("boot %d, %s" % (self._boot, self._board.reset_cause))
        self._build()
        await self._outbox.run(self._boot, together(self._link.run(), self._live()))
        return self._ending

    async def _live(self):
        """Give every part its turns; a wake-up ends only the sleep between two of them."""
        while True:
            await together(self._turns(), self._wake.wait())

    async def _turns(self):
        while True:
            now = self._uptime.ms()
            wait = min(self._sampler.turn(now), self._control.turn(now), self._outbox.turn(now), self._tend(now))
            await self._board.sleep_ms(max(0, wait))

    def _change(self, verb, *arguments):
        """Call a function of firmware.changes, and forget the code again."""
        return getattr(self._fetch("firmware.changes"), verb)(self._fetch, self._board, self._settings, *arguments)

    def _build(self):
        """Build what follows from the configuration: drivers, room in the outbox, the dialect."""
        config = self._settings.effective
        self._board.i2c_pins = config["board"]["scl_pin"], config["board"]["sda_pin"]
        slots = self._fetch("firmware.slots")
        self._drivers, rhythms, sensors = slots.fill(
            load, self._board, config, self._outbox, self._drivers, self._fetch, self._uptime.ms)
        self._diagnostics_ms = 0  # their period may be another
        self._proof_ms = self._uptime.ms() + _PROOF_MS
        self._outbox.rules = config["outbox"]
        slots.resize(self._outbox, Ring, config["outbox"]["ram_readings"])
        self._sampler.build(rhythms, self._uptime.ms())
        self._dialect = load("firmware.dialects.mote").Dialect(config, self._about(), sensors)
        self._link.build(config, self._dialect)

    def _about(self):
        board, settings = self._board, self._settings
        return {
            "id": settings.effective["node"]["id"] or board.default_id,
            "firmware": VERSION, "interpreter": board.interpreter, "board": board.model, "chips": board.chips,
            "mac": board.mac, "boot": self._boot, "revision": settings.revision, "reset_cause": board.reset_cause,
        }

    def _birth(self):
        """The messages that open a session, then fresh readings."""
        if (yield from self._dialect.birth(self._fetch, self._board)):  # Home Assistant has yet to subscribe
            self._sampler.again_ms = self._uptime.ms() + int(_LATE_MS * (1 + self._board.random()))
        yield self._reported()
        if self._trial:
            yield self._dialect.probe(self._trial.nonce)
        self._sample(None)

    def _receive(self, topic, payload, retained):
        route = self._dialect.route(topic, payload, retained)
        if route and self._trial:
            self._trial.hear(route[0], payload)
        if route and route[0] != "probe":
            self._control.receive(self._uptime.ms(), *route, payload)
        self._wake.set()

    def _follow(self, kind, name, payload):
        """Follow a document of the configuration, or the wish of Home Assistant to hear everything again."""
        if kind == "announce":
            return self._report(None)
        try:
            effect = self._change("follow", kind, name, payload)
        except MemoryError:
            effect = payload = None
            self._board.log("! config: not enough memory")
            self._settings.report = "rejected", "not enough memory", ()
        if effect == "restart":
            self._restart(None)
        elif effect:
            if self._rebuilt():
                self._report(None) if effect == "live" else self._link.reconnect()
        elif self._link.state == "online":  # else the next birth tells, and nothing older
            self._tell()

    def _tell(self):
        """Report, where there is memory for it: to find out while it is on its way would end the session."""
        message = self._reported()
        try:
            for _ in message[1]:
                pass
            self._link.post(message)
        except MemoryError:  # the next birth tells
            self._board.log("! config: not enough memory to report")

    def _reported(self):
        return self._dialect.report(self._fetch, self._board, self._settings)

    def _rebuilt(self):
        """Build anew, and begin a trial. Where memory is short a new start has room; what was on trial goes back."""
        try:
            self._build()
            if self._settings.trial:
                self._try_out()
            return True
        except MemoryError:
            self._board.log("! config: not enough memory to follow it")
        if not self._settings.trial or self._settled(False, "not enough memory"):
            self._restart(None)

    def _try_out(self):
        self._trial = self._fetch("firmware.tryout").Tryout(
            self._settings, self._link, self._uptime.ms(), self._board.random())

    def _judge(self):
        """The trial is over: keep what has proved itself, or go back."""
        good, fault = self._trial.good(), self._trial.fault()
        if self._settled(good, fault):
            if good:
                self._tell()
            elif self._rebuilt():
                self._link.reconnect()

    def _settled(self, good, fault):
        self._trial = None
        try:
            self._change("settle", good, fault)
            return True
        except MemoryError:  # at the start there is room: it then goes back, or has been kept
            self._restart(None)

    def _reply(self, fields):
        self._link.post(self._dialect.reply(fields))

    def _restart(self, word):
        self._ending = "restart"
        self._link.leave()

    def _forget(self, word):
        self._change("forget")
        self._restart(None)

    def _opened(self, verb, payload):
        """The payload of a command without its signature. Raises ValueError when config.key demands another one."""
        if self._settings.effective["config"]["key"] is None:
            return payload
        return self._change("opened", verb, payload)

    def _sample(self, word):
        self._sampler.sample()
        self._wake.set()

    def _identify(self, word):
        self._control.identify(self._settings.effective["board"]["led_pin"])

    def _report(self, word):
        for message in self._birth() if self._link.state == "online" else ():
            self._link.post(message)
        self._diagnostics_ms = 0
        if word is not None:
            self._tell_story()

    def _tell_story(self):
        try:
            self._link.post(self._dialect.log(self._fetch("firmware.recorder").story(self._fetch, self._board)))
        except MemoryError:
            self._board.log("! not enough memory to tell what was recorded")

    def _tend(self, now):
        """Publish diagnostics when due; feed the watchdog, here where the other task runs, if the link moves, too."""
        if self._link_moves(now):
            self._board.feed()
        if self._trial and (self._trial.good() or now >= self._trial.over_ms):
            self._judge()
        if now >= self._proof_ms:
            self._prove(now)
        if now >= self._diagnostics_ms and self._link.state == "online":  # offline they would only grow old
            every_ms = 1000 * self._settings.effective["telemetry"]["diagnostics_s"]
            self._diagnostics_ms = self._sampler.again_ms or now + every_ms  # what is new is to hear them, too
            if self._heap_low is None:  # the first time: what went before this start
                self._tell_story()
            self._link.post(self._dialect.diagnostics(self._diagnostics()))
        return min(_TEND_MS, max(self._diagnostics_ms - now, 0) or _TEND_MS)

    def _link_moves(self, now):
        promise_ms, outbox = self._link.promise_ms, self._outbox
        if promise_ms is not None:  # else it is online: then it takes what waits for it, sooner or later
            return now <= promise_ms
        if not outbox.waiting.is_set() or outbox.settled != self._seen:
            self._seen, self._moved_ms = outbox.settled, now
        return now - self._moved_ms <= _STUCK_MS

    def _prove(self, now):
        online = self._link.state == "online" and not self._trial
        self._proof_ms = 2**60 if online else now + _PROOF_MS
        self._change("prove", online)

    def _diagnostics(self):
        gc.collect()
        found = self._fetch("firmware.health").fields(
            self._board, self._link, self._outbox, self._sampler, self._control, self._settings, self._heap_low)
        self._heap_low = found["heap_low"]
        found.update({"boot": self._boot, "uptime_s": self._uptime.ms() // 1000})
        return found
