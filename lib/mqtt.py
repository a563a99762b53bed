"""MQTT 3.1.1 client over any stream, for MicroPython and CPython.

One connection, once: it raises at the first surprise and never reconnects, so that whoever owns it knows the truth.
All it raises is in LINK_ERRORS. A stream has `await readinto(buffer)` (bytes read, 0 when the peer has closed),
`write(buffer)` (takes or copies it before it returns), `await drain()`. Sections are those of "MQTT Version 3.1.1".
"""

import asyncio

import mqtt_codec as codec
from mqtt_codec import MQTTError
from mqtt_reader import Reader
from mqtt_window import Window
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
        self._window = Window(_WINDOW)
        self._answers = {}  # kind << 16 | packet id of what was asked: the answer's body, None before it has come
        self._changed = asyncio.Event()  # whatever somebody waits for: a slot, the line, an answer, the end
        self._sent = self._draining = self._over = False  # sent since the last tick; a task is in drain; over for good

    async def run(self):
        """Receive, and watch every deadline. Never returns; raises one of LINK_ERRORS when the connection is over."""
        await together(*self.parts())

    def parts(self):
        """The coroutines of `run`, for a `together` that saves one level of tasks."""
        return self._receive(), self._watch()

    async def _receive(self):
        try:
            await self._reader.run()
        finally:
            self._over = True  # whoever waits for an answer learns it, rather than waiting for ever
            self._changed.set()

    async def connect(self, client_id, user=None, password=None, will=None, clean=True):
        """CONNECT (3.1) while `run` runs; `will` is (topic, payload, retain, qos). Returns whether there was a session;
        raises MQTTError with the return code of table 3.1 as second argument when the broker refuses."""
        self.begin(client_id, user, password, will, clean)
        return (await self.begun())[0]

    def begin(self, client_id, user=None, password=None, will=None, clean=True, filters=()):
        """As `connect`, and SUBSCRIBE to `filters`, but only put: publishes may follow, and all leaves at once, without
        waiting for CONNACK (3.1.4). `begun` tells what became of it; refused, all is in `unacknowledged`."""
        self._connect = self._ask(codec.connect(client_id, self._keepalive_s, user, password, will, clean), 0)
        self._subscribe = self._ask_for(codec.subscribe, filters) if filters else None

    async def begun(self):
        """Send, and wait for the answers to `begin`: (whether there was a session, granted QoS of each filter)."""
        answer = await self._answer(self._connect)
        if answer[1] or len(answer) != 2:
            raise MQTTError("refused", answer[1])
        return bool(answer[0]), (await self._answer(self._subscribe))[2:] if self._subscribe else b""

    async def subscribe(self, filters):
        """SUBSCRIBE to a sequence of (filter, QoS) (3.8); the granted QoS of each as bytes, 128 where refused."""
        return (await self._answer(self._ask_for(codec.subscribe, filters)))[2:]

    async def unsubscribe(self, filters):
        """UNSUBSCRIBE from a sequence of filters and wait for the answer (3.10)."""
        await self._answer(self._ask_for(codec.unsubscribe, filters))

    def put(self, topic, payload, retain=False, qos=0, token=True):
        """Queue one publish without waiting; False when there is no room now (see `room`). `flush` sends it.

        A long payload may be an iterable of pieces, iterated twice: to count, then to send; it is never whole in
        memory, but `drain` first. At QoS 1 `token` (not None) comes back through `on_acknowledged` unless it is True.
        """
        if self._unsent > _UNSENT_BYTES or qos and self._window.full():
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
        number = self._window.next_id
        self.put(topic, payload, retain, qos)
        await self.drain()
        while qos and self._window.waits(number):
            await self._change()

    async def room(self, qos=1):
        """Wait until `put` would succeed. Raises MQTTError when the connection is lost."""
        while self._over or self._unsent > _UNSENT_BYTES or qos and self._window.full():
            self.flush()  # or what was put waits here for answers to itself
            await (self.drain() if self._unsent > _UNSENT_BYTES else self._change())

    def flush(self):
        """Hand all that was put to the stream, in one write."""
        if self._used:
            self._stream.write(memoryview(self._out)[: self._used])
            self._unsent += self._used
            self._used, self._sent = 0, True

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
        return self._window.tokens()

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

    def _head(self, topic, size, retain, qos, token):
        """Begin a PUBLISH; at QoS 1 its token takes the slot of its packet id."""
        topic = codec.encoded(topic)
        if len(topic) > 400 or qos > 1:
            raise ValueError("topic too long, or QoS 2")
        number = self._window.begin(token) if qos else 0
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

    def _ask_for(self, packet, filters):
        number = self._window.take_id()
        return self._ask(packet(number, filters), number)

    def _ask(self, packet, number):
        """Put a packet that will be answered; returns the key of its answer."""
        key = (packet[0] + 16 & 0xF0) << 16 | number
        self._answers[key] = None
        self._append(packet)
        return key

    async def _answer(self, key):
        """Wait for an answer's body. Raises asyncio.TimeoutError when it does not come in time."""
        try:
            await within(self._answer_s, self._answered(key))
        finally:
            body = self._answers.pop(key)
        return body

    async def _answered(self, key):
        await self.drain()  # with TLS the handshake is in here
        while self._answers[key] is None:
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
            number = codec.packet_id(buffer, start, end)
            if self._window.waits(number):  # one that nobody waits for is ignored (4.4)
                token = self._window.end(number)
                self._changed.set()
                if token is not True and self._on_acknowledged:
                    self._on_acknowledged(token)
        elif kind == codec.PINGRESP:
            self._pinged = 0
        elif kind in (codec.CONNACK, codec.SUBACK, codec.UNSUBACK) and end - start > 1:
            key = kind << 16 | (0 if kind == codec.CONNACK else codec.packet_id(buffer, start, end))
            if key in self._answers:  # a late one to a question that was given up is none
                self._answers[key] = bytes(buffer[start:end])
                self._changed.set()
        else:
            raise MQTTError("unexpected packet", first)

    async def _watch(self):
        """Once a tick (which needs no clock): has anything been waited for too long, is it time to ping (3.1.2.10)?"""
        reader, unheard_s, unsent_s = self._reader, 0, 0
        tick_s = min(_TICK_S, self._keepalive_s / 4 or _TICK_S)
        while True:
            await asyncio.sleep(tick_s)
            unheard_s = 0 if reader.heard else unheard_s + tick_s
            unsent_s = 0 if self._sent else unsent_s + tick_s
            reader.heard = self._sent = False
            waited = reader.partial
            if waited:  # all answers are behind the rest of this packet
                reader.partial += 1
            else:
                waited = max(self._pinged, self._window.age())
                self._pinged += self._pinged > 0
            if waited > self._answer_s / tick_s:
                raise MQTTError("no answer")
            if 0 < self._keepalive_s / 2 <= max(unheard_s, unsent_s) and not self._pinged:
                self._append(codec.PINGREQ)
                self.flush()
                unheard_s, self._pinged = 0, 1
