"""The node that sleeps between two readings: wake, read, send all, look at the desired configuration, sleep.

It lives for one wake. What has to outlive it is in firmware.kept; firmware.start chooses between this and the node that
is always there.
"""

import binascii

from firmware import VERSION
from firmware.kept import Kept
from firmware.sampler import Sampler
from firmware.senses import Senses
from firmware.visit import Visit
from lending import load
from mqtt import LINK_ERRORS
from together import together, within
from uptime import Uptime

_AWAKE_S = 15  # the rest of the wake in which power.mode has become "always", and has no more keys
_JOIN_S = 30  # above the board's own deadline for joining, which names its reason
_LEAVE_MS = 1_500  # of a wake's time, for the goodbye
_TELL_S = 86_400  # what is retained is said again daily, as brokers lose things
_TOUCHES = 10  # wakes by the pin in a row; then the next one is the clock's, as a contact may be loose
_ANY = 1_000  # wakes without sending, after which the next one sends whatever power.send_every says


class Node:
    """A node that sleeps, in the world that `board` is. `fetch` loads the modules that are seldom needed."""

    def __init__(self, board, fetch=load):
        self._board = board
        self._fetch = fetch
        self._uptime = Uptime(board)
        self._settings = None
        self._kept = self._senses = self._dialect = None
        self._fresh = []  # readings of this wake
        self._stopping = self._extended = self._again = False
        self._soon = False  # what a trial has come to is still to be told
        self._over_ms = 0  # when this wake's time is up, in uptime
        self._told, self._says = (0, 0), None
        self.rest = None  # arguments of board.deep_sleep after "asleep"

    def stop(self):
        """Do not sleep after this wake: `run` returns "stopped"."""
        self._stopping = True

    async def run(self):
        """Live through one wake; returns "asleep" (see `rest`), "stopped", or "restart" when it is to be the node that
        does not sleep. Raises ConfigError when the provisioned configuration is wrong."""
        retained = self._fetch("retained")
        self._kept = kept = Kept(retained.load(self._board, retained.SLEEP))
        self._board.hints, self._board.drift = kept.hints, (kept.set_s, kept.slow_ppm)
        self._says = self._fetch("firmware.saying")
        self._told = kept.told, kept.tell_s
        self._settings = self._fetch("firmware.changes").begin(self._fetch, self._board)
        if not kept.boot or self._board.reset_cause != "deep-sleep" and not kept.readings:
            self._kept = kept = Kept(None)
            kept.boot = self._fetch("firmware.boots").next_boot(self._board)
        kept.wakes, kept.unsent = kept.wakes + 1, kept.unsent + 1
        kept.touches = kept.touches + 1 if self._board.woken_by_pin else 0
        self._build()
        self._fresh = await self._senses.measure(Sampler, self._uptime.ms)
        if kept.wakes == 1:
            self._reserve()
        self._keep()
        if self._due():
            await self._send()
        if not self._sleeps():
            self._reserve().spill(True)  # where the other node finds it
            retained.save(self._board, retained.SLEEP, b"")
            return "restart"
        self._senses.shed()
        if kept.full() or self._stopping:
            self._reserve().spill(self._stopping)
        pin = self._settings.effective["power"].get("wake_pin")
        self.rest = self._sleep_ms(), pin if kept.touches < _TOUCHES else None
        kept.awake_ms = self._board.awake_ms()
        kept.total_ms += kept.awake_ms
        self._keep()
        return "stopped" if self._stopping else "asleep"

    def _keep(self):
        retained, kept = self._fetch("retained"), self._kept
        kept.hints, (kept.set_s, kept.slow_ppm) = self._board.hints, self._board.drift
        retained.save(self._board, retained.SLEEP, self._kept.dump())

    def _change(self, verb, *arguments):
        """Call a function of firmware.changes, and forget the code again."""
        return getattr(self._fetch("firmware.changes"), verb)(self._fetch, self._board, self._settings, *arguments)

    def _reserve(self):
        """What is on flash; also counts what earlier boots left there."""
        fetch, config, senses = self._fetch, self._settings.effective, self._senses
        ring = fetch("ring").Ring
        box = fetch("firmware.outbox").Outbox(self._board, self._uptime, ring, fetch)
        return fetch("firmware.reserve").Reserve(box, fetch("firmware.slots"), ring, self._kept, config, senses.sensors)

    def _sleeps(self):
        """Whether the configuration still wants a node that sleeps, and now."""
        power, now_s = self._settings.effective["power"], self._board.time_s()
        return power["mode"] == "deepsleep" and (now_s is None or now_s >= power.get("awake_until", 0))

    def _build(self):
        """Build what follows from the configuration."""
        config = self._settings.effective
        self._senses = Senses(self._board, config, self._kept, self._fetch)
        self._dialect = load("firmware.dialects.mote").Dialect(config, self._about(), self._senses.announced)

    def _about(self):
        """The facts that `info` tells, and when the next wake is that sends."""
        every = self._settings.effective["power"].get("send_every", 1)
        every_s = max(self._senses.period_s * every, self._senses.silence_s)
        wait_s = self._rest_ms() // 1000 + every_s - self._senses.period_s
        return self._says.about(self._board, self._settings, self._kept.boot, wait_s, every_s)

    def _due(self):
        """Whether this wake is one that sends; a time beyond any pause is one that the clock has lost since."""
        kept, clock_s = self._kept, self._board.clock_ms() // 1000
        news = not self._senses.quiet or kept.readings or kept.stored or kept.inherited or clock_s >= kept.tell_s
        wanted = news and kept.unsent >= self._settings.effective["power"].get("send_every", 1) or kept.wakes == 1
        wanted = wanted or self._board.woken_by_pin or kept.full() or self._settings.trial or not self._sleeps()
        return wanted and not 0 < kept.retry_s - clock_s <= _TELL_S + self._senses.period_s

    async def _send(self):
        """Say all that there is, within the time that a wake may take; what does not work is kept for a later one."""
        kept = self._kept
        self._extend()
        try:
            await together(self._visits(), self._budget())
            kept.unsent = kept.fails = kept.retry_s = 0
            self._soon = False
        except LINK_ERRORS as error:
            pause_s = kept.fail(self._board.clock_ms() // 1000, self._senses.period_s, self._board.awake_ms())
            self._board.log("! wake %d: %s; no attempt for %d s" % (kept.wakes, _text(error), pause_s))
            if self._settings.trial or self._soon:
                self._go_back(_text(error))

    def _extend(self):
        more_s = self._settings.effective["power"].get("awake_s", _AWAKE_S)
        self._over_ms = max(self._over_ms, self._uptime.ms()) + 1000 * more_s
        self._board.feed()

    async def _budget(self):
        while self._uptime.ms() < self._over_ms:
            await self._board.sleep_ms(self._over_ms - self._uptime.ms())
        raise OSError("the time of this wake is up")

    async def _visits(self):
        """Connect; and again with what came in, which goes back when it does not work."""
        self._again = True
        while self._again:
            self._again = False
            try:
                if not self._board.joined():
                    await within(_JOIN_S, self._board.join(self._settings.effective["wifi"]))
                await self._set_clock()
                await self._visit()
            except LINK_ERRORS as error:
                if not self._settings.trial:
                    raise
                await self._board.leave()
                self._go_back(_text(error))

    def _go_back(self, reason):
        """Be what was there before a trial that failed; say so in this wake, or soon in another one."""
        if self._settings.trial:
            self._change("settle", False, reason)
        self._build()
        self._again = self._soon = True
        self._kept.told = self._kept.fails = self._kept.retry_s = 0
        self._kept.unsent = _ANY

    async def _set_clock(self):
        """Set the clock when that is due; what was timed by it follows."""
        board, kept, timing = self._board, self._kept, self._fetch("firmware.timing")
        if timing.due(board, kept):
            error = await timing.ask(board, kept, self._settings.effective, self._uptime.ms, self._senses.period_s)
            self._fresh = kept.readings[len(kept.readings) - len(self._fresh) :]
            if error:
                board.log("! clock: %s" % _text(error))

    async def _visit(self):
        nonce = None
        if self._settings.trial:
            nonce = b"%d" % int(self._board.random() * 2**30)
            self._kept.desired = 0  # the document is to be found again
        visit = Visit(self._board, self._settings.effective, self._dialect, self._kept)
        await visit.run(self._first, self._second, lambda: "offline" if self._stopping else "sleeping", nonce)

    def _first(self):
        """Yield (token, message) of everything there is to say."""
        kept, dialect = self._kept, self._dialect
        qos = self._settings.effective["telemetry"]["qos"]
        yield from self._says.readings(dialect, self._senses.sensors, kept, self._fresh, qos)
        facts = "%s %d %d %d %d" % (VERSION, kept.boot, self._settings.revision, kept.sensors, self._senses.period_s)
        mark, clock_s = binascii.crc32(facts.encode()), self._board.clock_ms() // 1000
        if mark != kept.told or clock_s >= kept.tell_s:
            yield from self._says.documents(dialect, self._settings, self._fetch, self._board)
            self._told = mark, clock_s + _TELL_S
        yield True, dialect.diagnostics(self._says.diagnostics(self._board, kept))

    async def _drain(self, visit, client):
        """Send what is on flash, as long as there is time."""
        reserve = self._reserve() if self._kept.stored or self._kept.inherited else None
        while reserve and self._uptime.ms() < self._over_ms - _LEAVE_MS and (readings := reserve.take()):
            await visit.deliver(client, self._dialect.backlog(readings) + (False, 1))
            reserve.done()

    async def _second(self, visit, client):
        """Obey what came in, judge what is on trial, and say so."""
        settings, kept = self._settings, self._kept
        report, obeyed, effect = settings.report, settings.effective, None
        if self._told[0] != kept.told and not settings.trial:
            self._change("prove", True)  # another configuration is well, and rescue may rely on it
        kept.told, kept.tell_s = self._told
        await self._drain(visit, client)
        if visit.changed:
            effect, kept.desired = self._change("look", visit.document), visit.mark  # looked at, and not before
            if settings.report is not report and not self._extended:
                self._extended = True
                self._extend()
        if effect:
            self._build()
            self._again = effect == "reconnect"
        elif settings.trial:
            self._change("weigh")
            if settings.effective is not obeyed:
                self._go_back(None)
        if not self._again and settings.report is not report:
            report = self._dialect.report(self._fetch, self._board, settings)
            await visit.say(client, ((True, self._dialect.status("online")), (True, report)))

    def _sleep_ms(self):
        """Milliseconds to the next wake; not long when that is to prove a trial, or to tell how it ended."""
        most_ms = 500 * self._settings.effective["config"]["trial_s"] if self._settings.trial or self._soon else 2**60
        return min(self._rest_ms(), most_ms)

    def _rest_ms(self):
        """Milliseconds to the next wake, which keeps its beat: a multiple of the period on the clock, for each node at
        a place of its own, so that a fleet does not wake in step."""
        period_ms = 1000 * self._senses.period_s
        own_ms = binascii.crc32(self._board.mac.encode()) % period_ms
        rest_ms = period_ms - (self._board.clock_ms() - own_ms) % period_ms
        return rest_ms + period_ms if rest_ms < period_ms // 10 else rest_ms  # a sleep that ended a little early


def _text(error):
    """An error in words: MicroPython's TimeoutError has none."""
    return " ".join([str(word) for word in error.args]) or "no answer in time"
