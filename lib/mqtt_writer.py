"""What a client of MQTT sends: packets gathered in a buffer, and the window of publishes that wait for an answer.

Where something is awaited MicroPython takes memory, and for more than eleven variables in a function, too: so what
each message needs is in small plain functions. Section numbers are those of "MQTT Version 3.1.1".
"""

import asyncio

from mqtt_reader import MQTTError

_BUFFER_BYTES = 512  # of packets for one write
_UNSENT_BYTES = 2_048  # that the network has not taken: beyond it a stream may queue without bound
_TOPIC_BYTES = 400
_WHOLE = (bytes, bytearray, memoryview)  # kinds of payload that are no iterables of pieces


def encoded(text):
    """Bytes of `text`, which may be bytes already."""
    return text.encode() if isinstance(text, str) else text


class Writer:
    """Writes to `stream`; at most `window` publishes at QoS 1 are in flight."""

    def __init__(self, stream, window):
        self._stream = stream
        self._out = bytearray(_BUFFER_BYTES)
        self._used = self._unsent = 0  # bytes in _out; bytes written that the network has not taken
        self._topic = self._field = None  # of the last publish, as it was given and as it was sent
        self._field_bytes = 0
        # Acknowledgements come in order (4.6), so that publish n waits in slot n % window, and a slot that is still
        # taken means that all are. Packet ids are n + 1; those above `ids` are left for others.
        self._tokens = [None] * window
        self.ids = 65_000 - 65_000 % window
        self._next = 0  # n of the next publish at QoS 1, modulo ids
        self._changed = asyncio.Event()  # whatever somebody waits for: a slot, the line, an answer, the end
        self._draining = self._over = False  # a task is in drain; for good
        self.sent = False  # something was written; whoever watches sets it back

    def put(self, topic, payload, retain=False, qos=0, token=True):
        """Queue one publish without waiting; False when there is no room now (see `room`). `flush` sends it.

        A long payload may be an iterable of pieces, iterated twice: to count, then to send; it is never whole in
        memory, but `drain` first. At QoS 1 `token` (not None) comes back through `on_acknowledged` unless it is True.
        """
        if self._unsent > _UNSENT_BYTES or qos and self._full(qos):
            return False
        if topic is not self._topic:
            self._name(topic)
        retain |= 0x30 | qos << 1  # from here on the first byte: MicroPython takes memory for more than 11 variables
        if payload.__class__ is not bytes:  # isinstance takes twice as long
            payload = encoded(payload)
            if not isinstance(payload, _WHOLE):
                self._put_pieces(payload, retain, token)
                return True
        if qos:
            self._take(token)
        self._packet(payload, len(payload), retain)
        return True

    def publish(self, topic, payload, retain=False, qos=0):
        """Publish at once; await what it returns, until it is done: at QoS 1 acknowledged, else with the network.
        Raises MQTTError there when the connection is lost."""
        if self._over or not self.put(topic, payload, retain, qos):
            return self._publish_later(topic, payload, retain, qos)
        self.flush()
        return self._published(qos and (self._next or self.ids))

    async def _publish_later(self, topic, payload, retain, qos):
        await self.room(qos)
        await self.publish(topic, payload, retain, qos)

    async def _published(self, number):
        await (self.drain() if self._unsent else asyncio.sleep(0))
        while number and self._waits(number):
            await self.change()

    async def room(self, qos=1):
        """Wait until `put` would succeed. Raises MQTTError when the connection is lost."""
        while self._over or self._unsent > _UNSENT_BYTES or qos and self._full(qos):
            self.flush()  # or what was put waits here for answers to itself
            await (self.drain() if self._unsent > _UNSENT_BYTES else self.change())

    def flush(self):
        """Hand all that was put to the stream, in one write."""
        used = self._used
        if used:
            self._used = 0
            self.sent = True
            self._unsent = 0 if self._stream.write(self._out, used) else self._unsent + used

    async def drain(self):
        """Flush, and wait until the stream has taken everything. Raises MQTTError when the connection is lost."""
        self.flush()
        while self._draining or self._over:  # a socket wakes only one of those that wait for it
            await self.change()
        self._draining = True
        try:
            await self._stream.drain()
            self._unsent = 0
        finally:
            self._draining = False
            self._changed.set()

    def answered(self):
        """What `Reader` awaits after each read: all answers to it are on their way, and others had their turn."""
        self.flush()
        return self.drain() if self._unsent else asyncio.sleep(0)

    def change(self):
        """Await it until something has changed. Raises MQTTError when the connection was lost before."""
        if self._over:
            raise MQTTError("connection lost")
        self._changed.clear()
        return self._changed.wait()

    def changed(self, over=False):
        """Let all that await `change` look again; `over`: for the last time."""
        self._over = self._over or over
        self._changed.set()

    def acknowledged(self, number):
        """Free the place of packet `number`; returns its token, or None when nobody waits for it (4.4)."""
        if not self._waits(number):
            return None
        slot = (number - 1) % len(self._tokens)
        token, self._tokens[slot] = self._tokens[slot], None
        self._changed.set()
        return token

    def oldest(self):
        """The number of the publish that waits longest, None when none does."""
        for number in range(self._next - len(self._tokens), self._next):
            if self._tokens[number % len(self._tokens)] is not None:
                return number

    def unacknowledged(self):
        """Tokens of the QoS 1 publishes that were not acknowledged, in the order in which they were put."""
        slot = self._next % len(self._tokens)
        return [token for token in self._tokens[slot:] + self._tokens[:slot] if token is not None]

    def _waits(self, number):
        window = len(self._tokens)
        if number > self.ids or (self._next - number) % self.ids >= window:
            return False
        return self._tokens[(number - 1) % window] is not None

    def _full(self, qos):
        if qos > 1:
            raise ValueError("QoS 2")
        return self._tokens[self._next % len(self._tokens)] is not None

    def _take(self, token):
        """Let `token` wait for the acknowledgement of the next packet."""
        self._tokens[self._next % len(self._tokens)] = token
        self._next = (self._next + 1) % self.ids

    def _put_pieces(self, pieces, first, token):
        size = sum([len(encoded(piece)) for piece in pieces])
        if first & 2:
            self._take(token)
        self._packet(b"", size, first)
        for piece in pieces:
            piece = encoded(piece)
            size -= len(piece)
            self.append(piece)
        if size:
            raise MQTTError("pieces changed")  # a wrong length is on the wire: only a new connection helps

    def _name(self, topic):
        """Keep a topic as the bytes of a PUBLISH: the next may have the same."""
        field = encoded(topic)
        size = len(field)
        if size > _TOPIC_BYTES:
            raise ValueError("topic too long")
        self._field = bytes((size >> 8, size & 255)) + field
        self._field_bytes = size + 2
        self._topic = topic if isinstance(topic, (str, bytes)) else None  # others may change in their place

    def _packet(self, data, size, first):
        """Write a PUBLISH (3.3) whose payload has `size` bytes: those of `data`, or of what is appended next."""
        size += self._field_bytes + (first & 2)  # at QoS 1 as many bytes as its packet id has
        at = self._used
        if at + size + 5 > _BUFFER_BYTES:
            self.flush()
            at = 0
        out, end = self._out, size
        out[at] = first
        while end > 127:  # remaining length (2.2.3)
            at += 1
            out[at] = end & 127 | 128
            end >>= 7
        out[at + 1] = end
        at += 2
        size += at
        end = at + self._field_bytes
        out[at:end] = self._field
        if first & 2:
            at = self._next or self.ids
            out[end] = at >> 8
            out[end + 1] = at & 255
            end += 2
        if size > _BUFFER_BYTES or not data:
            self._used = end
            self.append(data)
        else:
            out[end:size] = data
            self._used = size

    def append(self, data):
        """Copy into the buffer, and to the stream when that is full."""
        end = self._used + len(data)
        if end > _BUFFER_BYTES:
            return self._append_long(data)
        self._out[self._used : end] = data
        self._used = end

    def _append_long(self, data):
        for at in range(0, len(data), _BUFFER_BYTES):
            self.flush()
            part = data[at : at + _BUFFER_BYTES]
            self._used = len(part)
            self._out[: self._used] = part

