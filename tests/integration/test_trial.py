"""Changes that would strand a node, on real brokers: it comes back by itself within the trial and half a minute, and
says why."""

import os
import pathlib
import pwd
import random
import subprocess
import time

import pytest

from tests.host.certificates import Authority
from store import Store
from tools import acl

from . import nodes
from .brokers import Broker, free_port

LIMIT_S = 30
TRIAL_S = 10
BACK_LIMIT_S = TRIAL_S + 30
KILLS = 10
HERE = "127.0.0.1"
WIFI = ("--access-point", "test-net", "--access-point", "guarded=correct horse")


def secured(world):
    """Start Mosquitto anew with passwords, the access list for nodes (anonymous eyes see all), and a TLS listener whose
    authority is `world.ours`; returns the port of that."""
    folder = pathlib.Path(world.folder)
    passwords, rules = folder / "passwords", folder / "acl"
    passwords.touch(mode=0o600)
    for user in ("node-a", "node-b"):
        subprocess.run(["mosquitto_passwd", "-b", passwords, user, nodes.PASSWORD], check=True, capture_output=True)
    rules.write_text("topic readwrite #\n" + acl.mosquitto(["node-a", "node-b"]))
    world.ours = Authority(folder, "ours")
    certificate, key = world.ours.issue("broker", [HERE])
    port = free_port()
    subscriptions = world.auditor.subscriptions
    world.broker.more = (
        f"user {pwd.getpwuid(os.geteuid()).pw_name}\npassword_file {passwords}\nacl_file {rules}\n"
        f"listener {port} {HERE}\ncertfile {certificate}\nkeyfile {key}\n")
    world.broker.kill()
    world.broker.start()
    world.auditor.wait_subscribed(subscriptions + 1)
    return port


def elsewhere(world):
    """The port of a broker that is alive, and not ours: it lets nobody in without a password that the node has not."""
    folder = pathlib.Path(world.folder, "elsewhere")
    folder.mkdir()
    (folder / "none").touch(mode=0o600)
    broker = Broker("mosquitto", folder)
    broker.more = f"user {pwd.getpwuid(os.geteuid()).pw_name}\npassword_file {folder / 'none'}\n"
    return world.keep(broker).port


def foreign(world):
    """The port of a broker that is alive, not ours, and lets everybody in."""
    folder = pathlib.Path(world.folder, "foreign")
    folder.mkdir()
    return world.keep(Broker("mosquitto", folder)).port


def other_authority(world):
    return Authority(pathlib.Path(world.folder), "other").pem


# (Mosquitto hangs up on a last will that the list denies.)
# What goes wrong -> (a function of the world and the TLS port that gives the patch, words one of which the reason has).
STRANDING = {
    "wrong port": (lambda world, tls: {"mqtt": {"port": free_port()}}, ("ECONNREFUSED", "refused", "111")),
    "no such host": (lambda world, tls: {"mqtt": {"host": "no-such-host.invalid"}}, ("resolve", "known", "name")),
    "wrong password": (lambda world, tls: {"mqtt": {"password": "a-wrong-password"}}, ("not authorized",)),
    "TLS to a plain port": (lambda world, tls: {"mqtt": {"tls": {"ca": world.ours.pem}}}, ("TLS",)),
    "no authority": (lambda world, tls: {"mqtt": {"tls": {"ca": "no-such-file.pem"}}}, ("mqtt.tls",)),
    "wrong authority": (lambda world, tls: {"mqtt": {"port": tls, "tls": {"ca": other_authority(world)}}},
                        ("unknown CA",)),
    "WebSocket where there is none": (lambda world, tls: {"mqtt": {"path": "/mqtt"}}, ("",)),
    "unknown Wi-Fi": (lambda world, tls: {"wifi": {"test-net": None, "attic": {"password": None}}},
                      ("no such network",)),
    "wrong Wi-Fi password": (lambda world, tls: {"wifi": {"test-net": None, "guarded": {"password": "wrong horse"}}},
                             ("wrong password",)),
    "an id that the access list denies": (lambda world, tls: {"node": {"id": "node-z"}},
                                          ("closed by the broker", "not authorized", "did not hear itself")),
    "a live broker that lets everybody in": (lambda world, tls: {"mqtt": {"port": foreign(world)}},
                                             ("did not find this document there",)),
    "another live broker": (lambda world, tls: {"mqtt": {"port": elsewhere(world)}}, ("not authorized",)),
    "a base that the access list denies": (lambda world, tls: {"mqtt": {"base": "else"}},
                                           ("closed by the broker", "not authorized", "did not hear itself")),
}


def start(world):
    tls = secured(world)
    node = world.start_node(world.broker.port, options=WIFI, config={"trial_s": TRIAL_S}, mqtt={"user": "node-a"})
    world.auditor.wait_message(node.topic("telemetry/air"), LIMIT_S)
    return node, tls


def report(world, node, since, state, limit_s=LIMIT_S):
    return world.auditor.wait_json(node.topic("config"), limit_s, since, lambda found: found["state"] == state)


def alive(world, node, since):
    world.auditor.wait_message(node.topic("status"), LIMIT_S, since, lambda message: message.payload == b"online")
    world.auditor.wait_message(node.topic("telemetry/air"), LIMIT_S, since)


@pytest.mark.parametrize("change", STRANDING)
def test_node_comes_back_with_the_old_configuration_and_the_reason(world, change):
    node, tls = start(world)
    patch, words = STRANDING[change][0](world, tls), STRANDING[change][1]
    since = world.auditor.publish(node.topic("config/set"), {"revision": 1, "patch": patch})
    found = report(world, node, since, "rolled-back", BACK_LIMIT_S)
    assert (found["revision"], found["patch"], found["config"]["mqtt"]["port"]) == (1, {}, world.broker.port)
    assert any(word in found["reason"] for word in words), found["reason"]
    alive(world, node, since)


def test_a_change_that_works_is_tried_and_then_kept(world):
    node, tls = start(world)
    patch = {"mqtt": {"port": tls, "tls": {"ca": world.ours.pem}}, "wifi": {"guarded": {"password": "correct horse"}}}
    since = world.auditor.publish(node.topic("config/set"), {"revision": 1, "patch": patch}, retain=True)
    report(world, node, since, "trial")
    found = report(world, node, since, "applied")
    assert (found["revision"], found["config"]["mqtt"]["port"]) == (1, tls)
    assert not world.auditor.since(since, node.topic("backlog")) or found["errors"] == []


def test_a_kill_during_the_trial_strands_nothing(world):
    node, _ = start(world)
    since = world.auditor.publish(
        node.topic("config/set"), {"revision": 1, "patch": {"mqtt": {"port": free_port()}}})
    world.auditor.wait_message(node.topic("status"), LIMIT_S, since, lambda message: message.payload == b"offline")
    node.kill()
    node.start()
    found = report(world, node, since, "rolled-back")
    assert found["reason"] == "restarted before the node was online"
    alive(world, node, since)


def test_kills_at_random_moments_of_trials_strand_nothing(world):
    """Each a change of the port to one where nobody is, and SIGKILL some time after it was sent."""
    node, _ = start(world)
    chance = random.Random(20_261_124)
    for revision in range(1, KILLS + 1):
        wait_s = chance.choice([chance.uniform(0, 0.1), chance.uniform(0, 1.5)])
        world.auditor.publish(
            node.topic("config/set"), {"revision": revision, "patch": {"mqtt": {"port": free_port()}}}, retain=True)
        time.sleep(wait_s)  # the moment is what is tested
        node.kill()
        Store(node.state).save("starts", b"0")  # as if a while had passed: so many kills in a row are rescue's
        started = time.monotonic()
        node.start()  # perhaps it gets the document only now, and tries it
        found = world.auditor.wait_json(
            node.topic("config"), BACK_LIMIT_S + LIMIT_S, started,
            lambda one, end=("rolled-back", revision): (one["state"], one["revision"]) == end)
        assert found["config"]["mqtt"]["port"] == world.broker.port
        alive(world, node, started)
