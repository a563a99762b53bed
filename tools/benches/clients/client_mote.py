"""lib/mqtt, as its page shows it."""

import asyncio

from lending import lend
from load import CLIENT, PAYLOAD, READINGS, STATUS, TOPIC
from mqtt import Client

LOOP = True
WINDOW = 64


class Bench:
    def __init__(self, host, port):
        self._host = host
        self._port = port

    async def _open(self):
        stream = lend("stream")
        self._stream = await stream.connect(stream.resolve(self._host, self._port), self._host, None)
        self._client = Client(self._stream, None, self._acknowledged, window=WINDOW)
        self._task = asyncio.create_task(self._client.run())

    def _acknowledged(self, token):
        """What a program does with its token is its own affair."""

    async def connect(self):
        await self._open()
        await self._client.connect(CLIENT)

    async def disconnect(self):
        await self._client.disconnect()
        self._task.cancel()
        self._stream.close()
        await self._stream.wait_closed()

    async def publish0(self, count):
        client = self._client
        for _ in range(count):
            while not client.put(TOPIC, PAYLOAD, False, 0):
                await client.room(0)
        await client.drain()

    async def callback(self, count, until_ms=None):
        """Each with a token that comes back when it is acknowledged; the last one tells that all are."""
        client = self._client
        for token in range(count - 1):
            while not client.put(TOPIC, PAYLOAD, False, 1, token):
                await client.room(1)
        await client.publish(TOPIC, PAYLOAD, False, 1)
        return count

    publish1 = callback

    async def awaited(self, count, until_ms=None):
        for _ in range(count):
            await self._client.publish(TOPIC, PAYLOAD, False, 1)
        return count

    async def wake(self):
        """All leaves in one go, without waiting for CONNACK."""
        await self._open()
        client = self._client
        client.begin(CLIENT)
        for _ in range(READINGS):
            client.put(TOPIC, PAYLOAD, False, 1)
        await client.publish(STATUS, "sleeping", True, 1)
        await client.begun()
        await self.disconnect()
