"""chumicro-mqtt, turned by a loop of its own in place of the runner that comes with it."""

import select

from chumicro_mqtt.client import MQTTBackpressureError, MQTTClient, ProtocolState
from chumicro_sockets.sockets_factory import fixed_connector_factory
from chumicro_timing.ticks import ticks_ms
from load import CLIENT, PAYLOAD, READINGS, STATUS, TOPIC

LOOP = False
POLL_LIMIT_MS = 1_000


class Bench:
    awaited = None

    def __init__(self, host, port):
        self._client = MQTTClient(
            transport_factory=fixed_connector_factory(host, port), client_id=CLIENT, keep_alive_seconds=60)
        self._topic = str(TOPIC, "utf-8")
        self._left = 0

    def _acknowledged(self, topic, payload):
        self._left -= 1

    def _turn(self):
        """Wait for what the client waits for, then let it act."""
        sock = self._client.io_socket
        interest = self._client.io_interest(ticks_ms())
        if sock is not None and interest:
            events = (select.POLLIN if interest & 1 else 0) | (select.POLLOUT if interest & 2 else 0)
            poller = select.poll()
            poller.register(getattr(sock, "sock", sock), events)
            poller.poll(POLL_LIMIT_MS)
        self._client.handle(ticks_ms())

    def _publish(self, topic, payload, qos, retain=False):
        while True:
            try:
                self._client.publish(
                    topic, payload, qos=qos, retain=retain, on_publish=self._acknowledged if qos else None)
                break
            except MQTTBackpressureError:
                self._turn()
        self._left += qos
        self._client.handle(ticks_ms())

    async def connect(self):
        self._client.connect()
        while self._client.state != ProtocolState.CONNECTED:
            self._turn()

    async def disconnect(self):
        self._client.disconnect()

    async def publish0(self, count):
        for _ in range(count):
            self._publish(self._topic, PAYLOAD, 0)
        while self._client.io_interest(ticks_ms()) & 2:
            self._turn()

    async def callback(self, count, until_ms=None):
        """No limit in flight, as it sets none."""
        for _ in range(count):
            self._publish(self._topic, PAYLOAD, 1)
        while self._left:
            self._turn()
        return count

    publish1 = callback

    async def wake(self):
        await self.connect()
        for _ in range(READINGS):
            self._publish(self._topic, PAYLOAD, 1)
        self._publish(str(STATUS, "utf-8"), b"sleeping", 1, True)
        while self._left:
            self._turn()
        await self.disconnect()
