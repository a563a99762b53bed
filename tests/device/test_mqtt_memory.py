"""What a publish leaves for the collector on MicroPython, what receiving its answer takes included.

Over real sockets, and what else the client takes: tests/host/test_mqtt_figures.py.
"""

import asyncio
import gc

from minitest import equal
from mqtt import Client

TOPIC = "mote/node/telemetry/air"
PAYLOAD = b"x" * 100
COUNT = 512
MOST_QOS_1 = 64


class Broker:
    """A stream that takes every write at once and acknowledges when it is told to, without taking memory itself."""

    def __init__(self):
        self.answers = 0
        self.writes = 0
        self._number = 0
        self._news = asyncio.Event()

    def acknowledge(self, count):
        self.answers += count
        self._news.set()

    def read(self, buf):
        count = min(self.answers, len(buf) // 4)
        for at in range(0, 4 * count, 4):
            self._number += 1
            buf[at] = 0x40
            buf[at + 1] = 2
            buf[at + 2] = self._number >> 8
            buf[at + 3] = self._number & 255
        self.answers -= count
        return 4 * count or None

    def readable(self):
        self._news.clear()
        return self._news.wait()

    def write(self, buf, size):
        self.writes += 1
        return True

    async def drain(self):
        raise AssertionError("nothing is left to drain")


async def bytes_each(count, work):
    """Bytes that each of `count` more calls takes in the coroutine function `work`; 0 where nobody counts them."""
    taken = []
    for more in (8, 8, 8 + count):
        gc.collect()
        gc.disable()
        before = gc.mem_alloc() if hasattr(gc, "mem_alloc") else 0
        await work(more)
        taken.append(gc.mem_alloc() - before if hasattr(gc, "mem_alloc") else 0)
        gc.enable()
    return (taken[2] - taken[1]) / count


class Publisher:
    """A client that receives, over such a broker."""

    def __init__(self, window):
        self.acknowledged = 0
        self.broker = Broker()
        self.client = Client(self.broker, None, self._take, window=window)

    def _take(self, token):
        self.acknowledged += 1

    async def __aenter__(self):
        receive, watch = self.client.parts()
        watch.close()
        self._task = asyncio.create_task(receive)
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_):
        self._task.cancel()
        try:
            await self._task
        except asyncio.CancelledError:
            pass  # ours

    async def burst(self, count):
        """Publishes at QoS 0, as many in one write as fit."""
        for _ in range(count):
            assert self.client.put(TOPIC, PAYLOAD)
        self.client.flush()

    async def one_by_one(self, count):
        """Publishes at QoS 0, a write for each."""
        for _ in range(count):
            assert self.client.put(TOPIC, PAYLOAD)
            self.client.flush()

    async def windows(self, count):
        """Publishes at QoS 1, a window full at a time."""
        waiting = 0
        for number in range(count):
            assert self.client.put(TOPIC, PAYLOAD, False, 1, number)
            waiting += 1
            if waiting == 8 or number == count - 1:
                self.client.flush()
                wanted = self.acknowledged + waiting
                self.broker.acknowledge(waiting)
                while self.acknowledged < wanted:
                    await asyncio.sleep(0)
                waiting = 0


async def test_a_publish_at_qos_0_takes_no_memory():
    async with Publisher(8) as publisher:
        equal(await bytes_each(COUNT, publisher.burst), 0)
        assert publisher.broker.writes <= COUNT // 3, "%d writes" % publisher.broker.writes
        equal(await bytes_each(COUNT, publisher.one_by_one), 0)


async def test_a_publish_at_qos_1_with_a_callback_takes_little():
    async with Publisher(8) as publisher:
        taken = await bytes_each(COUNT, publisher.windows)
        assert taken <= MOST_QOS_1, "%d bytes each" % taken
