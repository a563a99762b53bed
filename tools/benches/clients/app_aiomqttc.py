"""An application on aiomqttc, for the faults: a publish that comes to nothing is tried again over a new connection."""

import asyncio

import aiomqttc


def _silent(text=""):
    """In place of a log that asks for a clock that not every machine has."""


aiomqttc.log = _silent


class App:
    LOOP = True

    def __init__(self, host, port, keepalive_s, on_message):
        async def heard(client, topic, payload, retained):
            on_message(topic.encode(), bytes(payload))

        self._client = aiomqttc.MQTTClient("fault", host, port, keepalive=keepalive_s)
        self._client.on_message = heard

    async def connect(self):
        if not await self._client.connect():
            raise OSError("no connection")

    async def send(self, topic, payload):
        return await self._client.publish(str(topic, "utf-8"), payload, 1)

    async def idle(self, seconds):
        await asyncio.sleep(seconds)

    async def close(self):
        await self._client.disconnect()
