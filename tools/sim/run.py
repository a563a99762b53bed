"""A whole run: nodes, a broker, faults by a seed; safety while they are on, liveness once they are healed.

The days of a run are cut into cycles. In the first part of each, faults come and go, and nothing wrong may happen. Then
all is healed, every node gets a new configuration, and within a stated time everybody has to be online, every queue
empty and the configuration obeyed.
"""

import asyncio
from collections import namedtuple

from tools.sim import probe, scenario
from tools.sim.broker import Broker
from tools.sim.faults import KINDS, schedule
from tools.sim.invariants import Invariants
from tools.sim.network import Path
from tools.sim.operator import Operator
from tools.sim.place import Place
from tools.sim.undisturbed import undisturbed

DAY_S = 86_400
HEALED_S = 7_200  # the last part of each cycle is without faults
# From the end of the last fault: a keepalive and a half is noticed, the longest backoff passes, Wi-Fi, DNS and a trial
# take their deadlines, and the backlog drains.
LIVENESS_S = 900
_SHARE = 0.8  # of the readings that are due in the second half of it: a change of the interval begins a new beat
_LOOK_S = 300  # how often every node is looked into
_TASKS = 20  # for each node: two of the simulation's, a dozen of the node's at most
_LEAVE_S = 120  # for a clean leave of everybody
_STRANGER_S = 5
_KNOWN = 50_000  # different pieces of configurations

Setup = namedtuple("Setup", "seed nodes days faults only interval_s varied")
Setup.__new__.__defaults__ = (1, 1, 1, (), None, 60, True)


class Run:
    """One run of a Setup: `seed`, `nodes`, `days`, `faults` (names), `only` (numbers of the schedule, None: all).

    `say(t_s, node, text)` gets the nodes' log; `history`: keep what a report shows; `until`: end at the first violation
    of one of these invariants, which is all that a search wants to know.
    """

    kinds = KINDS

    def __init__(self, setup, say=None, history=False, world_for=None, until=None):
        self.setup = setup
        self.place = Place(setup.seed, self._heard, world_for)
        self.loop = self.place.loop
        self.watch = Invariants(self.place)
        self.place.broker = self.broker = Broker(self.place.network, watcher=self.watch)
        self.operator = Operator(self.place, self.watch)
        self.faults = schedule(setup.seed, setup.faults, list(self.windows()), setup.nodes)
        self.motes = []
        self._say = say
        self._undo = {}
        self._known = {}
        self._until_invariant = until
        self._searching = None  # the task that ends the run at the first violation
        if history:
            self.watch.history = []

    def windows(self):
        """(first, last) seconds of the parts in which faults may be."""
        end_s = self.setup.days * DAY_S
        begin_s = 120.0
        while begin_s < end_s:
            last_s = min(begin_s + DAY_S, end_s)
            yield begin_s, last_s - min(HEALED_S, (last_s - begin_s) / 2)
            begin_s = last_s

    def go(self):
        """Run it; returns the verdict (design: `mote sim --json`)."""
        with undisturbed():
            self.loop.run(self._main() if self._until_invariant is None else self._until_found())
        for at_us, text in self.loop.errors if self.watch.leaving else ():
            self.watch.violate("leak", "-", f"at {at_us / 1e6} s: {text}")
        return {"seed": self.setup.seed, "ok": not self.watch.count, "digest": self.watch.digest(),
                "readings": self.watch.readings(), "violations": self.watch.violations,
                "faults": len(self.begun()), "nodes": self.setup.nodes, "days": self.setup.days}

    def begun(self):
        """The faults of the schedule that this run has."""
        only = self.setup.only
        return [fault for fault in self.faults if only is None or fault.number in only]

    async def _until_found(self):
        found = self.loop.create_future()
        self._searching = asyncio.current_task()

        def halt(invariant):
            if not found.done() and invariant in self._until_invariant:
                found.set_result(None)

        self.watch.halt = halt
        main = self.loop.create_task(self._main())
        await asyncio.wait((main, found), return_when=asyncio.FIRST_COMPLETED)
        if main.done():
            main.result()
        self.watch.halt = None

    async def _main(self):
        self._listen()
        self.watch.configured = self._share
        setup = self.setup
        self.motes = self.make_motes()
        lives = []
        for mote in self.motes:
            lives.append(self.loop.create_task(mote.live()))
        for fault in self.begun():
            self.loop.at_us(int(fault.at_s * 1e6), self._begin, fault)
        self.loop.after_us(_LOOK_S * 1_000_000, self._look)
        for _, last_s in self.windows():
            await self._until(last_s)
            await self._liveness()
        await self._until(setup.days * DAY_S)
        await self._leave(lives)

    def make_motes(self):
        """The nodes that the seed makes."""
        setup = self.setup
        return scenario.motes(self.place, self.watch, setup.nodes, setup.interval_s, setup.varied)

    def _listen(self):
        """What else is in the network: a captive portal, a host that is switched off."""
        network = self.place.network
        network.names["broker"] = "broker"
        network.silence("switched-off")
        network.listen("portal", 1883, Portal)
        network.attempted = self.watch.attempted

    async def _until(self, at_s):
        await asyncio.sleep(max(0, at_s - self.loop.time()))

    def _share(self, node):
        if len(self._known) > _KNOWN:
            self._known.clear()
        probe.share(node, self._known)

    def _begin(self, fault):
        kind = self.kinds[fault.kind]
        mote = None if fault.node is None else self.motes[fault.node]
        self.watch.fault(fault, mote)
        undo = kind.begin(self, mote, fault.chance)
        if undo:
            self._undo[fault.number] = undo
            self.loop.after_us(int(fault.lasts_s * 1e6), self._end, fault)

    def _end(self, fault):
        self._undo.pop(fault.number)()

    def _look(self):
        for mote in self.motes:
            self.watch.look(mote)
        tasks = len(asyncio.all_tasks())
        if tasks > _TASKS * (len(self.motes) + 1):
            self.watch.violate("memory", "-", f"{tasks} tasks:\n{self.loop.waiting()[:4_000]}")
        if not self.watch.leaving:
            self.loop.after_us(_LOOK_S * 1_000_000, self._look)

    async def _liveness(self):
        """All is healed: everybody comes back, and says and does all that is left."""
        assert not self._undo, "a fault outlives its window"
        await asyncio.sleep(LIVENESS_S / 2)
        wanted = {}
        before = {name: record.delivered for name, record in self.watch.records.items()}
        for mote in self.motes:
            wanted[mote.name] = self.operator.next_revision(mote)
            self.operator.send(mote, {"telemetry": {"diagnostics_s": 60}})
        await asyncio.sleep(LIVENESS_S / 2)
        for mote in self.motes:
            self._check_alive(mote, wanted.get(mote.name))
            record = self.watch.records[mote.name]
            due = LIVENESS_S / 2 / self.watch.intervals.get(mote.name, 60) * len(mote.sensors) * _SHARE
            if record.delivered - before[mote.name] < due:
                self.watch.violate("measures", mote.name,
                                   f"{record.delivered - before[mote.name]} readings arrived, {due:.0f} were due")

    def _check_alive(self, mote, revision):
        status = self.broker.kept.topics.get(f"mote/{mote.name}/status", (None,))[0]
        if mote.node is None or not probe.online(mote.node) or status != b"online":
            self.watch.violate("online", mote.name, f"status {status}")
            return
        session = self.broker.sessions.get(mote.name)
        if session is None or session.inflight or session.queue:
            self.watch.violate("online", mote.name, "no session, or it acknowledges nothing")
        queued = probe.counters(mote.node)["queued"]
        inherited = probe.inherited(mote.node)
        if queued > 2 or inherited:  # two: readings that were taken just now
            self.watch.violate("drained", mote.name, f"{queued} readings wait, {inherited} of earlier boots")
        else:
            self.watch.drained(mote)
        if revision is not None and self.watch.reported.get(mote.name, (0,))[0] != revision:
            self.watch.violate("settled", mote.name,
                               f"revision {revision} was sent, {self.watch.reported.get(mote.name)} is reported")

    async def _leave(self, lives):
        """Everybody leaves cleanly, says so, and leaves nothing behind."""
        self.watch.leaving = True
        for mote in self.motes:
            mote.stop()
        _, late = await asyncio.wait(lives, timeout=_LEAVE_S)
        for mote, life in zip(self.motes, lives, strict=True):
            status = self.broker.kept.topics.get(f"mote/{mote.name}/status", (None,))[0]
            if life in late:
                self.watch.violate("hang", mote.name, "it does not leave")
            elif life.exception():
                raise life.exception()
            elif status != b"offline":
                self.watch.violate("truth", mote.name, f"it has left, and its status is {status}")
        ours = (asyncio.current_task(), self._searching)
        left = [task for task in asyncio.all_tasks() if task not in ours and task not in late]
        if left:
            self.watch.violate("leak", "-", f"{len(left)} tasks are left:\n{self.loop.waiting()}")

    def _heard(self, t_s, node, text):
        self.watch.logged(t_s, node, text)
        if self._say:
            self._say(t_s, node, text)

    def stranger(self, mote):
        """Somebody connects under the name of a node, and leaves."""
        path = Path(self.loop, "stranger")
        self.loop.create_task(self._visit(path, mote.name))

    async def _visit(self, path, name):
        try:
            stream = await self.place.network.connect(path, "broker", 1883)
        except OSError:
            return  # the broker is down
        client_id = name.encode()
        body = b"\x00\x04MQTT\x04\x02\x00\x3c" + len(client_id).to_bytes(2, "big") + client_id
        stream.write(bytes((0x10, len(body))) + body)
        await asyncio.sleep(_STRANGER_S)
        stream.close()


class Portal(asyncio.Protocol):
    """A captive portal: whatever one says, it answers HTTP."""

    def connection_made(self, transport):
        self._transport = transport

    def data_received(self, data):
        self._transport.write(b"HTTP/1.1 302 Found\r\nLocation: http://portal/login\r\nContent-Length: 0\r\n\r\n")
        self._transport.close()
