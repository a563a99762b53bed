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
_PAUSE_S = 3_600  # no longer between two attempts, however many have failed


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
        if kept.full() or self._stopping:
            self._reserve().spill(self._stopping)
        self.rest = self._rest_ms(), self._settings.effective["power"].get("wake_pin")
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
        self._senses = Senses(self._board, config, self._kept)
        self._dialect = load("firmware.dialects.mote").Dialect(config, self._about(), self._senses.announced)

    def _about(self):
        """The facts that `info` tells, and when the next wake is that sends."""
        every = self._settings.effective["power"].get("send_every", 1)
        about = self._says.about(self._board, self._settings, self._kept.boot)
        now_s = self._board.time_s()
        wait_s = self._rest_ms() // 1000 + self._senses.period_s * (every - 1)
        about["wake_at"] = None if now_s is None else now_s + wait_s
        about["wake_every_s"] = self._senses.period_s * every
        return about

    def _due(self):
        """Whether this wake is one that sends."""
        kept = self._kept
        wanted = kept.unsent >= self._settings.effective["power"].get("send_every", 1) or kept.wakes == 1
        wanted = wanted or self._board.woken_by_pin or kept.full() or not self._sleeps()
        return wanted and self._board.clock_ms() // 1000 >= kept.retry_s

    async def _send(self):
        """Say all that there is, within the time that a wake may take; what does not work is kept for a later one."""
        kept = self._kept
        self._extend()
        try:
            await together(self._visits(), self._budget())
            kept.unsent = kept.fails = kept.retry_s = 0
        except LINK_ERRORS as error:
            kept.failed += 1
            kept.fails += 1
            pause_s = min(self._senses.period_s << min(kept.fails, 12), max(self._senses.period_s, _PAUSE_S))
            kept.retry_s = self._board.clock_ms() // 1000 + pause_s - self._senses.period_s // 2
            self._board.log("wake %d: %s; no attempt for %d s" % (kept.wakes, _text(error), pause_s))
            if self._settings.trial:
                self._change("settle", False, "no connection in the time of a wake")

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
        config = self._settings.effective
        if not self._board.joined():
            await within(_JOIN_S, self._board.join(config["wifi"]))
        await self._set_clock()
        await self._visit()
        while self._again:
            self._again = False
            try:
                await self._visit()
            except LINK_ERRORS as error:
                if not self._settings.trial:
                    raise
                self._change("settle", False, _text(error))
                self._build()
                self._again = True

    async def _set_clock(self):
        """Set the clock when that is due; what was timed by it follows."""
        board, kept, timing = self._board, self._kept, self._fetch("firmware.timing")
        if timing.due(board, kept):
            error = await timing.ask(board, kept, self._settings.effective, self._uptime.ms)
            self._fresh = kept.readings[len(kept.readings) - len(self._fresh) :]
            if error:
                board.log("clock: %s" % _text(error))

    async def _visit(self):
        nonce = b"%d" % int(self._board.random() * 2**30) if self._settings.trial else None
        visit = Visit(self._board, self._settings.effective, self._dialect, self._kept)
        await visit.run(self._first, self._second, self._word, nonce)

    def _word(self):
        return "offline" if self._stopping else "sleeping"

    def _first(self):
        """Yield (token, message) of everything there is to say."""
        kept, dialect = self._kept, self._dialect
        yield from self._says.readings(dialect, self._senses.sensors, kept, self._fresh)
        facts = "%s %d %d %d %d" % (VERSION, kept.boot, self._settings.revision, kept.sensors, self._senses.period_s)
        mark, clock_s = binascii.crc32(facts.encode()), self._board.clock_ms() // 1000
        if mark != kept.told or clock_s >= kept.tell_s:
            yield from self._says.documents(dialect, self._settings.report, self._fetch, self._board)
            self._told = mark, clock_s + _TELL_S
        yield True, dialect.diagnostics(self._says.diagnostics(self._board, kept))

    async def _drain(self, visit, client):
        """Send what is on flash, as long as there is time."""
        kept = self._kept
        reserve = self._reserve() if kept.stored or kept.inherited else None
        while reserve and self._uptime.ms() < self._over_ms - _LEAVE_MS and (readings := reserve.take()):
            await visit.deliver(client, self._dialect.backlog(readings) + (False, 1))
            reserve.done()

    async def _second(self, visit, client):
        """Obey what came in, and say so."""
        if self._told[0] != self._kept.told and not self._settings.trial:
            self._change("prove", True)  # another configuration is well, and rescue may rely on it
        self._kept.told, self._kept.tell_s = self._told
        await self._drain(visit, client)
        if self._settings.trial:
            self._change("settle", True, None)
            self._change("prove", True)
        elif not visit.changed:
            return
        else:
            report = self._settings.report
            effect, self._kept.desired = self._change("look", visit.document), visit.mark  # looked at, and not before
            if self._settings.report is report:
                return  # it is what is obeyed already
            if not self._extended:
                self._extended = True
                self._extend()
            if effect:
                self._change("tell")
                self._build()
                self._again = effect == "reconnect"
        if not self._again:
            report = self._dialect.report(self._settings.report)
            await visit.say(client, ((True, self._dialect.status("online")), (True, report)))

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
