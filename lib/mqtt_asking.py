"""What a client asks the broker for, seldom: to connect, to subscribe. Lent, so that it takes no memory in between.

Section numbers are those of the OASIS standard "MQTT Version 3.1.1".
"""

from lending import lend
from mqtt_writer import MQTTError


class Asking:
    """The methods of mqtt.Client that put one packet, most of which the broker answers."""

    packets = "mqtt_packets"  # the module that builds them

    def __init__(self, client):
        self.client = client

    async def connect(self, client_id, user=None, password=None, will=None, clean=True):
        """CONNECT (3.1) while `run` runs; `will` is (topic, payload, retain, qos). Returns whether there was a session;
        raises MQTTError with the return code of table 3.1 as second argument when the broker refuses."""
        self.begin(client_id, user, password, will, clean)
        return (await self.begun())[0]

    def begin(self, client_id, user=None, password=None, will=None, clean=True, filters=()):
        """As `connect`, and SUBSCRIBE to `filters`, but only put: publishes may follow, and all leaves at once, without
        waiting for CONNACK (3.1.4). `begun` tells what became of it; refused, all is in `unacknowledged`."""
        packet = lend(self.packets).connect(client_id, self.client.keepalive_s, user, password, will, clean)
        self.ask(packet, 0)
        if filters:
            self.ask_for("subscribe", filters)

    async def begun(self):
        """Send, and wait for the answers to `begin`: (whether there was a session, granted QoS of each filter)."""
        asked = sorted(self.client.answers)
        present = self.accepted(await self.answer(asked.pop(0)))
        return present, self.granted(await self.answer(asked[0])) if asked else b""

    async def subscribe(self, filters):
        """SUBSCRIBE to a sequence of (filter, QoS) (3.8); the granted QoS of each as bytes, 128 where refused."""
        return self.granted(await self.answer(self.ask_for("subscribe", filters)))

    async def unsubscribe(self, filters):
        """UNSUBSCRIBE from a sequence of filters and wait for the answer (3.10)."""
        await self.answer(self.ask_for("unsubscribe", filters))

    async def disconnect(self):
        """DISCONNECT (3.14), after which the broker sends no will. Closing the stream is the caller's part."""
        await self.leave(b"\xe0\x00")

    def accepted(self, answer):
        """Whether there was a session, by the body of a CONNACK (3.2). Raises MQTTError when it refuses."""
        if answer[1] or len(answer) != 2:
            raise MQTTError("refused: " + lend(self.packets).reason(answer[1]), answer[1])
        return bool(answer[0])

    def granted(self, answer):
        """The granted QoS of each filter, by the body of a SUBACK (3.9)."""
        return answer[2:]

    async def leave(self, packet):
        self.client.left = True
        self.client.append(packet)
        await self.client.drain()

    def ask_for(self, name, filters):
        client = self.client
        client.asked = client.asked % 500 + 1
        number = client.ids + client.asked
        return self.ask(getattr(lend(self.packets), name)(number, filters), number)

    def ask(self, packet, number):
        """Put a packet that will be answered; returns the key of its answer."""
        key = (packet[0] + 16 & 0xF0) << 16 | number
        self.client.answers[key] = None
        self.client.append(packet)
        return key

    async def answer(self, key):
        """Wait for an answer's body. Raises MQTTError when the connection is lost: so it is when none comes in time."""
        client = self.client
        try:
            await client.drain()  # with TLS the handshake is in here
            while client.answers[key] is None:
                await client.change()
        finally:
            body = client.answers.pop(key)
        return body
