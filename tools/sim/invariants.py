"""What must hold at every moment, whatever goes wrong around a node; and what must come true once nothing does.

Every one has a name, which a violation carries. Most look at what the broker hears, as any subscriber could; a few look
into the node (tools/sim/probe.py), where the truth is.
"""

import hashlib
import json

from tools.sim import probe, scenario
from tools.sim.broker import Watcher
from tools.sim.place import BEGIN_S
from tools.sim.record import Record

NAMES = {
    "protocol": "a client breaks the MQTT standard",
    "accounting": "produced is not acknowledged + queued + dropped",
    "lost": "a reading is neither delivered nor queued nor counted as dropped",
    "ghost": "a reading arrives that was never taken, or under another name or with other values",
    "duplicates": "more readings arrive twice than connections that broke can explain",
    "truth": "the retained status contradicts the session, or somebody else tells it",
    "stale": "an old reading is sent as live, or a live one is retained",
    "wrong-time": "a reading carries a time at which it was not taken",
    "false-value": "a reading says what the world did not",
    "config": "a configuration is obeyed that nobody sent, or an older one than was reported",
    "unsigned": "a node with a key obeys a document without a signature",
    "old-command": "a command is obeyed that the broker had kept",
    "secret": "a password or key is published or logged",
    "memory": "something in a node grows beyond its bound",
    "storm": "a node tries to connect far more often than its backoff allows",
    "crash": "the node ends by an error",
    "hang": "the watchdog bites, or tasks do not end",
    "leak": "tasks outlive the run",
    "online": "a node is not online in time although nothing is wrong any more",
    "measures": "a node does not measure as often as it is told to, although nothing is wrong any more",
    "drained": "a node's queue is not empty in time although nothing is wrong any more",
    "settled": "a configuration is not reported in time although nothing is wrong any more",
}
_STALE_US = 30_000_000  # a node gives up a connection that answers nothing after 12 s; then its readings are backlog
_TIME_S = 8  # a crystal of 40 ppm over a day without a time server, whole seconds, the way of the answer
_STATUS_US = 30_000_000  # from a session's beginning to the word `online`: a slow link, a long birth
_GOODBYE_US = 10_000_000  # and from its own word `offline` to its end
_MINUTE_US = 60_000_000
_ATTEMPTS = 24  # connections in a minute: full jitter from 2 s on, twice over
_BATCH = 8 * 8  # readings that one broken connection may repeat: the window times a batch of the backlog
_WORDS = ("online", "offline", "sleeping", "rescue")
# How far a value may be from the world's: the chip's resolution and noise, and what the world moves meanwhile.
_NEAR = {"temperature": 0.5, "humidity": 2, "pressure": 1, "illuminance": 120, "moisture": 3}


class Invariants(Watcher):
    """Watches a run. `violations`: [{"invariant", "t", "node", "text"}]; the first `most` only."""

    def __init__(self, place, most=20):
        self.place = place
        self.violations = []
        self.count = 0
        self.records = {}
        self.reported = {}  # node -> revision last reported
        self.intervals = {}  # node -> seconds between readings, as reported last
        self.documents = {}  # node -> {revision: [patch]} that somebody sent
        self.forged = {}  # node -> [patch] that somebody sent who must not
        self.keys = {}  # node -> {dotted key: [value]} that somebody sent
        self.digests = {}
        self.sessions = {}
        self.words = {}  # node -> the last status that it published itself in its session
        self.configured = None  # called when a node has reported its configuration: configured(node)
        self.halt = None  # called at the first violation of an invariant: halt(its name)
        self.leaving = False  # the run is over, the nodes say goodbye
        self.history = None  # what the report shows; None: nobody asked
        self._most = most
        self._attempts = {}
        self._secrets = [secret.encode() for secret in scenario.SECRETS]

    def violate(self, invariant, node, text):
        """Note a violation."""
        assert invariant in NAMES, invariant
        self.count += 1
        if len(self.violations) < self._most:
            t_s = round(self.place.loop.now_us / 1e6, 6)
            self.violations.append({"invariant": invariant, "t": t_s, "node": node, "text": text})
        if self.halt:
            self.halt(invariant)

    def digest(self):
        """Of everything that every node published, when and what, over the nodes in the order of their names."""
        whole = hashlib.sha256()
        for name in sorted(self.digests):
            whole.update(name.encode() + self.digests[name].digest())
        return whole.hexdigest()

    def readings(self):
        """How many readings all nodes took."""
        return sum(record.readings for record in self.records.values())

    def fault(self, fault, mote):
        """A fault begins."""
        self._note(mote.name if mote else "", "fault", (fault.number, fault.kind, fault.lasts_s))

    # What happens to nodes

    def began(self, mote, node, board):
        record = self.records.get(mote.name)
        if record is None:
            document = json.loads(mote.hardware.config)
            record = self.records[mote.name] = Record(mote, document["telemetry"].get("qos", 1))
            self.digests[mote.name] = hashlib.sha256()
        probe.on_reading(node, lambda index, values: self._taken(record, node, index, values))
        self._note(mote.name, "start", board.reset_cause)

    def _taken(self, record, node, index, values):
        boot, seq = probe.boot(node), probe.counters(node)["produced"]
        if record.boot != boot:
            record.began(boot)
        sensor, quantities = probe.sensor(node, index)
        record.taken(seq, self.place.loop.now_us, sensor, tuple(values))
        world = record.mote.world(sensor)
        for quantity, value in zip(quantities, values, strict=True):
            if value is not None and quantity[0] in _NEAR and abs(world(quantity[0]) - value) > _NEAR[quantity[0]]:
                self.violate("false-value", record.mote.name,
                             f"{sensor} {quantity[0]} {value}, where it is {world(quantity[0])}")

    def cut(self, mote, why, within=False):
        if not within:  # else in the middle of whatever it does, with a reading in hand
            self.look(mote)
        self._memory_lost(mote, within)

    def ended(self, mote, why):
        if why not in ("watchdog", "power-on"):
            self.look(mote)
            self._memory_lost(mote)
        self._note(mote.name, "end", why)

    def _memory_lost(self, mote, in_hand=0):
        record = self.records.get(mote.name)
        if record.boot is not None and record.boot == probe.boot(mote.node):
            record.ended(sum(probe.in_memory(mote.node)) + in_hand)

    def drained(self, mote):
        """All is healed, and nothing waits any more."""
        record = self.records[mote.name]
        overdue = record.overdue()
        if record.qos and overdue > 0:
            self.violate("lost", mote.name, f"{overdue} readings of earlier boots, which it has not counted as dropped")

    def crashed(self, mote, text):
        self.violate("crash", mote.name, text)

    def stuck(self, mote, text):
        self.violate("hang", mote.name, text)

    def logged(self, t_s, node, text):
        """A line of a node's log."""
        if any(secret in text for secret in scenario.SECRETS):
            self.violate("secret", node, "in the log: " + text)

    def attempted(self, path):
        """A node begins to connect."""
        now_us = self.place.loop.now_us
        times = [at_us for at_us in self._attempts.get(path.name, ()) if at_us >= now_us - _MINUTE_US]
        times.append(now_us)
        if len(times) > _ATTEMPTS:
            self.violate("storm", path.name, f"{len(times)} connections in a minute")
            times = ()
        self._attempts[path.name] = tuple(times)

    def look(self, mote):
        """What can be seen in a node at any moment."""
        node, record = mote.node, self.records.get(mote.name)
        if node is None or record is None or record.boot is None or record.boot != probe.boot(node):
            return
        counters = probe.counters(node)
        dropped = sum(counters["dropped"].values())
        balance = counters["produced"] - counters["acknowledged"] - counters["queued"] - dropped
        if balance:
            self.violate("accounting", mote.name, f"produced exceeds the rest by {balance}: {counters}")
        if record.qos:
            missing = record.missing(dropped, counters["queued"])
            if missing > 0:
                self.violate("lost", mote.name, f"{missing} readings of boot {record.boot}: {counters}")
        for what, size, bound in probe.sizes(node):
            if size > bound:
                self.violate("memory", mote.name, f"{what}: {size}, where {bound} is the bound")
        self._queue(mote.name, counters["queued"], dropped)

    # What the broker tells

    def violation(self, client, text):
        self.violate("protocol", client, text)

    def opened(self, session):
        name = session.client_id
        record = self.records.get(name)
        if record is None or session.peer.address() != name:  # somebody else under its name
            return
        record.sessions += 1
        self.sessions[name] = session
        self.words[name] = None
        self._note(name, "session", "")
        if not session.will or session.will[0] != f"mote/{name}/status" or session.will[1:3] != (b"offline", True):
            self.violate("truth", name, f"the will is {session.will}")
        self.place.loop.after_us(_STATUS_US, self._introduced, session)

    def _introduced(self, session, leaving=False):
        name, peer = session.client_id, session.peer
        status = self.place.broker.kept.topics.get(f"mote/{name}/status", (None,))[0]
        if self.sessions.get(name) is not session or peer.broker.frozen or not peer.heard_lately():
            return
        if status == self.words[name] == b"offline" and not leaving:  # it says goodbye
            self.place.loop.after_us(_GOODBYE_US, self._introduced, session, True)
        elif status != b"online":
            self.violate("truth", name, f"connected for 30 s, and its status is {status}")

    def closed(self, session, why):
        name = session.client_id
        if self.sessions.get(name) is session:
            del self.sessions[name]
            self.look(self.records[name].mote)  # what a connection held up is most now
            self._note(name, "gone", why)
            status = self.place.broker.kept.topics.get(f"mote/{name}/status")
            if why not in ("broker", "taken over") and (status is None or status[0] == b"online"):
                self.violate("truth", name, f"its session ended ({why}), and its status is {status}")

    def published(self, session, topic, payload, qos, retain):
        parts = topic.split("/")
        if parts[0] == "homeassistant":
            name = parts[2]
        elif parts[0] == "mote":
            name = parts[1]
        else:
            name = None
        record = self.records.get(name)
        if session is None and record is not None and topic.endswith("/status"):
            self._note(name, "status", str(payload, "utf-8"))  # its last will
        if session is None or record is None:
            if session is not None and session.client_id in self.records:
                self.violate("truth", session.client_id, f"publishes to {topic}")
            return
        now_us = self.place.loop.now_us
        self.digests[name].update(b"%d %s " % (now_us, topic.encode()) + payload)
        if session.client_id != name:
            self.violate("truth", name, f"{session.client_id} publishes to {topic}")
        for secret in self._secrets:
            if secret in payload:
                self.violate("secret", name, topic)
        look = _LOOKS.get(parts[2]) if parts[0] == "mote" else None
        if look:
            look(self, record, session, topic, payload, retain)

    def _status(self, record, session, topic, payload, retain):
        if not retain or str(payload, "utf-8") not in _WORDS:
            self.violate("truth", record.mote.name, f"status {payload!r}, retained: {retain}")
        self.words[record.mote.name] = payload
        self._note(record.mote.name, "status", str(payload, "utf-8"))

    def _telemetry(self, record, session, topic, payload, retain):
        document = self._parsed(record, topic, payload)
        if document is None:
            return
        truth = self._arrived(record, topic.rpartition("/")[2], document)
        if retain:
            self.violate("stale", record.mote.name, "live, and retained")
        if truth and session.peer.sent_us - truth[0] > _STALE_US:
            age_s = (session.peer.sent_us - truth[0]) / 1e6
            self.violate("stale", record.mote.name, f"{age_s:.1f} s old: {payload!r}")

    def _backlog(self, record, session, topic, payload, retain):
        for document in self._parsed(record, topic, payload) or ():
            self._arrived(record, document.get("sensor"), document)

    def _arrived(self, record, sensor, document):
        """Check a reading against the truth; returns that, None when there is none."""
        name, boot, seq = record.mote.name, document.get("boot"), document.get("seq")
        truth = record.arrive(boot, seq)
        if truth is None:
            self.violate("ghost", name, f"{document}, which was never taken, or arrived long ago")
            return None
        time_us, true_sensor, values, again = truth
        entry = record.boots[boot]
        if again and entry.duplicates > _BATCH * record.sessions:
            self.violate("duplicates", name, f"{entry.duplicates} in {record.sessions} sessions")
        if time_us is None:
            return None
        told = [value for key, value in document.items() if key not in ("sensor", "ts", "boot", "seq")]
        same = len(told) == len(values) and all(_same(*pair) for pair in zip(told, values, strict=True))
        if sensor != true_sensor or not same:
            self.violate("ghost", name, f"{document}, where {true_sensor} {values} was taken")
        ts = document.get("ts")
        if ts is not None and abs(ts - BEGIN_S - time_us / 1e6) > _TIME_S:
            self.violate("wrong-time", name, f"{document}, taken at {BEGIN_S + time_us / 1e6:.1f}")
        return truth

    def _diagnostics(self, record, session, topic, payload, retain):
        told = self._parsed(record, topic, payload)
        if told is not None:
            balance = told["produced"] - told["acknowledged"] - told["queued"] - sum(told["dropped"].values())
            if balance:
                self.violate("accounting", record.mote.name, f"published, wrong by {balance}: {told}")
            self.look(record.mote)

    def _config(self, record, session, topic, payload, retain):
        if topic.count("/") > 2:
            return
        told = self._parsed(record, topic, payload)
        if told is None:
            return
        name = record.mote.name
        before, revision = self.reported.get(name, (0, {})), told["revision"]
        if revision < before[0]:
            self.violate("config", name, f"revision {revision} after {before[0]}")
        if told["state"] in ("applied", "trial") and revision != before[0]:
            sent = [_shown(patch) for patches in self.documents.get(name, {}).values() for patch in patches]
            if told["patch"] in self.forged.get(name, ()):
                self.violate("unsigned", name, f"revision {revision} is obeyed: {told['patch']}")
            exact = [_shown(patch) for patch in self.documents.get(name, {}).get(revision, ())]
            if told["patch"] not in exact and not self._by_keys(name, told["patch"], [before[1], *sent]):
                self.violate("config", name, f"revision {revision}, patch {told['patch']}, which nobody sent")
        self.reported[name] = (revision, told["patch"])
        self.intervals[name] = told["config"]["telemetry"]["interval_s"]
        if self.configured and record.mote.node:
            self.configured(record.mote.node)

    def _by_keys(self, name, patch, bases):
        """Whether a patch differs from one of `bases` by no more than the controls that were pressed."""
        keys, patch = self.keys.get(name, {}), _flat(patch)
        for base in map(_flat, bases):
            changed = [key for key in {**base, **patch} if base.get(key) != patch.get(key)]
            if keys and all(patch.get(key) in keys.get(key, ()) for key in changed):
                return True
        return False

    def _reply(self, record, session, topic, payload, retain):
        told = self._parsed(record, topic, payload)
        if told is not None and str(told.get("id")).startswith("kept"):
            self.violate("old-command", record.mote.name, f"{told}")

    def _parsed(self, record, topic, payload):
        try:
            return json.loads(payload)
        except ValueError:
            self.violate("protocol", record.mote.name, f"{topic} holds no JSON: {payload[:80]!r}")

    # For the report

    def _note(self, name, kind, text):
        if self.history is not None:
            self.history.append((self.place.loop.now_us / 1e6, name, kind, text))

    def _queue(self, name, queued, dropped):
        if self.history is not None:
            record = self.records[name]
            self.history.append((self.place.loop.now_us / 1e6, name, "queue", (queued, dropped, record.readings)))


_LOOKS = {
    "status": Invariants._status, "telemetry": Invariants._telemetry, "backlog": Invariants._backlog,
    "diagnostics": Invariants._diagnostics, "config": Invariants._config, "reply": Invariants._reply,
}


def _same(told, true):
    """Whether a published value is the true one, rounded."""
    if told is None or true is None:
        return told is true
    return abs(told - true) <= 0.51


def _shown(patch):
    """A patch as a node reports it: without its secrets."""
    return {key: _shown(value) if isinstance(value, dict) else value
            for key, value in patch.items() if key != "password"}


def _flat(document, prefix=""):
    """{dotted key: value} of a patch."""
    result = {}
    for key, value in document.items():
        if isinstance(value, dict):
            result.update(_flat(value, prefix + key + "."))
        else:
            result[prefix + key] = value
    return result
