"""What happened before a restart, told after it by a real node through a real broker."""

import time

LIMIT_S = 30


def story(world, node, since):
    return world.auditor.wait_message(node.topic("log"), LIMIT_S, since).payload.decode()


def test_the_events_before_a_restart_are_told_once_after_it_and_when_asked_for(world):
    node = world.start_node(world.broker.port)
    assert story(world, node, 0).startswith("start: power-on\n")
    world.broker.kill()
    world.broker.start()
    world.auditor.wait_subscribed(2)
    world.auditor.wait_message(node.topic("telemetry/air"), LIMIT_S, time.monotonic())
    since = world.auditor.publish(node.topic("command/restart"), '{"id": 1}')
    told = story(world, node, since)
    assert told.startswith("start: hard\n") and told.count("\n") <= 51
    assert "command restart: ok" in told and told.count("link: online") >= 2 and ", power-on" in told, told
    since = world.auditor.publish(node.topic("command/report"), '{"id": "mine"}')
    assert "link: online" in story(world, node, since)
