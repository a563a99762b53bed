"""MQTT 5 with real brokers: the client on its own, and nodes of both interpreters."""

import asyncio
import time

import pytest

from mqtt import Client
from mqtt5 import Client5
from mqtt_session import kept, resume
from together import together
from tools import brokers
from tools.host.cpython_world import World

from .auditor import Auditor

START_LIMIT_S = 30
TEST_LIMIT_S = 20

engines = pytest.mark.parametrize("engine", ["mosquitto", "iotcore"])
only_mosquitto = pytest.mark.parametrize("engine", ["mosquitto"])


@pytest.fixture
def broker(engine):
    if not brokers.available(engine):
        pytest.skip(f"{engine} is not installed")
    with brokers.Broker(engine) as running:
        yield running


async def session(port, work, kind=Client5, **options):
    """`await work(client)` on one connection; returns what it returns. `client.heard` is what came in."""
    stream = await World().open_stream("127.0.0.1", port, None)
    heard = []

    def on_message(topic, payload, retained):
        heard.append((topic, bytes(payload), retained, getattr(client, "properties", None)))
        client.news.set()

    client = kind(stream, on_message, **options)
    client.heard = heard
    try:
        return await together(client.run(), work(client))
    finally:
        stream.close()
        await stream.wait_closed()


async def until(client, count):
    while len(client.heard) < count:
        await client.change()


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, TEST_LIMIT_S))


@engines
def test_properties_travel_from_client_to_client(broker):
    sent = {"content_type": "text/plain", "response_topic": "back", "correlation_data": b"\0\xff", "payload_format": 1,
            "user": [("a", "1"), ("a", "2")]}

    async def work(client):
        assert await client.connect("one") is False
        assert client.server["topic_alias_maximum"] > 0
        assert await client.subscribe([("t/#", 1)]) == b"\x01"
        await client.publish("t/a", "hello", qos=1, properties=sent)
        for number in range(3):
            await client.publish("t/b", str(number), qos=number % 2)
        await until(client, 4)
        await client.disconnect()
        return client.heard, client.known_as

    aliases = 4 if broker.engine == "mosquitto" else 0  # iotcore 0.4 hands a publisher's aliases on to subscribers
    heard, known = run(session(broker.v5_port, work, topic_aliases=aliases))
    assert heard[0] == ("t/a", b"hello", False, sent)
    assert [message[:2] for message in heard[1:]] == [("t/b", b"0"), ("t/b", b"1"), ("t/b", b"2")]
    assert known == ({"t/a": 1, "t/b": 2} if aliases else {})


@engines
def test_a_request_is_answered(broker):
    async def answer(client):
        await client.connect("server")
        await client.subscribe([("do", 1)])
        await until(client, 1)
        asked = client.heard[0][3]
        await client.publish(asked["response_topic"], client.heard[0][1] * 2, qos=1,
                             properties={"correlation_data": asked["correlation_data"]})
        await asyncio.Event().wait()

    async def ask(client):
        await client.connect("client")
        await client.subscribe([("me/reply", 1)])
        while True:
            try:
                return await client.request("do", "ab", "me/reply", 1)
            except asyncio.TimeoutError:
                continue  # the other has not subscribed yet

    async def both():
        return await together(session(broker.v5_port, answer), session(broker.v5_port, ask))

    assert run(both()) == b"abab"


@only_mosquitto
def test_who_asks_for_no_id_gets_one(broker):
    async def unnamed(client):
        await client.connect("")
        return client.client_id

    first, second = (run(session(broker.v5_port, unnamed)) for _ in range(2))
    assert first and second and first != second


@only_mosquitto
def test_a_message_expires_and_a_will_is_delayed(broker):
    async def leave(client):
        client.begin("late", will=("will/late", "gone", False, 1), will_properties={"will_delay_s": 1})
        await client.begun()
        await client.publish("kept/short", "1", True, 1, {"message_expiry_s": 1})
        await client.publish("kept/long", "2", True, 1, {"message_expiry_s": 60})

    async def watch(client):
        await client.connect("watch")
        await client.subscribe([("will/#", 1)])
        await session(broker.v5_port, leave, session_expiry_s=60)
        left = time.monotonic()
        await until(client, 1)
        waited = time.monotonic() - left
        await client.subscribe([("kept/#", 1)])
        await until(client, 2)
        return client.heard, waited

    heard, waited = run(session(broker.v5_port, watch))
    assert [message[:2] for message in heard] == [("will/late", b"gone"), ("kept/long", b"2")]
    assert waited > 0.5
    assert 0 < heard[1][3]["message_expiry_s"] < 60


@only_mosquitto
@pytest.mark.parametrize("kind, options", [(Client, {}), (Client5, {"session_expiry_s": 60})])
def test_what_was_in_flight_is_sent_again_in_a_session_that_was_kept(broker, kind, options):
    """The first connection breaks before any acknowledgement is read, so the broker gets all of it twice or once."""
    async def breaks(client):
        assert await client.connect("kept", clean=False) is False
        await client.subscribe([("t/#", 1)])
        for number in range(4):
            client.put(f"t/{number}", str(number), False, 1, number)
        client.flush()
        return kept(client)

    before = run(session(broker.v5_port, breaks, kind, **options))
    assert before[1][:4] == [0, 1, 2, 3]

    async def goes_on(client):
        assert await client.connect("kept", clean=False) is True
        await resume(client, before, lambda token: (f"t/{token}", str(token), False))
        await client.publish("t/last", "last", qos=1)
        assert client.unacknowledged() == []
        while ("t/last", b"last") not in [message[:2] for message in client.heard]:
            await client.change()
        return {message[:2] for message in client.heard}

    heard = run(session(broker.v5_port, goes_on, kind, **options))
    assert {(f"t/{number}", b"%d" % number) for number in range(4)} <= heard


def check_level(world, port, level):
    """A node that is configured for MQTT 5 gets online there, with this protocol level."""
    node = world.start_node(port, mqtt={"version": 5, "user": None, "password": None})
    deadline = time.monotonic() + START_LIMIT_S
    while "link: online" not in node.log():
        assert time.monotonic() < deadline, node.log()
        time.sleep(0.05)
    assert node.log().rpartition(", level ")[2][0] == str(level)
    return node


@pytest.mark.parametrize("engine", ["mosquitto", "iotcore"], indirect=True)
def test_a_node_speaks_mqtt_5(world):
    with brokers.Broker(world.engine) as broker, Auditor(broker.port) as auditor:
        node = check_level(world, broker.v5_port, 5)
        if broker.v5_port == auditor.port:  # else it would not hear the node: iotcore's versions are two worlds
            auditor.wait_json(node.topic("telemetry/air"), START_LIMIT_S, 0)
        assert node.terminate() == 0


@pytest.mark.parametrize("engine", ["iotcore", "amqtt"], indirect=True)
def test_a_node_speaks_the_older_version_with_an_older_broker(world):
    with brokers.Broker(world.engine) as broker, Auditor(broker.port) as auditor:
        node = check_level(world, broker.port, 4)
        auditor.wait_json(node.topic("telemetry/air"), START_LIMIT_S, 0)
        assert node.terminate() == 0
