"""Publishes as fast as lib/mqtt.py can, on either Python: `publish.py HOST PORT COUNT`; prints one JSON object."""

import asyncio
import gc
import json
import sys
import time

from mqtt import Client
from together import together

if sys.implementation.name == "micropython":
    from tools.host.micropython_world import World
else:
    from tools.host.cpython_world import World

TOPIC = "mote/bench"
PAYLOAD = b"x" * 100
WARM_UP = 20


async def _send(client, count, qos):
    """Publish `count` messages; return when the broker has them all: it answers in order, also a last QoS 1."""
    for _ in range(count):
        await client.room(qos)
        client.put(TOPIC, PAYLOAD, False, qos)
    await client.publish(TOPIC, PAYLOAD, False, 1)


async def _rate(client, count, qos):
    """Messages per second."""
    gc.collect()
    started = time.time()
    await _send(client, count, qos)
    return int(count / (time.time() - started))


async def _garbage_bytes(client, qos):
    """Heap that one publish leaves for the collector; None on CPython, whose heap has no such count."""
    if not hasattr(gc, "mem_alloc"):
        return None
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    await _send(client, WARM_UP, qos)
    used = gc.mem_alloc() - before
    gc.enable()
    return used // WARM_UP


async def _measure(client, count):
    await client.connect("bench")
    found = {}
    for qos in (0, 1):
        await _send(client, WARM_UP, qos)
        found["qos%d_per_s" % qos] = await _rate(client, count, qos)
        found["qos%d_garbage_bytes" % qos] = await _garbage_bytes(client, qos)
    await client.disconnect()
    return found


async def main(host, port, count):
    stream = await World().open_stream(host, port, None)
    client = Client(stream)
    print(json.dumps(await together(_measure(client, count), client.run())))
    stream.close()
    await stream.wait_closed()


asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
