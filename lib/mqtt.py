"""MQTT 3.1.1 client over any stream, for MicroPython and CPython.

One connection, once: it raises at the first surprise and never reconnects, so that whoever owns it knows the truth.
All it raises is in LINK_ERRORS. A stream has `await readinto(buffer)` (bytes read, 0 when the peer has closed),
`write(buffer)` (takes or copies it before it returns), `await drain()`. Sections are those of "MQTT Version 3.1.1".
"""

import asyncio

import mqtt_codec as codec
from mqtt_codec import MQTTError
from mqtt_reader import Reader
from together import together, within

LINK_ERRORS = (OSError, EOFError, asyncio.TimeoutError)

_TICK_S = 4  # how often deadlines are looked at; a quarter of the keepalive when that is shorter
_WINDOW = 8  # QoS 1 publishes in flight: bounds memory, and still fills a 100 ms link with 80 messages a second
_UNSENT_BYTES = 2_048  # written since the last drain: beyond it a stream may queue without bound


class Client:
    """A connection to a broker. `on_message(topic, payload, retained)` is called for each PUBLISH with bytes, with a
    memoryview when long, None when over `limit_bytes`; be quick. `on_acknowledged(token)` gets what `put` was given.
    """

    def __init__(self, stream, on_message=None, on_acknowledged=None, keepalive_s=60, limit_bytes=4_096, answer_s=8):
        self._stream = stream
        self._on_message, self._on_acknowledged = on_message, on_acknowledged
        self._limit_bytes = limit_bytes
        self._reader = Reader(stream, limit_bytes, self._handle, self.drain)
        self._keepalive_s = keepalive_s
        self._answer_s = answer_s  # a later answer will not come: a GSM round trip under load is 3 s
        self._out = bytearray(512)
        self._used = self._unsent = self._pinged = 0  # bytes in _out, written since the last drain; ticks since PINGREQ
        self._next_id = 1
        self._tokens = [None] * _WINDOW  # packet n waits in slot n % _WINDOW: acknowledgements come in order (4.6)
        self._ids, self._ages = [0] * _WINDOW, [0] * _WINDOW  # ages are ticks waited
        self._changed = asyncio.Event()  # whatever somebody waits for: a slot, the line, an answer, the end
        self._asked = self._answered = None
        self._sent = self._draining = self._over = False  # sent since the last tick; a task is in drain; over for good

    async def run(self):
        """Receive, and watch every deadline. Never returns; raises one of LINK_ERRORS when the connection is over."""
        try:
            await together(self._reader.run(), self._watch())
        finally:
            self._over = True  # whoever waits for an answer learns it, rather than waiting for ever
            self._changed.set()

    async def connect(self, client_id, user=None, password=None, will=None, clean=True):
        """CONNECT (3.1) while `run` runs; `will` is (topic, payload, retain, qos). Returns whether there was a session;
        raises MQTTError with the return code of table 3.1 as second argument when the broker refuses."""
        answer = await self._ask(codec.connect(client_id, self._keepalive_s, user, password, will, clean))
        if answer[1] or len(answer) != 2:
            raise MQTTError("refused", answer[1])
        return bool(answer[0])

    async def subscribe(self, filters):
        """SUBSCRIBE to a sequence of (filter, QoS) (3.8); the granted QoS of each as bytes, 128 where refused."""
        number = self._take_id()
        return (await self._ask(codec.subscribe(number, filters), number))[2:]

    async def unsubscribe(self, filters):
        """UNSUBSCRIBE from a sequence of filters and wait for the answer (3.10)."""
        number = self._take_id()
        await self._ask(codec.unsubscribe(number, filters), number)

    def put(self, topic, payload, retain=False, qos=0, token=True):
        """Queue one publish without waiting; False when there is no room now (see `room`). `flush` sends it.

        A long payload may be an iterable of pieces, iterated twice: to count, then to send; it is never whole in
        memory, but `drain` first. At QoS 1 `token` (not None) comes back through `on_acknowledged` unless it is True.
        """
        if not self._may_put(qos):
            return False
        if isinstance(payload, (str, bytes, bytearray, memoryview)):
            payload = (codec.encoded(payload),)
        size = sum(len(codec.encoded(piece)) for piece in payload)
        self._head(topic, size, retain, qos, token)
        for piece in payload:
            piece = codec.encoded(piece)
            size -= len(piece)
            self._append(piece)
        if size:
            raise MQTTError("pieces changed")  # a wrong length is on the wire: only a new connection helps
        return True

    async def publish(self, topic, payload, retain=False, qos=0):
        """Publish, and return when it is done: at QoS 1 acknowledged, at QoS 0 handed to the network."""
        await self.room(qos)
        number = self._next_id
        self.put(topic, payload, retain, qos)
        await self.drain()
        while qos and self._flies(number):
            await self._change()

    async def room(self, qos=1):
        """Wait until `put` would succeed. Raises MQTTError when the connection is lost."""
        while self._over or not self._may_put(qos):
            self.flush()  # or what was put waits here for answers to itself
            await (self.drain() if self._unsent > _UNSENT_BYTES else self._change())

    def flush(self):
        """Hand all that was put to the stream, in one write."""
        if self._used:
            self._stream.write(memoryview(self._out)[: self._used])
            self._unsent += self._used
            self._used = 0
            self._sent = True

    async def drain(self):
        """Flush, and wait until the stream has taken everything. Raises MQTTError when the connection is lost."""
        self.flush()
        while self._draining or self._over:  # a socket wakes only one of those that wait for it
            await self._change()
        self._draining = True
        try:
            await self._stream.drain()
            self._unsent = 0
        finally:
            self._draining = False
            self._changed.set()

    def unacknowledged(self):
        """Tokens of the QoS 1 publishes that were not acknowledged, in the order in which they were put."""
        order = sorted([((self._ids[slot] - self._next_id) % 65_535, slot) for slot in range(_WINDOW)])
        return [self._tokens[slot] for _, slot in order if self._tokens[slot] is not None]

    async def disconnect(self):
        """DISCONNECT (3.14), after which the broker sends no will. Closing the stream is the caller's part."""
        self._append(codec.DISCONNECT)
        await self.drain()

    async def _change(self):
        """Wait until something has changed. Raises MQTTError when the connection was lost before."""
        if self._over:
            raise MQTTError("connection lost")
        self._changed.clear()
        await self._changed.wait()

    def _may_put(self, qos):
        return self._unsent <= _UNSENT_BYTES and (not qos or self._tokens[self._next_id % _WINDOW] is None)

    def _flies(self, number):
        return self._tokens[number % _WINDOW] is not None and self._ids[number % _WINDOW] == number

    def _take_id(self):
        number = self._next_id
        self._next_id = number % 65_535 + 1  # 2.3.1: never zero
        return number

    def _head(self, topic, size, retain, qos, token):
        """Begin a PUBLISH; at QoS 1 its token takes the slot of its packet id."""
        topic = codec.encoded(topic)
        if len(topic) > 400 or qos > 1:
            raise ValueError("topic too long, or QoS 2")
        number = self._take_id() if qos else 0
        if qos:
            self._tokens[number % _WINDOW] = token
            self._ids[number % _WINDOW] = number
        if self._used + len(topic) + 9 > len(self._out):
            self.flush()
        self._used = codec.publish_header(self._out, self._used, topic, size, retain, qos, number)

    def _append(self, data):
        """Copy into the buffer, and to the stream whenever that is full."""
        at, size = 0, len(data)
        while at < size:
            if self._used == len(self._out):
                self.flush()
            count = min(size - at, len(self._out) - self._used)
            self._out[self._used : self._used + count] = data if count == size else data[at : at + count]
            self._used += count
            at += count

    async def _ask(self, packet, number=0):
        """Send a packet and wait for its answer's body. One question at a time."""
        self._asked = packet[0] + 16 & 0xF0, number  # the answer's; a late one to another question is none
        await within(self._answer_s, self._exchange(packet))
        return self._answered

    async def _exchange(self, packet):
        self._answered = None
        self._append(packet)
        await self.drain()  # with TLS the handshake is in here
        while self._answered is None:
            await self._change()

    def _handle(self, buffer, at, start, end, true_end):
        """Act on one packet whose body is buffer[start:end]; `true_end` is where it really ended when it was cut."""
        first = buffer[at]
        kind = codec.PUBLISH if first >> 4 == 3 else first  # no other may have flags (2.2.2)
        if kind == codec.PUBLISH:
            topic, number, at = codec.published(buffer, first, start, end)
            payload = memoryview(buffer)[at:end] if true_end <= end and end - at <= self._limit_bytes else None
            if not (true_end or payload is None):
                payload = bytes(payload)  # the reader's own buffer is about to be used again
            if self._on_message:
                self._on_message(topic, payload, bool(first & 1))
            if number:
                self._append(bytes((codec.PUBACK, 2, number >> 8, number & 255)))
        elif kind == codec.PUBACK:
            self._acknowledge(codec.packet_id(buffer, start, end))
        elif kind == codec.PINGRESP:
            self._pinged = 0
        elif kind in (codec.CONNACK, codec.SUBACK, codec.UNSUBACK) and end - start > 1:
            if (kind, kind != codec.CONNACK and codec.packet_id(buffer, start, end)) == self._asked:
                self._answered = bytes(buffer[start:end])
                self._changed.set()
        else:
            raise MQTTError("unexpected packet", first)

    def _acknowledge(self, number):
        """Free the slot of packet `number`; an acknowledgement that nobody waits for is ignored (4.4)."""
        if not self._flies(number):
            return
        slot = number % _WINDOW
        token, self._tokens[slot] = self._tokens[slot], None
        self._ages[slot] = 0
        self._changed.set()
        if token is not True and self._on_acknowledged:
            self._on_acknowledged(token)

    async def _watch(self):
        """Once a tick: has anything been waited for too long, is it time to ping (3.1.2.10)?

        Counting ticks needs no clock, and a process that was stopped for an hour gives its broker a fresh chance.
        """
        reader, unheard_s, unsent_s = self._reader, 0, 0
        tick_s = min(_TICK_S, self._keepalive_s / 4 or _TICK_S)
        patience = self._answer_s / tick_s
        while True:
            await asyncio.sleep(tick_s)
            unheard_s = 0 if reader.heard else unheard_s + tick_s
            unsent_s = 0 if self._sent else unsent_s + tick_s
            reader.heard = self._sent = False
            waited = reader.partial
            if waited:  # all answers are behind the rest of this packet
                reader.partial += 1
            else:
                self._ages = [age + (token is not None) for age, token in zip(self._ages, self._tokens)]
                waited = max(self._pinged, max(self._ages))
                self._pinged += self._pinged > 0
            if waited > patience:
                raise MQTTError("no answer")
            if 0 < self._keepalive_s / 2 <= max(unheard_s, unsent_s) and not self._pinged:
                self._append(codec.PINGREQ)
                self.flush()
                unheard_s, self._pinged = 0, 1
