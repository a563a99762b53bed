"""Deep sleep on trial, each wake an interpreter of its own: a wake that proves it keeps it, or the node is back."""

import json
import time

import pytest

from store import Store
from tools import errors

from .brokers import free_port
from .test_moving import mote
from .test_trial import BACK_LIMIT_S, TRIAL_S, alive, report

LIMIT_S = 30
DAY_S = 86_400
WEEK = {"power": {"mode": "deepsleep", "send_every": 7}, "telemetry": {"interval_s": DAY_S}}
NAP = {"power": {"mode": "deepsleep"}}


def start(world, **sections):
    node = world.start_node(world.broker.port, config={"trial_s": TRIAL_S}, **sections)
    world.auditor.wait_message(node.topic("telemetry/air"), LIMIT_S)
    return node


def send(world, node, patch, retain=True):
    return world.auditor.publish(node.topic("config/set"), {"revision": 1, "patch": patch}, retain=retain)


def last_status(world, node):
    return world.auditor.since(0, node.topic("status"))[-1].payload


def asleep(world, node, since):
    return world.auditor.wait_message(node.topic("status"), LIMIT_S, since, lambda one: one.payload == b"sleeping").t


# What goes wrong -> (a function of the world that gives the patch, is it kept by the broker?, words of the reason).
STRANDING = {
    "a week that nobody confirmed": (lambda world: WEEK, True, "silent for 604800 s at a time"),
    "a document that is not kept": (lambda world: NAP, False, "publish it retained"),
    "a broker that is not there": (lambda world: {**WEEK, "mqtt": {"port": free_port()}}, True, ""),
    "a wrong password": (lambda world: {**WEEK, "wifi": {"attic": {"password": "not this one"}}}, True, "attic"),
}


@pytest.mark.parametrize("what", STRANDING)
def test_deep_sleep_that_would_strand_the_node_is_taken_back(world, what):
    change, kept, words = STRANDING[what]
    node = start(world) if "password" not in what else world.start_node(
        world.broker.port, options=("--access-point", "test-net", "--access-point", "attic=correct horse"),
        config={"trial_s": TRIAL_S})
    world.auditor.wait_message(node.topic("telemetry/air"), LIMIT_S)
    patch = change(world)
    if "wifi" in patch:
        patch["wifi"]["test-net"] = None
    since = send(world, node, patch, kept)
    found = report(world, node, since, "rolled-back", BACK_LIMIT_S)
    assert words in found["reason"], found
    assert (found["revision"], found["config"]["power"]["mode"], found["patch"]) == (1, "always", {})
    alive(world, node, since)
    assert time.monotonic() - since <= TRIAL_S + 30
    again = report(world, node, since, "rolled-back")  # and after the restart that ended it
    assert again["reason"] == found["reason"]


def test_a_week_is_kept_when_the_operator_says_so_twice(world):
    node = start(world)
    refused = mote(world, "set", "node-a", "power.mode=deepsleep", "power.send_every=7",
                   f"telemetry.interval_s={DAY_S}")
    assert refused.returncode == errors.FAILED and "silent for 604800 s" in refused.stdout, refused
    assert "7 days" in refused.stderr and "--long-silence" in refused.stderr
    world.auditor.wait(lambda: last_status(world, node) == b"online", LIMIT_S, "node that is back")
    done = mote(world, "set", "node-a", "power.mode=deepsleep", "power.send_every=7",
                f"telemetry.interval_s={DAY_S}", "--long-silence")
    assert (done.returncode, done.stdout) == (errors.DONE, "node-a: applied as revision 3\n"), done
    info = world.auditor.wait_json(node.topic("info"), LIMIT_S, 0, lambda one: "wake_every_s" in one)
    assert info["wake_every_s"] == 7 * DAY_S


def test_deep_sleep_that_works_is_kept_by_the_second_wake(world):
    node = start(world)
    since = send(world, node, NAP)
    tried = report(world, node, since, "trial")
    assert tried["config"]["power"]["mode"] == "deepsleep"
    report(world, node, since, "applied", BACK_LIMIT_S)
    words = [one.payload for one in world.auditor.since(since, node.topic("status"))]
    assert words.count(b"sleeping") >= 2, words
    asleep(world, node, time.monotonic())


def test_a_power_cut_in_the_sleep_of_a_trial_takes_it_back(world):
    node = start(world)
    since = send(world, node, WEEK)
    report(world, node, since, "trial")
    asleep(world, node, since)
    time.sleep(1)  # it is in the sleep that belongs to the trial, of which nothing is to be seen
    node.kill()
    assert json.loads(Store(node.state).load("config"))["first"] == "wake"
    started = time.monotonic()
    node.start()
    found = report(world, node, started, "rolled-back")
    assert found["reason"] == "restarted before the node was online"
    alive(world, node, started)
