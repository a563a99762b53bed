"""Keys of nodes: kept for their owner alone, and what is sent to a node that has one is signed with it."""

import hashlib
import hmac
import json
import os
import stat

import pytest

from tests.host.fake_node import FakeNode
from tools import errors, keys

LIMIT_S = 20


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A configuration folder of the test's own."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "mote" / "keys"


def report(keyed):
    return {"revision": 4, "state": "applied", "reason": None, "errors": [], "patch": {},
            "config": {"config": {"key": "***" if keyed else None}, "telemetry": {"interval_s": 60}}}


def opened(key, node, kind, payload):
    """The text of a signed message, by Python's own hmac."""
    digits, _, text = payload.partition(b"\n")
    wanted = hmac.new(bytes.fromhex(key), f"mote1\n{node}\n{kind}\n".encode() + text, hashlib.sha256)
    assert digits.decode() == wanted.hexdigest()
    return json.loads(text)


@pytest.fixture
def call(mote, broker, base):
    def call(*argv):
        return mote(*argv, "--broker", f"127.0.0.1:{broker.port}", "--base", base)

    return call


def test_a_key_is_drawn_once_and_kept_for_its_owner(mote, home):
    assert mote("config", "key", "node-a")[0] == errors.DONE
    first = (home / "node-a").read_text()
    assert stat.S_IMODE(os.stat(home / "node-a").st_mode) == 0o600
    assert stat.S_IMODE(os.stat(home).st_mode) == 0o700
    status, said, _ = mote("config", "key", "node-a")
    assert (status, first.strip() in said) == (errors.DONE, False), "no secret is printed"
    assert (home / "node-a").read_text() == first
    assert keys.create("node-b") != first.strip()


def test_the_key_goes_into_a_configuration(mote, home, tmp_path):
    path = tmp_path / "config.json"
    path.write_text('{"mqtt": {"host": "h"}}')
    assert mote("config", "key", "node-a", "--into", path)[0] == errors.DONE
    assert json.loads(path.read_text())["config"]["key"] == (home / "node-a").read_text().strip()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert mote("config", "validate", path)[0] == errors.DONE
    path.write_text("[]")
    assert mote("config", "key", "node-a", "--into", path)[0] == errors.USAGE


def test_a_key_that_others_can_read_is_not_used(home):
    keys.create("node-a")
    os.chmod(home / "node-a", 0o640)
    with pytest.raises(errors.UserError, match="chmod 600"):
        keys.load("node-a")
    os.chmod(home / "node-a", 0o600)
    (home / "node-a").write_text("rubbish")
    with pytest.raises(errors.UserError, match="64 lowercase hex digits"):
        keys.load("node-a")


def test_a_document_for_a_node_with_a_key_is_signed(call, broker, base):
    key = keys.create("fake-1")

    def obey(there, payload):
        if payload:
            document = opened(key, "fake-1", "config", payload)
            there.say("config", {**report(True), **document}, retain=True, wait=False)

    with FakeNode(broker.port, base, answers={"config/set": obey}) as node:
        node.say("config", report(True), retain=True)
        status, said, _ = call("config", "set", "fake-1", "telemetry.interval_s=10")
        assert (status, said) == (errors.DONE, "fake-1: applied as revision 5\n")


def test_without_the_key_nothing_is_sent_and_it_is_said(call, broker, base):
    with FakeNode(broker.port, base) as node:
        node.say("config", report(True), retain=True)
        status, _, said = call("config", "set", "fake-1", "telemetry.interval_s=10")
        assert (status, "config.key" in said) == (errors.USAGE, True)
        assert node.heard.empty()


def test_a_command_is_signed_and_numbered_upwards(call, broker, base):
    key = keys.create("fake-1")
    numbers = []

    def obey(there, payload):
        request = opened(key, "fake-1", "factory-reset", payload)
        numbers.append(request["n"])
        there.say("reply", {"id": request["id"], "verb": "factory-reset", "ok": True, "error": None}, wait=False)

    with FakeNode(broker.port, base, answers={"command/factory-reset": obey}) as node:
        node.say("config", report(True), retain=True)
        for _ in range(2):
            assert call("command", "fake-1", "factory-reset")[0] == errors.DONE
    assert numbers[0] < numbers[1] < 2**53


def test_a_node_that_has_no_key_gets_plain_commands(call, broker, base):
    keys.create("fake-1")

    def obey(there, payload):
        there.say("reply", {"id": json.loads(payload)["id"], "verb": "sample", "ok": True}, wait=False)

    with FakeNode(broker.port, base, answers={"command/sample": obey}) as node:
        node.say("config", report(False), retain=True)
        assert call("command", "fake-1", "sample")[0] == errors.DONE
