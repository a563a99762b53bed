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

_ANSWER_S = 8  # an answer later than this will not come: a GSM round trip under load is 3 s
_TICK_S = 4  # how often deadlines are looked at; a quarter of the keepalive when that is shorter
_WINDOW = 8  # QoS 1 publishes in flight: bounds memory, and still fills a 100 ms link with 80 messages a second
_UNSENT_BYTES = 2_048  # written since the last drain: beyond it a stream may queue without bound


class Client:
    """A connection to a broker.

    `on_message(topic, payload, retained)` is called for each PUBLISH, payload being bytes, a memoryview when long, None
    when over `limit_bytes`; it must return soon. `on_acknowledged(token)` is called with what `put` was given.
    """

    def __init__(self, stream, on_message=None, on_acknowledged=None, keepalive_s=60, limit_bytes=4_096):
        self._stream = stream
        self._on_message = on_message
        self._on_acknowledged = on_acknowledged
        self._limit_bytes = limit_bytes
        self._reader = Reader(stream, limit_bytes, self._handle, self.drain)
        self._keepalive_s = keepalive_s
        self._out = bytearray(512)
        self._used = self._unsent = 0  # bytes in _out; bytes given to the stream since the last drain
        self._next_id = 1
        self._tokens = [None] * _WINDOW  # packet n waits in slot n % _WINDOW: acknowledgements come in order (4.6)
        self._ids, self._ages = [0] * _WINDOW, [0] * _WINDOW  # ages are ticks waited
        self._room = asyncio.Event()  # set whenever a slot or the line may have become free
        self._answer = asyncio.Event()  # CONNACK, SUBACK or UNSUBACK has come
        self._answered = None
        self._pinged = 0  # ticks that a PINGRESP has been waited for
        self._sent = self._over = False  # sent since the last tick; over for good

    async def run(self):
        """Receive, and watch every deadline. Never returns; raises one of LINK_ERRORS when the connection is over."""
        try:
            await together(self._reader.run(), self._watch())
        finally:
            self._over = True  # whoever waits for an answer learns it, rather than waiting for ever
            self._room.set()
            self._answer.set()
            for token in self._tokens:
                if isinstance(token, asyncio.Event):
                    token.set()

    async def connect(self, client_id, user=None, password=None, will=None, clean=True):
        """CONNECT (3.1) while `run` runs; `will` is (topic, payload, retain, qos). Returns whether there was a session.

        Raises MQTTError with the return code of table 3.1 as second argument when the broker refuses.
        """
        answer = await self._ask(codec.connect(client_id, self._keepalive_s, user, password, will, clean))
        if answer[1] or len(answer) != 2:
            raise MQTTError("refused", answer[1])
        return bool(answer[0])

    async def subscribe(self, filters):
        """SUBSCRIBE to a sequence of (filter, QoS) (3.8); the granted QoS of each as bytes, 128 where refused."""
        return (await self._ask(codec.subscribe(self._take_id(), filters)))[2:]

    async def unsubscribe(self, filters):
        """UNSUBSCRIBE from a sequence of filters and wait for the answer (3.10)."""
        await self._ask(codec.unsubscribe(self._take_id(), filters))

    def put(self, topic, payload, retain=False, qos=0, token=True):
        """Queue one publish without waiting; False when there is no room now (see `room`). `flush` sends it.

        A long payload may be an iterable of pieces, iterated twice: to count, then to send; it is never whole in
        memory, but `drain` first. At QoS 1 `token` comes back through `on_acknowledged` unless it is True.
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
        done = asyncio.Event()
        await self.room(qos)
        self.put(topic, payload, retain, qos, done)
        await self.drain()
        if qos:
            await done.wait()
        if self._over:
            raise MQTTError("connection lost")

    async def room(self, qos=1):
        """Wait until `put` would succeed. Raises MQTTError when the connection is lost meanwhile."""
        while not self._over:
            if self._unsent > _UNSENT_BYTES:
                await self.drain()
            if self._may_put(qos):
                return
            self._room.clear()
            self.flush()  # or what was put waits here for answers to itself
            await self._room.wait()
        raise MQTTError("connection lost")

    def flush(self):
        """Hand all that was put to the stream, in one write."""
        if self._used:
            self._stream.write(memoryview(self._out)[: self._used])
            self._unsent += self._used
            self._used = 0
            self._sent = True

    async def drain(self):
        """Flush, and wait until the stream has taken everything."""
        self.flush()
        self._unsent = 0  # first: what is written while this waits counts for the next
        await self._stream.drain()
        self._room.set()

    def unacknowledged(self):
        """Tokens of the QoS 1 publishes that were not acknowledged, in the order in which they were put."""
        order = sorted([((self._ids[slot] - self._next_id) % 65_535, slot) for slot in range(_WINDOW)])
        return [self._tokens[slot] for _, slot in order if self._tokens[slot] is not None]

    async def disconnect(self):
        """DISCONNECT (3.14), after which the broker sends no will. Closing the stream is the caller's part."""
        self._append(codec.DISCONNECT)
        await self.drain()

    def _may_put(self, qos):
        return self._unsent <= _UNSENT_BYTES and (not qos or self._tokens[self._next_id % _WINDOW] is None)

    def _take_id(self):
        number = self._next_id
        self._next_id = number % 65_535 + 1  # 2.3.1: never zero
        return number

    def _head(self, topic, size, retain, qos, token):
        """Begin a PUBLISH; at QoS 1 its token takes the slot of its packet id."""
        topic = codec.encoded(topic)
        if len(topic) > 400:
            raise ValueError("topic too long")
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

    async def _ask(self, packet):
        """Send a packet and wait for its answer's body. One question at a time."""
        await within(_ANSWER_S, self._exchange(packet))
        if self._over:
            raise MQTTError("connection lost")
        return self._answered

    async def _exchange(self, packet):
        self._answer.clear()
        self._append(packet)
        await self.drain()  # with TLS the handshake is in here
        await self._answer.wait()

    def _handle(self, buffer, at, start, end, true_end):
        """Act on one packet whose body is buffer[start:end]; `true_end` is where it really ended when it was cut."""
        first = buffer[at]
        kind = first & 0xF0
        if kind != codec.PUBLISH and first & 15:
            raise MQTTError("reserved flags", first)  # 2.2.2
        if kind == codec.PUBLISH:
            topic, number, at = codec.published(buffer, first, start, end)
            payload = memoryview(buffer)[at:end] if true_end <= end and end - at <= self._limit_bytes else None
            if self._on_message:  # the reader's own buffer (true_end 0) is about to be used again
                self._on_message(topic, payload if true_end else bytes(payload), bool(first & 1))
            if number:
                self._append(bytes((codec.PUBACK, 2, number >> 8, number & 255)))
        elif kind == codec.PUBACK:
            self._acknowledge(codec.packet_id(buffer, start, end))
        elif kind == codec.PINGRESP:
            self._pinged = 0
        elif kind in (codec.CONNACK, codec.SUBACK, codec.UNSUBACK) and end - start > 1:
            self._answered = bytes(buffer[start:end])
            self._answer.set()
        else:
            raise MQTTError("unexpected packet", first)

    def _acknowledge(self, number):
        """Free the slot of packet `number`; an acknowledgement that nobody waits for is ignored (4.4)."""
        slot = number % _WINDOW
        if self._tokens[slot] is None or self._ids[slot] != number:
            return
        token, self._tokens[slot] = self._tokens[slot], None
        self._ages[slot] = 0
        self._room.set()
        if isinstance(token, asyncio.Event):
            token.set()
        elif token is not True and self._on_acknowledged:
            self._on_acknowledged(token)

    async def _watch(self):
        """Once a tick: has anything been waited for too long, is it time to ping (3.1.2.10)?

        Counting ticks needs no clock, and a process that was stopped for an hour gives its broker a fresh chance.
        """
        reader = self._reader
        tick_s = min(_TICK_S, self._keepalive_s / 4)
        patience = _ANSWER_S / tick_s
        idle_s = 0
        while True:
            await asyncio.sleep(tick_s)
            idle_s = 0 if reader.heard and self._sent else idle_s + tick_s
            reader.heard = self._sent = False
            for slot in range(_WINDOW):
                self._ages[slot] += self._tokens[slot] is not None
            if max(self._pinged, reader.partial, max(self._ages)) > patience:
                raise MQTTError("no answer")
            self._pinged += 1 if self._pinged else 0
            reader.partial += 1 if reader.partial else 0
            if idle_s >= self._keepalive_s / 2 and not self._pinged:
                self._append(codec.PINGREQ)
                self.flush()
                self._pinged = 1
                idle_s = 0
