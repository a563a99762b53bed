"""Who steers the nodes of a simulation: configurations good and bad, controls, commands, and mischief among them."""

import json
import random

from signed import sign

_BAD = (
    b"", b"{", b"\xff\xfe", b"[]", b'{"revision":1}', b'{"revision":true,"patch":{}}', b'{"revision":1e3,"patch":{}}',
    b'{"revision":1073741824,"patch":{}}', b'{"revision":-1,"patch":{"telemetry":{"interval_s":1}}}',
    b'{"revision":99999999999999999999,"patch":{}}', b"[" * 500 + b"]" * 500, b'{"revision":1,"patch":{"mqtt":null}}',
    b'{"revision":1,"patch":{"telemetry":{"interval_s":0}}}', b"x" * 5000,
)
_KEYS = (("telemetry.interval_s", (30, 60, 120)), ("telemetry.diagnostics_s", (60, 300)), ("node.name", ("Oak", "Elm")))


class Operator:
    """Sends as any client could. What the nodes may obey of it is told to `watch` (Invariants)."""

    def __init__(self, place, watch):
        self._place = place
        self._watch = watch

    def publish(self, mote, topic, payload, retain=False):
        """To one node."""
        if self._place.broker.running():
            self._place.broker.publish(f"mote/{mote.name}/{topic}", payload, 1, retain)

    def next_revision(self, mote):
        """One above what the node reported last."""
        return self._watch.reported.get(mote.name, (0, {}))[0] + 1

    def change(self, mote, chance):
        """A document that a node without a key should obey."""
        self.send(mote, {"telemetry": {"interval_s": (20, 30, 60, 120)[int(chance * 4)]}}, retain=chance < 0.7)

    def send(self, mote, patch, retain=True):
        """A patch with the next revision, signed where the node has a key."""
        revision = self.next_revision(mote)
        if self._place.broker.running():
            self._watch.documents.setdefault(mote.name, {}).setdefault(revision, []).append(patch)
            text = json.dumps({"revision": revision, "patch": patch}).encode()
            self.publish(mote, "config/set", sign(mote.key, mote.name, "config", text) if mote.key else text, retain)

    def forge(self, mote, rng):
        """A document that a node with a key must not obey: without a signature, for another node, under another key."""
        patch = {"node": {"area": f"Forgery {int(rng.random() * 1000)}"}, "telemetry": {"interval_s": 45}}
        text = json.dumps({"revision": self.next_revision(mote), "patch": patch}).encode()
        how = int(rng.random() * 4)
        if how == 1:
            text = sign(mote.key, "somebody", "config", text)
        elif how == 2:
            text = sign("00" * 32, mote.name, "config", text)
        elif how == 3:
            text = sign(mote.key, mote.name, "restart", text)
        self._watch.forged.setdefault(mote.name, []).append(patch)
        self.publish(mote, "config/set", text, retain=rng.random() < 0.5)

    def press(self, mote, rng):
        """A bare value for one key, as Home Assistant's controls send it."""
        key, values = _KEYS[int(rng.random() * len(_KEYS))]
        value = values[int(rng.random() * len(values))]
        self._watch.keys.setdefault(mote.name, {}).setdefault(key, []).append(value)
        self.publish(mote, "config/set/" + key, json.dumps(value).encode())


def change_any(run, mote, chance):
    """A good document, a trial that succeeds, one that cannot, a control, a forgery, or what is no document at all."""
    rng = random.Random(chance)
    what = int(rng.random() * 6)
    operator = run.operator
    if mote.key and rng.random() < 0.5:
        operator.forge(mote, rng)
    elif what == 0:
        operator.change(mote, rng.random())
    elif what == 1:
        operator.send(mote, {"mqtt": {"keepalive_s": 20 + int(rng.random() * 60)}, "node": {"area": "Yard"}})
    elif what == 2:
        operator.send(mote, {"mqtt": {"host": "nobody"}, "config": {"trial_s": 30}}, retain=rng.random() < 0.5)
    elif what == 3:
        operator.send(mote, {"wifi": {"attic": {"password": "wrong password"}}, "config": {"trial_s": 40}})
    elif what == 4:
        operator.press(mote, rng)
    else:
        operator.publish(mote, "config/set", _BAD[int(rng.random() * len(_BAD))], retain=rng.random() < 0.3)


def command(run, mote, chance):
    """Verbs good and bad; some of them kept by the broker, which no node may obey."""
    rng = random.Random(chance)
    verb = ("restart", "sample", "report", "identify", "no-such-verb", "sample")[int(rng.random() * 6)]
    payload = (b"", b'{"id":"a1"}', b"word", b"{", b"\xff", b"y" * 2000)[int(rng.random() * 6)]
    if rng.random() < 0.2:
        run.operator.publish(mote, "command/" + verb, b'{"id":"kept"}', retain=True)
        mote.hardware.path.reset()  # at the next connection the broker sends what it has kept
    else:
        run.operator.publish(mote, "command/" + verb, payload)


def flood(run, mote, chance):
    """Two hundred commands at once."""
    for number in range(200):
        run.operator.publish(mote, "command/sample", b'{"id":%d}' % number)
