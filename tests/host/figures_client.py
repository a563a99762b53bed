"""Measures lib/mqtt on MicroPython against a server that acknowledges: `figures_client.py HOST PORT WHAT COUNT`.

Prints one number: bytes that each publish takes in the best of five rounds of COUNT, or with WHAT "heap" that a
connected client holds. Only the best is the client's own: a packet that arrives in two parts costs its reader another
wait, as the network likes.
"""

import gc
import sys

gc.collect()
before = gc.mem_alloc()

import asyncio  # noqa: E402

from mqtt import Client  # noqa: E402
from stream import connect, resolve  # noqa: E402

TOPIC = b"mote/benc"
PAYLOAD = b"x" * 100
WARM_UP = 64
ROUNDS = 5
ROOMY = 200_000  # bytes free: then nothing needs to be collected


async def burst(client, count):
    for _ in range(count):
        while not client.put(TOPIC, PAYLOAD):
            await client.room(0)
    client.flush()


async def one_by_one(client, count):
    for _ in range(count):
        while not client.put(TOPIC, PAYLOAD):
            await client.room(0)
        client.flush()


async def callback(client, count):
    for _ in range(count):
        while not client.put(TOPIC, PAYLOAD, False, 1):
            await client.room()
    client.flush()
    while client.unacknowledged():
        await asyncio.sleep(0.01)


async def awaited(client, count):
    for _ in range(count):
        await client.publish(TOPIC, PAYLOAD, False, 1)


async def measured(client, what, count):
    if what == "heap":
        for _ in range(3):
            await client.publish(TOPIC, PAYLOAD, False, 1)
        gc.collect()
        return gc.mem_alloc() - before
    work = {"burst": burst, "one-by-one": one_by_one, "callback": callback, "awaited": awaited}[what]
    await taken(client, work, WARM_UP)
    begin = await taken(client, work, WARM_UP)
    best = await taken(client, work, WARM_UP + count)
    for _ in range(ROUNDS - 1):
        best = min(best, await taken(client, work, WARM_UP + count))
    return (best - begin) / count


async def taken(client, work, count):
    """Bytes that `count` publishes take."""
    if gc.mem_free() > ROOMY:
        gc.collect()
        gc.disable()
    used = gc.mem_alloc()
    await work(client, count)
    used = gc.mem_alloc() - used
    gc.enable()
    return used


async def main(host, port, what, count):
    client = Client(await connect(resolve(host, port), host, None), window=64 if what == "callback" else 8)
    tasks = [asyncio.create_task(part) for part in client.parts()]
    await client.connect("figures")
    print(await measured(client, what, count))
    for task in tasks:
        task.cancel()


asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
