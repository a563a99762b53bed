"""An application on umqtt.robust2, for the faults: the loop of its documentation, which reconnects by itself."""

import time

from umqtt.robust2 import MQTTClient

LOOKS_PER_S = 20
RETRY_MS = 1_000


class App:
    LOOP = False

    def __init__(self, host, port, keepalive_s, on_message):
        self._client = MQTTClient("fault", host, port, keepalive=keepalive_s)
        self._client.set_callback(lambda topic, payload, retained, duplicate: on_message(topic, payload))
        self._ping_s = keepalive_s // 2

    async def connect(self):
        self._client.connect()
        self._turn()

    def _turn(self):
        client = self._client
        if client.is_conn_issue():
            while client.is_conn_issue():
                client.reconnect()
                if client.is_conn_issue():
                    time.sleep_ms(RETRY_MS)
            client.resubscribe()
        client.check_msg()
        client.send_queue()

    async def send(self, topic, payload):
        self._client.publish(topic, payload, False, 1)
        while self._client.things_to_do():
            self._turn()
        return True

    async def idle(self, seconds):
        for turn in range(seconds * LOOKS_PER_S):
            if not turn % (self._ping_s * LOOKS_PER_S):
                self._client.ping()
            self._turn()
            time.sleep_ms(1_000 // LOOKS_PER_S)

    async def close(self):
        self._client.disconnect()
