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

from . import auditor, nodes
from .brokers import free_port

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
STORE = ("config", "good", "config.json")  # what a node keeps its configuration in
WINDOW = 8  # bytes of a secret in a row that are too many


def disguises(secret):
    """Byte strings none of which may be found: every window of a secret, and what base64 and hex make of the whole."""
    data = secret.encode()
    found = {data[at:at + WINDOW] for at in range(len(data) - WINDOW + 1)}
    found |= {data.hex().encode(), data.hex().upper().encode(), data[::-1]}
    for shift in range(3):
        found.add(base64.b64encode(b"\0" * shift + data)[4:-4])
    return found


def leaks(named):
    """(secret, place) of each secret that is somewhere in `named`, place -> bytes."""
    return [(secret, place) for secret, value in SECRETS.items() for disguise in disguises(value)
            for place, data in named.items() if disguise in data]


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
    for number, message in enumerate(world.auditor.messages):
        if not message.topic.endswith("/config/set"):
            places[f"{message.topic} {number}"] = message.topic.encode() + message.payload
    with auditor.Auditor(world.broker.port, filters=("#",)) as newcomer:
        newcomer.wait(lambda: newcomer.messages, LIMIT_S, "kept message")
        time.sleep(1)  # for all that the broker keeps; nothing says that it has been all
        places.update({f"kept {one.topic}": one.payload for one in newcomer.messages})
    places["log"] = node.log().encode()
    places.update({f"file {name}": data for name, data in node.flash().items() if name not in STORE})
    assert len(places) > 30 and leaks(places) == []


@pytest.mark.parametrize("disguise", [
    str.encode, lambda text: base64.b64encode(text.encode()), lambda text: text.encode().hex().encode(),
    lambda text: b"xx" + text.encode()[3:11]])
def test_the_search_finds_a_planted_leak(disguise):
    for name, secret in SECRETS.items():
        assert (name, "here") in leaks({"here": b"{" + disguise(secret) + b"}"})
