"""CONNECT, SUBSCRIBE and QoS 1 publishes in one go, before CONNACK: every broker that nodes meet takes it."""

import asyncio

import pytest

from mqtt import Client
from together import together
from tools import brokers
from tools.host.cpython_world import World


async def wake(port, count):
    """Connect, subscribe and publish in one go; returns (answers, what came back through the subscription)."""
    heard = []
    stream = await World().open_stream("127.0.0.1", port, None)
    client = Client(stream, on_message=lambda topic, payload, retained: heard.append(bytes(payload)))

    async def work():
        client.begin("sleeper", filters=[("here", 1)])
        for number in range(count):
            assert client.put("here", str(number), False, 1)
        answers = await client.begun()
        while client.unacknowledged() or len(heard) < count:
            await asyncio.sleep(0.01)
        await client.disconnect()
        return answers

    try:
        return await together(client.run(), work()), heard
    finally:
        stream.close()
        await stream.wait_closed()


@pytest.mark.parametrize("engine", ["mosquitto", "iotcore", "amqtt"])
def test_a_broker_takes_all_of_a_short_session_at_once(engine):
    if not brokers.available(engine):
        pytest.skip(f"{engine} is not installed")
    with brokers.Broker(engine) as broker:
        answers, heard = asyncio.run(asyncio.wait_for(wake(broker.port, 6), 20))
    assert answers == (False, b"\x01")
    assert heard == [b"0", b"1", b"2", b"3", b"4", b"5"]
