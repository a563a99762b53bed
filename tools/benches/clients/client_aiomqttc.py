"""aiomqttc: a publish waits for its acknowledgement, so several coroutines publish at once."""

import asyncio

import aiomqttc
from load import AT_ONCE, CLIENT, PAYLOAD, READINGS, STATUS, TOPIC, late

LOOP = True


def _silent(text=""):
    """In place of a log that prints at every PUBACK, and asks for a clock that not every machine has."""


aiomqttc.log = _silent


class Bench:
    callback = None

    def __init__(self, host, port):
        self._client = aiomqttc.MQTTClient(CLIENT, host, port, keepalive=60)

    async def connect(self):
        if not await self._client.connect():
            raise OSError("no connection")

    async def disconnect(self):
        await self._client.disconnect()

    async def publish0(self, count):
        for _ in range(count):
            await self._client.publish(TOPIC, PAYLOAD, 0)

    async def awaited(self, count, until_ms=None):
        sent = 0
        while sent < count and not late(until_ms):
            if not await self._client.publish(TOPIC, PAYLOAD, 1):
                raise OSError("not acknowledged")
            sent += 1
        return sent

    async def publish1(self, count, until_ms):
        at_once = min(AT_ONCE, count)
        return sum(await asyncio.gather(*[self.awaited(count // at_once, until_ms) for _ in range(at_once)]))

    async def wake(self):
        await self.connect()
        await asyncio.gather(
            *[self.awaited(1) for _ in range(READINGS)], self._client.publish(STATUS, b"sleeping", 1, True))
        await self.disconnect()
