"""A node that is led to another broker, with two real ones: it stays there only when its document is there, too."""

import json
import pathlib
import subprocess
import sys
import time

import pytest

from tools import ROOT, errors

from . import nodes
from .auditor import Auditor
from .brokers import Broker
from .test_trial import BACK_LIMIT_S, TRIAL_S, alive, report

LIMIT_S = 30
VERB_LIMIT_S = 90
SECRET = "planted-secret-2c90"
LOST = "did not find this document there"


def start(world):
    """A node at one broker; returns it, the other broker and an Auditor there."""
    folder = pathlib.Path(world.folder, "other")
    folder.mkdir()
    other = world.keep(Broker("mosquitto", folder))
    there = world.keep(Auditor(other.port))
    node = world.start_node(world.broker.port, config={"trial_s": TRIAL_S})
    world.auditor.wait_message(node.topic("telemetry/air"), LIMIT_S)
    return node, other, there


def mote(world, *words):
    command = [sys.executable, "-m", "tools", "config", *words, "--broker", f"127.0.0.1:{world.broker.port}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=VERB_LIMIT_S)
    assert "Traceback" not in done.stderr and SECRET not in done.stdout + done.stderr, done
    return done


def kept(port, topic):
    """What the broker keeps on a topic; None for nothing."""
    with Auditor(port, filters=(topic, "end")) as auditor:
        auditor.publish("end", b"")  # comes after all that is kept
        auditor.wait_message("end", LIMIT_S)
        found = [one.payload for one in auditor.messages if one.topic == topic]
    return found[0] if found else None


def test_an_open_broker_that_is_not_ours_is_left_again(world):
    node, other, there = start(world)
    since = world.auditor.publish(
        node.topic("config/set"), {"revision": 1, "patch": {"mqtt": {"port": other.port}}}, retain=True)
    found = report(world, node, since, "rolled-back", BACK_LIMIT_S)
    assert time.monotonic() - since <= TRIAL_S + 30
    assert f"127.0.0.1:{other.port}" in found["reason"] and LOST in found["reason"]
    assert (found["revision"], found["patch"]) == (1, {})
    alive(world, node, since)
    assert [one.payload for one in there.since(since, node.topic("probe"))], "it had an echo there"


def test_a_move_with_mote_config_set(world):
    node, other, there = start(world)
    done = mote(world, "set", "node-a", f"mqtt.port={other.port}", "node.name=Moved")
    assert (done.returncode, done.stdout) == (errors.DONE, "node-a: applied as revision 1\n"), done
    topic = node.topic("config/set")
    assert kept(world.broker.port, topic) is None
    patch = {"mqtt": {"port": other.port}, "node": {"name": "Moved"}}
    assert json.loads(kept(other.port, topic)) == {"revision": 1, "patch": patch}
    since = time.monotonic()
    there.wait_message(node.topic("telemetry/air"), LIMIT_S, since)
    node.kill()
    node.start()  # what is kept holds, and what the broker keeps changes nothing
    found = there.wait_json(node.topic("config"), LIMIT_S, time.monotonic())
    assert (found["state"], found["revision"]) == ("applied", 1)


def test_a_move_with_a_new_password_leaves_it_nowhere(world):
    node, other, there = start(world)
    done = mote(world, "set", "node-a", f"mqtt.port={other.port}", f"mqtt.password={SECRET}")
    assert done.returncode == errors.DONE, done
    assert kept(world.broker.port, node.topic("config/set")) is None
    assert kept(other.port, node.topic("config/set")) is None
    there.wait_message(node.topic("telemetry/air"), LIMIT_S, time.monotonic())


@pytest.mark.parametrize("first", ["old", "new"])
def test_a_move_by_hand(world, first):
    node, other, there = start(world)
    document = {"revision": 1, "patch": {"mqtt": {"port": other.port}}}
    since = time.monotonic()
    if first == "new":
        there.publish(node.topic("config/set"), document, retain=True)
    world.auditor.publish(node.topic("config/set"), document, retain=True)
    if first == "old":
        there.wait_message(node.topic("status"), LIMIT_S, since, lambda one: one.payload == b"online")
        there.publish(node.topic("config/set"), document)
    found = there.wait_json(node.topic("config"), LIMIT_S, since, lambda one: one["state"] == "applied")
    assert (found["revision"], found["config"]["mqtt"]["port"]) == (1, other.port)


def test_a_node_that_sleeps_moves_too(world):
    folder = pathlib.Path(world.folder, "other")
    folder.mkdir()
    other = world.keep(Broker("mosquitto", folder))
    there = world.keep(Auditor(other.port))
    node = world.start_node(world.broker.port, config={"trial_s": TRIAL_S}, power={"mode": "deepsleep"})
    world.auditor.wait_message(node.topic("status"), LIMIT_S, accept=lambda one: one.payload == b"sleeping")
    since = world.auditor.publish(
        node.topic("config/set"), {"revision": 1, "patch": {"mqtt": {"port": other.port}}}, retain=True)
    found = report(world, node, since, "rolled-back", BACK_LIMIT_S)
    assert "not there when the node woke" in found["reason"]
    done = mote(world, "set", "node-a", f"mqtt.port={other.port}")
    assert (done.returncode, done.stdout) == (errors.DONE, "node-a: applied as revision 2\n"), done
    there.wait_message(node.topic("telemetry/air"), LIMIT_S, time.monotonic())
    assert nodes.PASSWORD not in node.log()
