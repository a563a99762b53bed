"""A change that leads a node to another broker: where to, and that its document is left at both."""

import json

import pytest

from tests.host.fake_node import FakeNode
from tests.integration.brokers import free_port
from tools import brokers, connection, errors, moving, patching

LIMIT_S = 20
SECRET = "planted-secret-5b1d"
HERE = {"config": {"mqtt": {"host": "here", "port": 1883, "tls": None}, "config": {"trial_s": 1}}, "patch": {}}


def led(patch, report=HERE, named=None):
    return moving.address(report, {"mqtt": patch}, named)


def test_where_a_patch_leads():
    assert led({"host": "there"}) == ("there", 1883, False)
    assert led({"port": 8883, "tls": {"ca": "ca.pem"}}) == ("here", 8883, True)
    assert led({"host": "here", "port": 1883, "keepalive_s": 5}) is None
    assert led({"port": None}) is None and moving.address(HERE, {}) is None
    away = {**HERE, "config": {"mqtt": {"host": "there", "port": 1884, "tls": None}}, "patch": {"mqtt": {"port": 1884}}}
    assert led({"port": None}, away) == ("there", 1883, False)
    assert led({"host": 5}) is None and led({"host": None}) is None  # which the node refuses
    assert moving.address({"config": 7, "patch": 7}, {"mqtt": 7}) is None


def test_back_to_where_it_was_provisioned_to_must_be_named():
    away = {**HERE, "patch": {"mqtt": {"host": "here"}}}
    with pytest.raises(errors.UserError, match="--new-broker"):
        led({}, away)
    assert led({}, away, "mqtts://base") == ("base", 8883, True)


def test_what_may_be_tried():
    for patch in ({"mqtt": {"host": "x"}}, {"sensors": {"air": None}}, {"wifi": {"a.b": {"password": None}}}):
        assert patching.may_be_tried({}, patch) and patching.may_be_tried(patch, {})
    assert not patching.may_be_tried({}, {"telemetry": {"interval_s": 5}})
    assert not patching.may_be_tried({"mqtt": {"host": "x"}}, {"mqtt": {"host": "x"}, "node": {"name": "y"}})


@pytest.fixture(scope="module")
def other():
    """A second broker."""
    with brokers.Broker() as there:
        yield there


class Moving(FakeNode):
    """A node that goes from one broker to the other when it is told to, and reports there."""

    def __init__(self, here, there, base, state="applied", stays=False):
        super().__init__(here.port, base, answers={"config/set": self._go})
        self.there = FakeNode(there.port, base, answers={"config/set": self._met})
        self.met = []
        self._state, self._stays = state, stays
        self._here = here.port

    def _go(self, node, payload):
        if payload:
            self.document = json.loads(payload)
            (self if self._stays else self.there).say(
                "config", report(self._here, self.document["revision"], self.document["patch"], self._state),
                wait=False)

    def _met(self, node, payload):
        self.met.append(payload)


def report(port, revision, patch, state="applied"):
    return {"revision": revision, "state": state, "reason": "why", "errors": [], "patch": patch,
            "config": {"mqtt": {"host": "127.0.0.1", "port": port, "tls": None}, "config": {"trial_s": 1}}}


def kept(broker, base):
    """What a broker keeps as the desired configuration; None for nothing."""
    target = connection.Target("127.0.0.1", broker.port, False, None, None, None, base)
    with connection.Connection(target, [f"{base}/fake-1/config/set"]) as link:
        message = link.receive(0.3)
        return message and json.loads(message.payload)


def moved(mote, broker, other, base, words=(), **knobs):
    with Moving(broker, other, base, **knobs) as node, node.there:
        node.say("config", report(broker.port, 4, {}), retain=True)
        done = mote("config", "set", "fake-1", f"mqtt.port={other.port}", *words,
                    "--broker", f"127.0.0.1:{broker.port}", "--base", base)
        assert node.met, "it was there before the node was told"
    return done


def test_the_document_is_left_at_both_and_stays_where_the_node_is(mote, broker, other, base):
    assert moved(mote, broker, other, base)[:2] == (errors.DONE, "fake-1: applied as revision 5\n")
    assert kept(broker, base) is None
    assert kept(other, base) == {"revision": 5, "patch": {"mqtt": {"port": other.port}}}


def test_a_document_that_was_rolled_back_stays_nowhere(mote, broker, other, base):
    status, said, _ = moved(mote, broker, other, base, state="rolled-back", stays=True)
    assert (status, said) == (errors.FAILED, "fake-1: rolled-back: why\n")
    assert kept(broker, base) is None and kept(other, base) is None


def test_a_document_with_a_secret_stays_nowhere(mote, broker, other, base):
    assert moved(mote, broker, other, base, [f"mqtt.password={SECRET}"])[0] == errors.DONE
    assert kept(broker, base) is None and kept(other, base) is None


@pytest.mark.parametrize("words", [[], ["--new-broker", "mqtt://127.0.0.1:{}"]])
def test_nothing_is_changed_when_the_new_broker_cannot_be_reached(mote, broker, base, words):
    nobody = free_port()
    with FakeNode(broker.port, base) as node:
        node.say("config", report(broker.port, 4, {}), retain=True)
        there = [word.format(nobody) for word in words]
        status, _, said = mote("config", "set", "fake-1", f"mqtt.port={nobody}", *there,
                               "--broker", f"127.0.0.1:{broker.port}", "--base", base)
        assert status == errors.UNREACHABLE
        assert f"127.0.0.1:{nobody}" in said and "Nothing was changed" in said and "--new-broker" in said
        assert node.heard.empty()
    assert kept(broker, base) is None


def test_no_password_of_the_old_broker_goes_to_the_new_one(monkeypatch):
    class Args:
        new_broker, new_ca = None, None

    old = connection.Target("old", 1883, False, "ann", SECRET, None, "mote")
    assert SECRET not in moving.target(("new", 1883, False), old, Args)
    monkeypatch.setenv("MOTE_NEW_PASSWORD", "another")
    Args.new_broker, Args.new_ca = "mqtts://bob@seen:884", "ca.pem"
    assert moving.target(("new", 1883, False), old, Args) == ("seen", 884, True, "bob", "another", "ca.pem", "mote")
