"""How others learn that a node is gone: killed, silent, cut off, or taking its leave."""

import time

import pytest

from .auditor import retained
from .proxy import UP

START_LIMIT_S = 30
KEEPALIVE_S = 5
KILLED_S = 3  # the kernel closes the socket, the broker sends the will
SILENT_S = 1.5 * KEEPALIVE_S + 6
LEFT_S = 2  # `at once`: one exchange with the broker and the end of a process
BROKERS = ["mosquitto", "iotcore"]


def wait_status(auditor, node, word, limit_s, since=0.0):
    """Wait for `word` on the node's status; returns the seconds that it took since `since`."""
    message = auditor.wait_message(node.topic("status"), limit_s, since, lambda m: m.payload == word)
    return message.t - since


def born(auditor, node):
    wait_status(auditor, node, b"online", START_LIMIT_S)
    auditor.wait_message(node.topic("telemetry/air"), START_LIMIT_S)


@pytest.mark.parametrize("engine", BROKERS, indirect=True)
def test_sigkill_gives_offline_within_3_s(world):
    node = world.start_node(world.broker.port)
    born(world.auditor, node)
    killed = node.kill()
    world.say(f"offline {wait_status(world.auditor, node, b'offline', KILLED_S, killed):.2f} s after SIGKILL")
    assert retained(world.broker.port, node.topic("status")) == b"offline"


@pytest.mark.parametrize("engine", BROKERS, indirect=True)
def test_silence_gives_offline_within_one_and_a_half_keepalives(world):
    """One node under SIGSTOP and one whose link swallows everything, at the same time."""
    stopped = world.start_node(world.broker.port, node={"id": "stopped"})
    cut_off = world.start_node(world.proxy.port, node={"id": "cut-off"})
    born(world.auditor, stopped)
    born(world.auditor, cut_off)
    began = stopped.pause()
    world.proxy.blackhole()
    for node in (stopped, cut_off):
        left_s = SILENT_S - (time.monotonic() - began)
        took_s = wait_status(world.auditor, node, b"offline", left_s, began)
        world.say(f"{node.id}: offline {took_s:.2f} s after the silence began")
    healed = time.monotonic()
    stopped.resume()
    world.proxy.heal()
    for node in (stopped, cut_off):
        wait_status(world.auditor, node, b"online", START_LIMIT_S, healed)


@pytest.mark.parametrize("engine", BROKERS, indirect=True)
def test_sigterm_gives_offline_at_once_by_the_node_itself(world):
    node = world.start_node(world.proxy.port)
    born(world.auditor, node)
    since = time.monotonic()
    assert node.terminate() == 0
    world.say(f"offline {wait_status(world.auditor, node, b'offline', LEFT_S, since):.2f} s after SIGTERM")
    world.proxy.wait_frame("DISCONNECT", UP, LEFT_S, since)
    last = [seen.frame for seen in world.proxy.frames("PUBLISH", UP, since)][-1]
    assert (last.topic, last.payload, last.retain, last.qos) == (node.topic("status"), b"offline", True, 1)
    world.proxy.wait(lambda: world.proxy.connections() == 0, LEFT_S, "end of the connection")
    assert retained(world.broker.port, node.topic("status")) == b"offline"
    assert len([m for m in world.auditor.since(since, node.topic("status"))]) == 1, "the will came as well"


@pytest.mark.parametrize("why", ["nobody listens", "no CONNACK", "half-open"])
def test_sigterm_ends_a_node_that_has_nobody_to_say_goodbye_to(world, why):
    node = world.start_node(world.proxy.port)
    born(world.auditor, node)
    since = time.monotonic()
    if why == "half-open":
        world.proxy.blackhole()
    else:
        (world.proxy.close_gate if why == "nobody listens" else world.proxy.hold_gate)()
        world.proxy.reset()
        wait_log(node, "link: connecting", 2)
    assert node.terminate() == 0
    world.say(f"{why}: ended {time.monotonic() - since:.1f} s after")


def wait_log(node, text, times):
    """Wait until the node has logged `text` so many times."""
    deadline = time.monotonic() + START_LIMIT_S
    while node.log().count(text) < times:
        assert time.monotonic() < deadline, f"no {text!r} in the log"
        time.sleep(0.05)
