"""Planted secrets, and where they must not be: what a node and the host's verbs say, keep and print, disguised too."""

import base64
import json
import os
import subprocess
import sys
import time

import pytest

import signed
from tools import ROOT

from . import auditor, nodes, test_rescue
from .brokers import free_port
from .leaking import leaks

LIMIT_S = 30
TRIAL_S = 10
CALL_LIMIT_S = 60
KEY = "7d4f19c2a0b35e68" * 4
SECRETS = {
    "wifi.password of config.json": "Wk7xvQ2pT9rJm4Zc",
    "mqtt.password of config.json": nodes.PASSWORD,
    "config.key": KEY,
    "mqtt.password over the air": "Xp3uNs8dEw6kYb1H",
    "wifi.password over the air": "Bn8gLo5aRi0fMq7V",
    "a password in a wrong place": "Hd6cSj3zUt9eKw2P",
}
STORE = ("config", "good", "base", "config.json")  # what a node keeps its configuration in


def call(world, *argv, text=None):
    """What a verb prints."""
    env = {**os.environ, "XDG_CONFIG_HOME": os.path.join(world.folder, "home")}
    command = [sys.executable, "-m", "tools", *argv, "--broker", f"127.0.0.1:{world.broker.port}"]
    done = subprocess.run(
        command, cwd=ROOT, env=env, input=text, capture_output=True, text=True, timeout=CALL_LIMIT_S)
    return (done.stdout + done.stderr).encode()


def keep_key(world):
    folder = os.path.join(world.folder, "home", "mote", "keys")
    os.makedirs(folder)
    with open(os.open(os.path.join(folder, "node-a"), os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        file.write(KEY)


def send(world, node, revision, patch):
    """A signed document; returns the time before it."""
    text = json.dumps({"revision": revision, "patch": patch}).encode()
    return world.auditor.publish(node.topic("config/set"), signed.sign(KEY, node.id, "config", text), retain=True)


def report(world, node, since, state):
    return world.auditor.wait_json(node.topic("config"), LIMIT_S, since, lambda found: found["state"] == state)


def a_life(world, node):
    """All that a secret can go through; returns what the verbs printed."""
    since = time.monotonic()
    said = {"set": call(world, "config", "set", "node-a", "mqtt.password", "--json",
                        text=SECRETS["mqtt.password over the air"] + "\n")}
    report(world, node, since, "applied")
    lost = SECRETS["a password in a wrong place"]
    wrong = {"mqtt": {"pasword": lost}, "wifi": {"a": lost}, "sky": {"x": lost}, "node": {"id": 5}}
    since = send(world, node, 3, wrong)
    report(world, node, since, "rejected")
    roof = SECRETS["wifi.password over the air"]
    since = send(world, node, 4, {"wifi": {"roof": {"password": roof}}, "mqtt": {"port": free_port()}})
    report(world, node, since, "rolled-back")
    since = send(world, node, 5, {"wifi": {"roof": {"password": roof}}})
    report(world, node, since, "applied")
    world.auditor.publish(node.topic("config/set"), b"", retain=True)
    for name, argv in {"get": ("config", "get", "node-a", "--json"), "diff": ("config", "diff", "node-a"),
                       "report": ("command", "node-a", "report", "--json"),
                       "watch": ("watch", "--seconds", "3", "--json")}.items():
        said[name] = call(world, *argv)
    return said


def test_no_secret_is_anywhere_but_in_the_store(world):
    keep_key(world)
    node = world.start_node(
        world.broker.port, wifi={"test-net": {"password": SECRETS["wifi.password of config.json"]}},
        config={"key": KEY, "trial_s": TRIAL_S}, mqtt={"user": "somebody"})  # no part of whose name is in a secret
    world.auditor.wait_message(node.topic("telemetry/air"), LIMIT_S)
    places = {f"mote {name}": text for name, text in a_life(world, node).items()}
    killed = node.kill()
    world.auditor.wait_message(node.topic("status"), LIMIT_S, killed, lambda message: message.payload == b"offline")
    places.update(heard(world))
    places["log"] = node.log().encode()
    places.update({f"file {name}": data for name, data in node.flash().items() if name not in STORE})
    assert len(places) > 30 and leaks(SECRETS, places) == []


def heard(world):
    """Place -> bytes of all that came over the broker, and of what it keeps; but for what was said to the node."""
    found = {}
    for number, message in enumerate(world.auditor.messages):
        if not message.topic.endswith("/config/set") and "/command/" not in message.topic:
            found[f"{message.topic} {number}"] = message.topic.encode() + message.payload
    with auditor.Auditor(world.broker.port, filters=("#",)) as newcomer:
        newcomer.wait(lambda: newcomer.messages, LIMIT_S, "kept message")
        time.sleep(1)  # for all that the broker keeps; nothing says that it has been all
        found.update({f"kept {one.topic}": one.payload for one in newcomer.messages})
    return found


def a_life_in_rescue(world, board):
    """All that a secret can go through at the recovery node; returns what the verbs printed."""
    info = test_rescue.await_rescue(world, board)
    assert "RuntimeError: planted" in info["rescue"]  # a traceback is among what is searched
    lost, said = SECRETS["a password in a wrong place"], {}
    wrong = {"revision": 1, "patch": {"mqtt": {"pasword": lost}, "wifi": {"a": lost}, "sky": {"x": lost}}}
    text = json.dumps(wrong).encode()
    for document in (text, signed.sign(KEY, "node-a", "config", text), signed.sign(KEY, "node-a", "config", text[:-9])):
        since = world.auditor.publish("mote/node-a/config/set", document)
        test_rescue.await_rejected(world, since)
    since = world.auditor.publish("mote/node-a/command/factory-reset", json.dumps({"id": 1, "n": 9, "key": KEY}))
    world.auditor.wait_json("mote/node-a/reply", LIMIT_S, since)
    for name, argv in {"get": ("config", "get", "node-a", "--json"), "diff": ("config", "diff", "node-a"),
                       "report": ("command", "node-a", "report", "--json"), "doctor": ("doctor", "--json"),
                       "monitor": ("monitor", "node-a", "--seconds", "2"),
                       "watch": ("watch", "--seconds", "2", "--json")}.items():
        said[name] = call(world, *argv)
    over_the_air = {"mqtt": {"password": SECRETS["mqtt.password over the air"]},
                    "wifi": {"roof": {"password": SECRETS["wifi.password over the air"]}}}
    for revision, patch, state in (
            (1, over_the_air, "rolled-back"), (2, {**over_the_air, "sensors": {"boom": None}}, "applied")):
        text = json.dumps({"revision": revision, "patch": patch}).encode()
        since = world.auditor.publish(
            "mote/node-a/config/set", signed.sign(KEY, "node-a", "config", text), retain=True)
        found = world.auditor.wait_json(
            "mote/node-a/config", 2 * LIMIT_S, since, lambda report, state=state: report["state"] == state)
        assert found["revision"] == revision, found
    world.auditor.publish("mote/node-a/config/set", b"", retain=True)
    said["afterwards"] = call(world, "command", "node-a", "report", "--json")
    return said


@test_rescue.only_micropython
def test_no_secret_is_told_by_rescue(world):
    keep_key(world)
    config = nodes.merged(test_rescue.configuration(world, 0), {
        "wifi": {"test-net": {"password": SECRETS["wifi.password of config.json"]}}, "config": {"key": KEY},
        "mqtt": {"user": "somebody"}})
    with test_rescue.Restarted(world, config) as board:
        places = {f"mote {name}": text for name, text in a_life_in_rescue(world, board).items()}
        board.pause()
        places.update(heard(world))
        places["log"] = board.log().encode()
        assert b"rescue: listening" in places["log"]
        for folder, _, names in os.walk(board.state):
            for name in set(names) - {*STORE, *(f"{name}.new" for name in STORE)}:
                with open(os.path.join(folder, name), "rb") as file:
                    places[f"file {name}"] = file.read()
        assert {"file crash", "file starts", "mote doctor"} <= places.keys() and leaks(SECRETS, places) == []


@pytest.mark.parametrize("disguise", [
    str.encode, lambda text: base64.b64encode(text.encode()), lambda text: text.encode().hex().encode(),
    lambda text: b"xx" + text.encode()[3:11], lambda text: text.encode()[2:10].hex().upper().encode(),
    lambda text: base64.b64encode(b"user:" + text.encode()[1:12] + b"!"), lambda text: text.encode()[::-1]])
def test_the_search_finds_a_planted_leak(disguise):
    for name, secret in SECRETS.items():
        assert (name, "here") in leaks(SECRETS, {"here": b"{" + disguise(secret) + b"}"})
