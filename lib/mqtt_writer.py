"""What a client of MQTT sends: packets gathered in a buffer, and the window of publishes that wait for an answer.

Where something is awaited MicroPython takes memory, and for more than eleven variables in a function, too: so what
each message needs is in small plain functions. Section numbers are those of "MQTT Version 3.1.1".
"""

import asyncio

from lending import lend

_BUFFER_BYTES = 512  # of packets for one write
_UNSENT_BYTES = 2_048  # that the network has not taken: beyond it a stream may queue without bound
_TOPIC_BYTES = 400
_WHOLE = (bytes, bytearray, memoryview)  # kinds of payload that are no iterables of pieces


class MQTTError(OSError):
    """The peer broke the protocol, refused us, fell silent or left; the connection is of no more use."""


def encoded(text):
    """Bytes of `text`, which may be bytes already."""
    return text.encode() if isinstance(text, str) else text


class Writer:
    """The half of a client that sends; at most `window` publishes at QoS 1 are in flight."""

    def __init__(self, stream, window):
        self.stream = stream
        self._out = bytearray(_BUFFER_BYTES)
        self._used = 0  # bytes in _out
        self._topic = self._field = None  # of the last publish, as it was given and as it was sent
        self._field_bytes = 0
        self._draining = False  # somebody is in the stream's drain
        self.unsent = 0  # bytes written that the network has not taken
        # Acknowledgements come in order (4.6), so that publish n waits in slot n % window, and a slot that is still
        # taken means that all are. Packet ids are n + 1; those above `ids` are left for others.
        self.tokens = [None] * window
        self.ids = 65_000 - 65_000 % window
        self.next = 0  # n of the next publish at QoS 1, modulo ids
        self.news = asyncio.Event()  # of whatever somebody waits for: a slot, the line, an answer, the end
        self.over = False  # nothing more will come
        self.sent = 0  # bytes written; whoever watches sets it back

    def put(self, topic, payload, retain=False, qos=0, token=True):
        """Queue one publish without waiting; False when there is no room now (see `room`). `flush` sends it.

        A long payload may be an iterable of pieces, iterated twice: to count, then to send; it is never whole in
        memory, but `drain` first. At QoS 1 `token` (not None) comes back through `on_acknowledged` unless it is True.
        A loop that never waits leaves the tasks that receive no turn.
        """
        if self.unsent > _UNSENT_BYTES or qos and self.full(qos):
            return False
        if topic is not self._topic:
            self._name(topic)
        retain |= 0x30 | qos << 1  # from here on the first byte: see above on variables
        if payload.__class__ is not bytes:  # isinstance takes twice as long
            payload = encoded(payload)
            if not isinstance(payload, _WHOLE):
                self.put_pieces(payload, retain, token)
                return True
        if qos:
            self.take(token)
        put_packet(self, payload, len(payload), retain)
        return True

    def publish(self, topic, payload, retain=False, qos=0):
        """Publish at once; await what it returns, until it is done: at QoS 1 acknowledged, else with the network.
        Raises MQTTError there when the connection is lost."""
        if not self.put(topic, payload, retain, qos):
            return self._publish_later(topic, payload, retain, qos)
        self.flush()
        return self._published(qos and (self.next or self.ids))

    async def _publish_later(self, topic, payload, retain, qos):
        await self.room(qos)
        await self.publish(topic, payload, retain, qos)

    async def _published(self, number):
        await self.turn()
        while number and self.waits(number):
            await self.change()

    def turn(self):
        """Flush, and await it: others have had their turn, and what the network did not take at once is there, too."""
        self.flush()
        return self.drain() if self.unsent or self.over else asyncio.sleep(0)

    async def room(self, qos=1):
        """Wait until `put` would succeed. Raises MQTTError when the connection is lost."""
        while self.over or self.unsent > _UNSENT_BYTES or qos and self.full(qos):
            self.flush()  # or what was put waits here for answers to itself
            await (self.drain() if self.unsent > _UNSENT_BYTES else self.change())

    def flush(self):
        """Hand all that was put to the stream, in one write."""
        used = self._used
        if used:
            self._used = 0
            self.sent += used
            self.unsent = 0 if self.stream.write(self._out, used) else self.unsent + used

    async def drain(self):
        """Flush, and wait until the stream has taken everything. Raises MQTTError when the connection is lost."""
        self.flush()
        while self._draining or self.over:  # a socket wakes only one of those that wait for it
            await self.change()
        self._draining = True
        try:
            await self.stream.drain()
            self.unsent = 0
        finally:
            self._draining = False
            self.news.set()

    def change(self):
        """Await it until something has changed. Raises MQTTError when the connection was lost before."""
        if self.over:
            raise MQTTError("connection lost")
        self.news.clear()
        return self.news.wait()

    def unacknowledged(self):
        """Tokens of the QoS 1 publishes that were not acknowledged, in the order in which they were put."""
        slot = self.next % len(self.tokens)
        return [token for token in self.tokens[slot:] + self.tokens[:slot] if token is not None]

    def waits(self, number):
        """Whether the publish with packet id `number` is in flight."""
        window = len(self.tokens)
        if number > self.ids or (self.next - number) % self.ids >= window:
            return False
        return self.tokens[(number - 1) % window] is not None

    def full(self, qos):
        """Whether a publish of this QoS has to wait for an acknowledgement."""
        if qos > 1:
            raise ValueError("QoS 2")
        return self.tokens[self.next % len(self.tokens)] is not None

    def put_pieces(self, pieces, first, token):
        lend("mqtt_pieces").put(self, pieces, first, token)

    def take(self, token):
        """Let `token` wait for the acknowledgement of the next packet."""
        self.tokens[self.next % len(self.tokens)] = token
        self.next = (self.next + 1) % self.ids

    def _name(self, topic):
        """Keep a topic as the bytes of a PUBLISH: the next may have the same."""
        field = encoded(topic)
        size = len(field)
        if size > _TOPIC_BYTES:
            raise ValueError("topic too long")
        self._field = bytes((size >> 8, size & 255)) + field
        self._field_bytes = size + 2
        self._topic = topic if isinstance(topic, (str, bytes)) else None  # others may change in their place

    def append(self, data):
        """Copy into the buffer, and to the stream when that is full."""
        if self._used + len(data) > _BUFFER_BYTES:
            self.flush()
            data = memoryview(data)
            while len(data) > _BUFFER_BYTES:
                self._out[:] = data[:_BUFFER_BYTES]
                self._used = _BUFFER_BYTES
                self.flush()
                data = data[_BUFFER_BYTES:]
        end = self._used + len(data)
        self._out[self._used : end] = data
        self._used = end


def put_packet(writer, data, size, first):
    """Write a PUBLISH (3.3), which begins with the byte `first`, to the last topic and with the last packet id. Its
    payload has `size` bytes: those of `data`, or of what is appended next."""
    size += writer._field_bytes + (first & 2)  # at QoS 1 as many bytes as its packet id has
    at = writer._used
    if at + size + 5 > _BUFFER_BYTES:
        writer.flush()
        at = 0
    out, end = writer._out, size
    out[at] = first
    while end > 127:  # remaining length (2.2.3)
        at += 1
        out[at] = end & 127 | 128
        end >>= 7
    out[at + 1] = end
    at += 2
    size += at
    end = at + writer._field_bytes
    out[at:end] = writer._field
    if first & 2:
        at = writer.next or writer.ids
        out[end] = at >> 8
        out[end + 1] = at & 255
        end += 2
    if size > _BUFFER_BYTES or not data:
        writer._used = end
        writer.append(data)
    else:
        out[end:size] = data
        writer._used = size
