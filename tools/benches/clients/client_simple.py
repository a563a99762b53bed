"""umqtt.simple: every call blocks, one message at a time."""

from load import CLIENT, PAYLOAD, READINGS, STATUS, TOPIC, late
from umqtt.simple import MQTTClient

LOOP = False


class Bench:
    callback = None

    def __init__(self, host, port):
        self._client = MQTTClient(CLIENT, host, port, keepalive=60)

    async def connect(self):
        self._client.connect()

    async def disconnect(self):
        self._client.disconnect()

    async def publish0(self, count):
        publish = self._client.publish
        for _ in range(count):
            publish(TOPIC, PAYLOAD, False, 0)

    async def awaited(self, count, until_ms=None):
        for number in range(count):
            if late(until_ms):
                return number
            self._client.publish(TOPIC, PAYLOAD, False, 1)
        return count

    publish1 = awaited

    async def wake(self):
        self._client.connect()
        await self.awaited(READINGS)
        self._client.publish(STATUS, b"sleeping", True, 1)
        self._client.disconnect()
