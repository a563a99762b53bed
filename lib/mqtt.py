"""MQTT 3.1.1 client over any stream, for MicroPython and CPython.

One connection, once: it raises at the first surprise and never reconnects, so that whoever owns it knows the truth.
All it raises is in LINK_ERRORS. Sections are those of "MQTT Version 3.1.1". A stream has
- `read(buffer)`: how many bytes were read, 0 when the peer has closed, None when nothing is there now
- `await readable()`: until `read` may give something
- `write(buffer, size)`: takes or copies that many bytes; returns whether all ever written is with the network
- `await drain()`: until it is.
"""

import asyncio

from lending import lend
from mqtt_reader import MQTTError, Reader, packet_id, published
from mqtt_writer import Writer

LINK_ERRORS = (OSError, EOFError, asyncio.TimeoutError)

_TICK_S = 1  # how often deadlines are looked at; a quarter of the keepalive when that is shorter
_CONNACK = 0x20
_PUBLISH = 3  # in the upper half of the first byte
_PUBACK = 0x40
_SUBACK = 0x90
_UNSUBACK = 0xB0
_PINGREQ = b"\xc0\x00"
_PINGRESP = 0xD0
_DISCONNECT = b"\xe0\x00"


class Client:
    """A connection to a broker. `on_message(topic, payload, retained)` is called for each PUBLISH with bytes, with a
    memoryview when long, None when over `limit_bytes`; be quick. `on_acknowledged(token)` gets what `put` was given.
    At most `window` publishes at QoS 1 are in flight: 8 fill a link of 100 ms with 80 messages a second.

    Its `put`, `publish`, `room`, `flush`, `drain` and `unacknowledged` are those of mqtt_writer.Writer.
    """

    def __init__(
        self, stream, on_message=None, on_acknowledged=None, keepalive_s=60, limit_bytes=4_096, answer_s=8, window=8
    ):
        self._on_message, self._on_acknowledged = on_message, on_acknowledged
        self._limit_bytes = limit_bytes
        self._keepalive_s = keepalive_s
        self._answer_s = answer_s  # a later answer will not come: a GSM round trip under load is 3 s
        self._writer = writer = Writer(stream, window)
        self._reader = Reader(stream, limit_bytes, self._handle, writer.answered)
        self.put, self.publish, self.room = writer.put, writer.publish, writer.room
        self.flush, self.drain, self.unacknowledged = writer.flush, writer.drain, writer.unacknowledged
        self._answers = {}  # first byte << 16 | packet id of an answer to come: its body, None before it has come
        self._asked = 0
        self._pinged = self._asking = 0  # ticks since PINGREQ; for which a question has been open

    async def run(self):
        """Receive, and watch every deadline. Never returns; raises one of LINK_ERRORS when the connection is over."""
        from together import together

        await together(*self.parts())

    def parts(self):
        """The coroutines of `run`, for a `together` that saves one level of tasks."""
        return self._receive(), self._watch()

    async def _receive(self):
        try:
            await self._reader.run()
        finally:
            self._writer.changed(True)  # whoever waits for an answer learns it, rather than waiting for ever

    async def connect(self, client_id, user=None, password=None, will=None, clean=True):
        """CONNECT (3.1) while `run` runs; `will` is (topic, payload, retain, qos). Returns whether there was a session;
        raises MQTTError with the return code of table 3.1 as second argument when the broker refuses."""
        self.begin(client_id, user, password, will, clean)
        return (await self.begun())[0]

    def begin(self, client_id, user=None, password=None, will=None, clean=True, filters=()):
        """As `connect`, and SUBSCRIBE to `filters`, but only put: publishes may follow, and all leaves at once, without
        waiting for CONNACK (3.1.4). `begun` tells what became of it; refused, all is in `unacknowledged`."""
        packet = lend("mqtt_packets").connect(client_id, self._keepalive_s, user, password, will, clean)
        self._begun = self._ask(packet, 0), filters and self._ask_for("subscribe", filters)

    async def begun(self):
        """Send, and wait for the answers to `begin`: (whether there was a session, granted QoS of each filter)."""
        key, granted = self._begun
        answer = await self._answer(key)
        if answer[1] or len(answer) != 2:
            raise MQTTError("refused", answer[1])
        return bool(answer[0]), (await self._answer(granted))[2:] if granted else b""

    async def subscribe(self, filters):
        """SUBSCRIBE to a sequence of (filter, QoS) (3.8); the granted QoS of each as bytes, 128 where refused."""
        return (await self._answer(self._ask_for("subscribe", filters)))[2:]

    async def unsubscribe(self, filters):
        """UNSUBSCRIBE from a sequence of filters and wait for the answer (3.10)."""
        await self._answer(self._ask_for("unsubscribe", filters))

    async def disconnect(self):
        """DISCONNECT (3.14), after which the broker sends no will. Closing the stream is the caller's part."""
        self._writer.append(_DISCONNECT)
        await self.drain()

    def _ask_for(self, name, filters):
        self._asked = self._asked % 500 + 1
        number = self._writer.ids + self._asked
        return self._ask(getattr(lend("mqtt_packets"), name)(number, filters), number)

    def _ask(self, packet, number):
        """Put a packet that will be answered; returns the key of its answer."""
        key = (packet[0] + 16 & 0xF0) << 16 | number
        self._answers[key] = None
        self._writer.append(packet)
        return key

    async def _answer(self, key):
        """Wait for an answer's body. Raises MQTTError when the connection is lost: so it is when none comes in time."""
        try:
            await self.drain()  # with TLS the handshake is in here
            while self._answers[key] is None:
                await self._writer.change()
        finally:
            body = self._answers.pop(key)
        return body

    def _handle(self, buffer, at, start, end, true_end):
        """Act on one packet whose body is buffer[start:end]; `true_end` is where it really ended when it was cut."""
        first = buffer[at]
        if first == _PUBACK:
            token = self._writer.acknowledged(packet_id(buffer, start, end))
            if token is not None and token is not True and self._on_acknowledged:
                self._on_acknowledged(token)
        elif first >> 4 == _PUBLISH:
            topic, number, at = published(buffer, first, start, end)
            payload = memoryview(buffer)[at:end] if true_end <= end and end - at <= self._limit_bytes else None
            if not (true_end or payload is None):
                payload = bytes(payload)  # the reader's own buffer is about to be used again
            if self._on_message:
                self._on_message(topic, payload, bool(first & 1))
            if number:
                self._writer.append(bytes((_PUBACK, 2, number >> 8, number & 255)))
        elif first == _PINGRESP:
            self._pinged = 0
        elif first in (_CONNACK, _SUBACK, _UNSUBACK) and end - start > 1:  # the others may have no flags (2.2.2)
            key = first << 16 | (0 if first == _CONNACK else packet_id(buffer, start, end))
            if key in self._answers:  # a late one to a question that was given up is none
                self._answers[key] = bytes(buffer[start:end])
                self._asking = 0
                self._writer.changed()
            if first == _CONNACK and buffer[start + 1]:  # now, as the server closes at once (3.2.2.3) and hides why
                raise MQTTError("refused", buffer[start + 1])
        else:
            raise MQTTError("unexpected packet", first)

    async def _watch(self):
        """Once a tick (which needs no clock): has anything been waited for too long, is it time to ping (3.1.2.10)?"""
        reader, writer = self._reader, self._writer
        unheard_s = unsent_s = stuck = 0
        oldest = None
        tick_s = min(_TICK_S, self._answer_s, self._keepalive_s / 4 or _TICK_S)
        while True:
            await asyncio.sleep(tick_s)
            unheard_s = 0 if reader.heard else unheard_s + tick_s
            unsent_s = 0 if writer.sent else unsent_s + tick_s
            reader.heard = writer.sent = False
            before, oldest = oldest, writer.oldest()
            stuck = 0 if oldest is None else stuck + 1 if oldest == before else 1
            self._asking = self._asking + 1 if None in self._answers.values() else 0
            self._pinged += self._pinged > 0  # sent on a tick, so that n + 1 means n have passed, as with the others
            waited = max(self._pinged, stuck, self._asking)
            if reader.partial:  # all answers are behind the rest of this packet
                waited = reader.partial
                reader.partial += 1
            if waited > self._answer_s / tick_s:
                raise MQTTError("no answer in time")
            if 0 < self._keepalive_s / 2 <= max(unheard_s, unsent_s) and not self._pinged:
                writer.append(_PINGREQ)
                writer.flush()
                unheard_s, self._pinged = 0, 1
