"""A change that would strand a node, on real brokers: the node comes back by itself and says why."""

import pytest

from .brokers import free_port

LIMIT_S = 30
TRIAL_S = 10
BACK_LIMIT_S = TRIAL_S + 30
STRANDING = {
    "wrong port": lambda world: {"mqtt": {"port": free_port()}},
    "TLS to a plain port": lambda world: {"mqtt": {"tls": {"ca": "no-such-file.pem"}}},
    "no such host": lambda world: {"mqtt": {"host": "no-such-host.invalid"}},
    "WebSocket where there is none": lambda world: {"mqtt": {"path": "/mqtt"}},
}


def start(world):
    node = world.start_node(world.broker.port, config={"trial_s": TRIAL_S})
    world.auditor.wait_message(node.topic("telemetry/air"), LIMIT_S)
    return node


def report(world, node, since, state, limit_s=LIMIT_S):
    return world.auditor.wait_json(node.topic("config"), limit_s, since, lambda found: found["state"] == state)


def alive(world, node, since):
    world.auditor.wait_message(node.topic("status"), LIMIT_S, since, lambda message: message.payload == b"online")
    world.auditor.wait_message(node.topic("telemetry/air"), LIMIT_S, since)


@pytest.mark.parametrize("change", STRANDING)
def test_node_comes_back_with_the_old_configuration_and_the_reason(world, change):
    node = start(world)
    patch = STRANDING[change](world)
    since = world.auditor.publish(node.topic("config/set"), {"revision": 1, "patch": patch})
    found = report(world, node, since, "rolled-back", BACK_LIMIT_S)
    assert (found["revision"], found["patch"], found["config"]["mqtt"]["port"]) == (1, {}, world.broker.port)
    assert found["reason"], "it says why"
    alive(world, node, since)


def test_a_change_that_works_is_tried_and_then_kept(world):
    node = start(world)
    since = world.auditor.publish(node.topic("config/set"), {"revision": 1, "patch": {"mqtt": {"user": "another"}}})
    report(world, node, since, "trial")
    found = report(world, node, since, "applied")
    assert (found["revision"], found["config"]["mqtt"]["user"]) == (1, "another")
    assert not world.auditor.since(since, node.topic("backlog")) or found["errors"] == []


def test_a_kill_during_the_trial_strands_nothing(world):
    node = start(world)
    since = world.auditor.publish(
        node.topic("config/set"), {"revision": 1, "patch": {"mqtt": {"port": free_port()}}})
    world.auditor.wait_message(node.topic("status"), LIMIT_S, since, lambda message: message.payload == b"offline")
    node.kill()
    node.start()
    found = report(world, node, since, "rolled-back")
    assert found["reason"] == "restarted before the node was online"
    alive(world, node, since)
