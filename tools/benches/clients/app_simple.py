"""An application on umqtt.simple, for the faults: it pings when it has nothing to send."""

import time

from umqtt.simple import MQTTClient


class App:
    LOOP = False

    def __init__(self, host, port, keepalive_s, on_message):
        self._client = MQTTClient("fault", host, port, keepalive=keepalive_s)
        self._client.set_callback(on_message)
        self._ping_s = keepalive_s // 2

    async def connect(self):
        self._client.connect()

    async def send(self, topic, payload):
        self._client.publish(topic, payload, False, 1)
        return True

    async def idle(self, seconds):
        for _ in range(seconds // self._ping_s):
            self._client.ping()
            time.sleep(self._ping_s)
            self._client.check_msg()
            self._client.sock.setblocking(True)

    async def close(self):
        if self._client.sock:
            self._client.sock.close()
