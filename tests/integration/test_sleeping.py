"""The node that sleeps, for real: each wake a run of its own, and a broker that is there, is not, or keeps silent."""

import json
import queue
import time

import paho.mqtt.client as paho
import pytest

from . import audit
from .auditor import retained

LIMIT_S = 30
AWAKE_S = 2
SLEEPING = {"power": {"mode": "deepsleep", "awake_s": AWAKE_S}}


def is_word(word):
    return lambda message: message.payload == word.encode()


def asleep(world, node, count=1, since=0.0):
    """Wait for the end of `count` wakes that reached the broker."""
    topic = node.topic("status")
    return world.auditor.wait(
        lambda: len([m for m in world.auditor.since(since, topic) if m.payload == b"sleeping"]) >= count, LIMIT_S,
        f"{count} wakes of {node.id}")


@pytest.mark.parametrize("engine", ["mosquitto", "iotcore"], indirect=True)
def test_each_wake_says_all_and_no_will_is_ever_heard(world):
    node = world.start_node(world.proxy.port, **SLEEPING)
    asleep(world, node, 6)
    messages = world.auditor.messages
    assert {m.payload for m in messages if m.topic == node.topic("status")} == {b"sleeping"}
    seqs = sorted(reading["seq"] for _, _, reading in audit.readings(messages, node.id))
    assert seqs == list(range(1, len(seqs) + 1)), "each once, and none is missing"
    assert json.loads(retained(world.broker.port, node.topic("telemetry/air")))["seq"] in seqs
    info = json.loads(retained(world.broker.port, node.topic("info")))
    assert info["wake_every_s"] == 1 and abs(info["wake_at"] - time.time()) < 60
    assert node.terminate() == 0


def kept_by(port, topic):
    """What a broker of MQTT 5 keeps on a topic: (payload, seconds until it forgets that, None for never)."""
    found = queue.SimpleQueue()
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    client.on_connect = lambda *_: client.subscribe(topic, 1)
    client.on_message = lambda _, __, message: found.put(message)
    client.connect("127.0.0.1", port)
    client.loop_start()
    try:
        message = found.get(timeout=LIMIT_S)
    finally:
        client.disconnect()
        client.loop_stop()
    return message.payload, getattr(message.properties, "MessageExpiryInterval", None)


@pytest.mark.parametrize("engine", ["mosquitto"], indirect=True)
def test_with_mqtt_5_the_broker_forgets_a_reading_after_four_sleeps_and_a_minute(world):
    node = world.start_node(world.proxy.port, mqtt={"version": 5}, **SLEEPING)
    asleep(world, node, 2)
    reading, expiry_s = kept_by(world.broker.port, node.topic("telemetry/air"))
    assert json.loads(reading)["seq"] and 0 < expiry_s <= 64
    assert kept_by(world.broker.port, node.topic("status")) == (b"sleeping", None)
    assert node.terminate() == 0


@pytest.mark.parametrize("engine", ["iotcore", "amqtt"], indirect=True)
def test_a_broker_that_speaks_3_1_1_alone_costs_one_wake_at_most_and_no_reading(world):
    """iotcore hangs up; amqtt keeps silent, for longer than these short wakes last."""
    node = world.start_node(world.broker.port, mqtt={"version": 5, "user": None, "password": None}, **SLEEPING)
    asleep(world, node, 2)
    diagnostics = world.auditor.wait_json(node.topic("diagnostics"), LIMIT_S)
    assert diagnostics["failed"] <= 1 and not any(diagnostics["dropped"].values()), diagnostics
    seqs = {reading["seq"] for _, _, reading in audit.readings(world.auditor.messages, node.id)}
    assert seqs >= set(range(1, diagnostics["produced"])), "what was read in a wake that failed came later"
    assert node.terminate() == 0


def test_a_broker_that_is_gone_costs_no_reading_and_no_long_wake(world):
    node = world.start_node(world.proxy.port, **SLEEPING)
    asleep(world, node, 2)
    world.proxy.close_gate()
    time.sleep(3)
    world.proxy.hold_gate()  # now it takes connections and says nothing
    time.sleep(AWAKE_S + 2)
    world.proxy.open_gate()
    healed = time.monotonic()
    report = world.auditor.wait_json(node.topic("diagnostics"), LIMIT_S, healed, lambda d: d["failed"] >= 2)
    asleep(world, node, 2, time.monotonic())
    seqs = {reading["seq"] for _, _, reading in audit.readings(world.auditor.messages, node.id)}
    assert seqs >= set(range(1, report["produced"])), "what was read with nobody to hear it came later"
    awake_ms = [d["awake_ms"] for d in map(audit.strict, [
        m.payload for m in world.auditor.messages if m.topic == node.topic("diagnostics")])]
    assert max(awake_ms) <= 1_000 * AWAKE_S + 1_000, awake_ms
    assert b"offline" not in {m.payload for m in world.auditor.messages if m.topic == node.topic("status")}


def test_it_obeys_stays_awake_and_sleeps_again(world):
    node = world.start_node(world.proxy.port, **SLEEPING)
    asleep(world, node, 2)
    until_s = int(time.time()) + 8
    document = {"revision": 1, "patch": {"power": {"awake_until": until_s}}}
    sent = time.monotonic()
    world.auditor.publish(node.topic("config/set"), json.dumps(document), retain=True)
    obeyed = world.auditor.wait_json(node.topic("config"), LIMIT_S, sent, lambda d: d["revision"] == 1)
    assert obeyed["state"] == "applied"
    world.auditor.wait_json(node.topic("diagnostics"), LIMIT_S, sent, lambda d: "wakes" not in d)
    world.auditor.publish(node.topic("command/identify"), b"")
    assert world.auditor.wait_json(node.topic("reply"), LIMIT_S, sent)["ok"], "only who is awake obeys commands"
    world.auditor.wait_message(node.topic("status"), LIMIT_S, sent, is_word("offline"))
    assert time.time() >= until_s - 1
    asleep(world, node, 2, time.monotonic())
