"""An application on chumicro-mqtt, for the faults: it reconnects by itself, with a session that the broker keeps."""

import select
import time

from chumicro_mqtt.client import MQTTClient
from chumicro_sockets.sockets_factory import fixed_connector_factory
from chumicro_timing.ticks import ticks_ms

POLL_LIMIT_MS = 20


class App:
    LOOP = False
    CLEAN = False

    def __init__(self, host, port, keepalive_s, on_message):
        self._client = MQTTClient(
            transport_factory=fixed_connector_factory(host, port), client_id="fault", keep_alive_seconds=keepalive_s,
            clean_session=self.CLEAN)
        self._client.on_message = lambda topic, payload: on_message(topic.encode(), bytes(payload))
        self._waits = False

    def _acknowledged(self, topic, payload):
        self._waits = False

    def _turn(self):
        client = self._client
        sock = client.io_socket
        interest = client.io_interest(ticks_ms())
        if sock is not None and interest:
            poller = select.poll()
            poller.register(getattr(sock, "sock", sock), interest & 1 | (select.POLLOUT if interest & 2 else 0))
            poller.poll(POLL_LIMIT_MS)
        else:
            time.sleep_ms(POLL_LIMIT_MS)
        if client.check(ticks_ms()):
            client.handle(ticks_ms())

    async def connect(self):
        self._client.connect()

    async def send(self, topic, payload):
        self._waits = True
        self._client.publish(str(topic, "utf-8"), payload, qos=1, on_publish=self._acknowledged)
        while self._waits:
            self._turn()
        return True

    async def idle(self, seconds):
        began = ticks_ms()
        while ticks_ms() - began < seconds * 1_000:
            self._turn()

    async def close(self):
        self._client.disconnect()
