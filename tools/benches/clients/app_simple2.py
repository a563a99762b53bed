"""An application on umqtt.simple2, for the faults: it waits for the status of what it published."""

import time

from umqtt.simple2 import MQTTClient

DELIVERED = 1
LOOKS_PER_S = 20


class App:
    LOOP = False

    def __init__(self, host, port, keepalive_s, on_message):
        self._client = MQTTClient("fault", host, port, keepalive=keepalive_s)
        self._client.set_callback(lambda topic, payload, retained, duplicate: on_message(topic, payload))
        self._client.set_callback_status(self._note)
        self._ping_s = keepalive_s // 2
        self._waits = self._status = None

    def _note(self, number, status):
        if number == self._waits:
            self._status = status

    async def connect(self):
        self._client.connect()

    async def send(self, topic, payload):
        self._status = None
        self._waits = self._client.publish(topic, payload, False, 1)
        while self._status is None:
            self._client.check_msg()
        return self._status == DELIVERED

    async def idle(self, seconds):
        for turn in range(seconds * LOOKS_PER_S):
            if not turn % (self._ping_s * LOOKS_PER_S):
                self._client.ping()
            self._client.check_msg()
            time.sleep_ms(1_000 // LOOKS_PER_S)

    async def close(self):
        self._client.disconnect()
