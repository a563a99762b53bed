"""umqtt.simple2: publishes do not wait, a status callback tells what was delivered."""

from load import AT_ONCE, CLIENT, PAYLOAD, READINGS, STATUS, TOPIC, late
from umqtt.simple2 import MQTTClient

LOOP = False
DELIVERED = 1


class Bench:
    awaited = None
    at_once = AT_ONCE
    client_class = MQTTClient

    def __init__(self, host, port):
        self._client = self.client_class(CLIENT, host, port, keepalive=60)
        self._client.set_callback_status(self._status)
        self._left = 0

    def _status(self, number, status):
        if status == DELIVERED:
            self._left -= 1

    async def connect(self):
        self._client.connect()

    async def disconnect(self):
        self._client.disconnect()

    async def publish0(self, count):
        publish = self._client.publish
        for _ in range(count):
            publish(TOPIC, PAYLOAD, False, 0)

    async def callback(self, count, until_ms=None):
        sent = 0
        while sent < count and not late(until_ms):
            self._client.publish(TOPIC, PAYLOAD, False, 1)
            sent += 1
            self._left += 1
            self._until_left(self.at_once - 1)
        self._until_left(0)
        return sent

    publish1 = callback

    def _until_left(self, number):
        while self._left > number:
            self._client.check_msg()

    async def wake(self):
        self._client.connect()
        await self.callback(READINGS)
        self._left += 1
        self._client.publish(STATUS, b"sleeping", True, 1)
        self._until_left(0)
        self._client.disconnect()
