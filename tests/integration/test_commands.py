"""Commands: obeyed once, answered, never obeyed again because a broker kept them."""

import json

import pytest

from .audit import strict

START_LIMIT_S = 30
ANSWER_S = 5
WIDE_S = 10 + ANSWER_S  # commands to many nodes are obeyed after a random 0-10 s


def quiet_node(world):
    """A node that has been born and says nothing unasked."""
    node = world.start_node(world.broker.port, telemetry={"interval_s": 3600, "diagnostics_s": 3600})
    world.auditor.wait_message(node.topic("telemetry/air"), START_LIMIT_S)
    return node


def ask(auditor, node, verb, payload=""):
    """Send a command; returns (time of sending, reply)."""
    since = auditor.publish(node.topic(f"command/{verb}"), payload)
    return since, auditor.wait_json(node.topic("reply"), ANSWER_S, since, lambda reply: reply["verb"] == verb)


def test_sample_gives_a_fresh_reading(world):
    node = quiet_node(world)
    since, reply = ask(world.auditor, node, "sample")
    assert reply["ok"] is True and reply["id"] is None
    world.auditor.wait_message(node.topic("telemetry/air"), ANSWER_S, since)


def test_report_gives_every_document(world):
    node = quiet_node(world)
    since, reply = ask(world.auditor, node, "report", json.dumps({"id": "r-17"}))
    assert (reply["id"], reply["ok"]) == ("r-17", True)
    for topic in ("status", "info", "config", "diagnostics"):
        world.auditor.wait_message(node.topic(topic), ANSWER_S, since)
    world.auditor.wait_message("homeassistant/device/node-a/config", ANSWER_S, since)


def test_identify_is_answered_and_logged(world):
    node = quiet_node(world)
    _, reply = ask(world.auditor, node, "identify")
    assert reply["ok"] is True and "identify" in node.log()


def test_restart_answers_leaves_and_comes_back_with_the_next_boot(world):
    node = quiet_node(world)
    boot = strict(world.auditor.since(0, node.topic("info"))[-1].payload)["boot"]
    since, reply = ask(world.auditor, node, "restart")
    assert reply["ok"] is True
    info = world.auditor.wait_json(node.topic("info"), START_LIMIT_S, since)
    assert info["boot"] == boot + 1
    statuses = [m.payload for m in world.auditor.since(since, node.topic("status"))]
    assert statuses == [b"offline", b"online"]
    since, _ = ask(world.auditor, node, "sample")
    assert [reply["verb"] for reply in replies(world.auditor, node)] == ["restart", "sample"], "the restart loops"


def replies(auditor, node):
    """Every reply so far."""
    return [strict(m.payload) for m in auditor.since(0, node.topic("reply"))]


@pytest.mark.parametrize(("verb", "payload"), [
    ("no-such-verb", ""), ("sample", "x" * 65), ("sample", '{"id": '), ("sample", b"\xff\xff"),
    ("sample", '{"id": ["a"]}'), ("sample", "{" + "[" * 900), ("sample", '{"a": "' + "x" * 1024 + '"}'),
], ids=["verb", "long word", "cut JSON", "invalid UTF-8", "id is a list", "brackets", "1 KB"])
def test_wrong_commands_are_answered_with_an_error(world, verb, payload):
    node = quiet_node(world)
    _, reply = ask(world.auditor, node, verb, payload)
    assert reply["ok"] is False and reply["error"]
    assert ask(world.auditor, node, "sample")[1]["ok"] is True


def test_retained_commands_are_ignored(world):
    world.auditor.publish("mote/node-a/command/restart", "", retain=True)
    world.auditor.publish("mote/node-a/config/set/telemetry.interval_s", "7", retain=True)
    world.auditor.publish("mote/all/command/restart", "now", retain=True)
    node = world.start_node(world.broker.port)
    world.auditor.wait_message(node.topic("telemetry/air"), START_LIMIT_S)
    ask(world.auditor, node, "sample")
    assert [reply["verb"] for reply in replies(world.auditor, node)] == ["sample"]
    assert strict(world.auditor.since(0, node.topic("config"))[-1].payload)["revision"] == 0


def test_commands_to_a_group_and_to_all_are_obeyed(world):
    node = quiet_node(world)
    since = world.auditor.publish("mote/group/lab/command/sample", "")
    world.auditor.publish("mote/all/command/report", "")
    world.auditor.publish("mote/group/other/command/restart", "")
    for verb in ("sample", "report"):
        world.auditor.wait_json(node.topic("reply"), WIDE_S, since, lambda reply, verb=verb: reply["verb"] == verb)
    assert sorted(reply["verb"] for reply in replies(world.auditor, node)) == ["report", "sample"]


def test_factory_reset_is_refused_to_all(world):
    node = quiet_node(world)
    since = world.auditor.publish("mote/all/command/factory-reset", "")
    reply = world.auditor.wait_json(node.topic("reply"), WIDE_S, since)
    assert reply["verb"] == "factory-reset" and reply["ok"] is False


def test_a_flood_of_commands_does_not_stop_telemetry(world):
    node = world.start_node(world.broker.port)
    world.auditor.wait_message(node.topic("telemetry/air"), START_LIMIT_S)
    for _ in range(500):
        since = world.auditor.publish(node.topic("command/sample"), "", qos=0)
    world.auditor.wait_json(node.topic("reply"), ANSWER_S)
    world.auditor.wait_message(node.topic("telemetry/air"), ANSWER_S, since + 1)
