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

_TICK_MS = 800  # how often deadlines are looked at, a tenth of `answer_s`; less when the keepalive is short
_REST = 5  # ticks in one when nothing waits: each look wakes a processor that could have slept
_CONNACK = 0x20
_PUBLISH = 3  # in the upper half of the first byte
_PUBACK = 0x40
_SUBACK = 0x90
_UNSUBACK = 0xB0
_PINGRESP = 0xD0


def speaking(level):
    """The class of client for a protocol level: 4 is 3.1.1; 5 is loaded when it is asked for."""
    if level == 5:
        from mqtt5 import Client5

        return Client5
    return Client


class Client(Writer):
    """A connection to a broker. `on_message(topic, payload, retained)` is called for each PUBLISH with bytes, with a
    memoryview when long, None when over `limit_bytes`; be quick. `on_acknowledged(token)` gets what `put` was given.
    At most `window` publishes at QoS 1 are in flight: 8 fill a link of 100 ms with 80 messages a second.

    `put`, `publish`, `room`, `flush`, `drain` and `unacknowledged` are in mqtt_writer.
    """

    packets = "mqtt_packets"  # the module that builds what is sent once
    on_refused = None  # with MQTT 5 somebody may want to know

    def __init__(
        self, stream, on_message=None, on_acknowledged=None, keepalive_s=60, limit_bytes=4_096, answer_s=8, window=8
    ):
        super().__init__(stream, window)
        self.on_message, self.on_acknowledged = on_message, on_acknowledged
        self.limit_bytes = limit_bytes
        self.keepalive_s = keepalive_s
        self.answer_s = answer_s  # a later answer will not come: a GSM round trip under load is 3 s
        self.reader = Reader(stream, limit_bytes, self.handle, self.answered)
        self.answers = {}  # first byte << 16 | packet id of an answer to come: its body, None before it has come
        self.asked = 0
        self.pinged = self.asking = 0  # ticks since PINGREQ; for which a question has been open

    async def run(self):
        """Receive, and watch every deadline. Never returns; raises one of LINK_ERRORS when the connection is over."""
        from together import together

        await together(*self.parts())

    def parts(self):
        """The coroutines of `run`, for a `together` that saves one level of tasks."""
        return self.receive(), self.watch()

    async def receive(self):
        try:
            await self.reader.run()
        finally:
            self.over = True  # whoever waits for an answer learns it, rather than waiting for ever
            self.news.set()

    def answered(self):
        """What the reader awaits after each read: answers are on their way, and others have had their turn."""
        self.flush()
        return self.drain() if self.unsent else asyncio.sleep(0)

    async def connect(self, client_id, user=None, password=None, will=None, clean=True):
        """CONNECT (3.1) while `run` runs; `will` is (topic, payload, retain, qos). Returns whether there was a session;
        raises MQTTError with the return code of table 3.1 as second argument when the broker refuses."""
        self.begin(client_id, user, password, will, clean)
        return (await self.begun())[0]

    def begin(self, client_id, user=None, password=None, will=None, clean=True, filters=()):
        """As `connect`, and SUBSCRIBE to `filters`, but only put: publishes may follow, and all leaves at once, without
        waiting for CONNACK (3.1.4). `begun` tells what became of it; refused, all is in `unacknowledged`."""
        packet = lend(self.packets).connect(client_id, self.keepalive_s, user, password, will, clean)
        self.opening = self.ask(packet, 0), filters and self.ask_for("subscribe", filters)

    async def begun(self):
        """Send, and wait for the answers to `begin`: (whether there was a session, granted QoS of each filter)."""
        key, granted = self.opening
        present = self.accepted(await self.answer(key))
        return present, self.granted(await self.answer(granted)) if granted else b""

    def accepted(self, answer):
        """Whether there was a session, by the body of a CONNACK (3.2). Raises MQTTError when it refuses."""
        if answer[1] or len(answer) != 2:
            raise MQTTError("refused: " + lend(self.packets).reason(answer[1]), answer[1])
        return bool(answer[0])

    def granted(self, answer):
        """The granted QoS of each filter, by the body of a SUBACK (3.9)."""
        return answer[2:]

    async def subscribe(self, filters):
        """SUBSCRIBE to a sequence of (filter, QoS) (3.8); the granted QoS of each as bytes, 128 where refused."""
        return self.granted(await self.answer(self.ask_for("subscribe", filters)))

    async def unsubscribe(self, filters):
        """UNSUBSCRIBE from a sequence of filters and wait for the answer (3.10)."""
        await self.answer(self.ask_for("unsubscribe", filters))

    async def disconnect(self):
        """DISCONNECT (3.14), after which the broker sends no will. Closing the stream is the caller's part."""
        self.append(b"\xe0\x00")
        await self.drain()

    def ask_for(self, name, filters):
        self.asked = self.asked % 500 + 1
        number = self.ids + self.asked
        return self.ask(getattr(lend(self.packets), name)(number, filters), number)

    def ask(self, packet, number):
        """Put a packet that will be answered; returns the key of its answer."""
        key = (packet[0] + 16 & 0xF0) << 16 | number
        self.answers[key] = None
        self.append(packet)
        return key

    async def answer(self, key):
        """Wait for an answer's body. Raises MQTTError when the connection is lost: so it is when none comes in time."""
        try:
            await self.drain()  # with TLS the handshake is in here
            while self.answers[key] is None:
                await self.change()
        finally:
            body = self.answers.pop(key)
        return body

    def handle(self, buffer, at, start, end, true_end):
        """Act on one packet whose body is buffer[start:end]; `true_end` is where it really ended when it was cut."""
        first = buffer[at]
        if first == _PUBACK:
            number = packet_id(buffer, start, end)
            if self.waits(number):  # one that nobody waits for is ignored (4.4)
                slot = (number - 1) % len(self.tokens)
                token, self.tokens[slot] = self.tokens[slot], None
                self.news.set()
                if token is not True and self.on_acknowledged:
                    self.on_acknowledged(token)
        elif first >> 4 == _PUBLISH:
            topic, number, at = self.published(buffer, first, start, end)
            payload = memoryview(buffer)[at:end] if true_end <= end and end - at <= self.limit_bytes else None
            if not (true_end or payload is None):
                payload = bytes(payload)  # the reader's own buffer is about to be used again
            if self.on_message:
                self.on_message(topic, payload, bool(first & 1))
            if number:
                self.append(bytes((_PUBACK, 2, number >> 8, number & 255)))
        elif first == _PINGRESP:
            self.pinged = 0
        elif first in (_CONNACK, _SUBACK, _UNSUBACK) and end - start > 1:  # the others may have no flags (2.2.2)
            key = first << 16 | (0 if first == _CONNACK else packet_id(buffer, start, end))
            if key in self.answers:  # a late one to a question that was given up is none
                self.answers[key] = bytes(buffer[start:end])
                self.asking = 0
                self.news.set()
            if first == _CONNACK and buffer[start + 1]:  # now, as the server closes at once (3.2.2.3) and hides why
                self.accepted(bytes(buffer[start:end]))
        else:
            raise MQTTError("unexpected packet", first)

    published = staticmethod(published)

    async def watch(self):
        """Once a tick (which needs no clock): has anything been waited for too long, is it time to ping (3.1.2.10)?
        What begins in a rest is waited for by that much longer."""
        reader, tokens = self.reader, self.tokens
        window = len(tokens)
        unheard_s = unsent_s = stuck = oldest = 0  # oldest: of the publishes that wait, or the next
        tick_s = min(_TICK_MS / 1000, self.answer_s, self.keepalive_s / 4 or self.answer_s)
        most = round(self.answer_s / tick_s)
        waited = 1  # at the beginning for CONNACK
        rest_s = max(tick_s, min(_REST * tick_s, self.keepalive_s / 4))
        while True:
            slept_s = tick_s if waited else rest_s
            await asyncio.sleep(slept_s)
            unheard_s = 0 if reader.heard else unheard_s + slept_s
            unsent_s = 0 if self.sent else unsent_s + slept_s
            reader.heard = self.sent = False
            before, oldest = oldest, self.next - window
            while oldest < self.next and tokens[oldest % window] is None:
                oldest += 1
            stuck = 0 if oldest == self.next else stuck + 1 if oldest == before else 1
            self.asking = self.asking + 1 if None in self.answers.values() else 0
            self.pinged += self.pinged > 0  # sent on a tick, so that n + 1 means n have passed, as with the others
            waited = max(self.pinged, stuck, self.asking)
            if reader.partial:  # all answers are behind the rest of this packet
                waited = reader.partial
                reader.partial += 1
            if waited > most:
                raise MQTTError("no answer in time")
            if 0 < self.keepalive_s / 2 <= max(unheard_s, unsent_s) and not self.pinged:
                self.append(b"\xc0\x00")  # PINGREQ
                self.flush()
                unheard_s, self.pinged, waited = 0, 1, 1
