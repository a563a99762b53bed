"""An application on lib/mqtt, for the faults: one connection at a time, a new one when it ends."""

import asyncio

from mqtt import Client
from stream import connect, resolve

LOOKS_PER_S = 20


class App:
    LOOP = True

    def __init__(self, host, port, keepalive_s, on_message):
        self._address = (host, port)
        self._keepalive_s = keepalive_s
        self._on_message = on_message
        self._task = self._stream = None

    async def connect(self):
        host, port = self._address
        self._stream = await connect(resolve(host, port), host, None)
        client = self._client = Client(self._stream, self._heard, keepalive_s=self._keepalive_s)
        self._task = asyncio.create_task(client.run())
        await client.connect("fault")

    def _heard(self, topic, payload, retained):
        self._on_message(topic.encode(), payload)

    async def send(self, topic, payload):
        await self._client.publish(topic, payload, False, 1)
        return True

    async def idle(self, seconds):
        """Nothing to send; raises when the connection ends meanwhile."""
        for _ in range(seconds * LOOKS_PER_S):
            if self._task.done():
                await self._task
            await asyncio.sleep(1 / LOOKS_PER_S)

    async def close(self):
        if self._task:
            self._task.cancel()
        if self._stream:
            self._stream.close()
            await self._stream.wait_closed()
        self._task = self._stream = None
