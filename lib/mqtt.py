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
from mqtt_writer import MQTTError, Writer

LINK_ERRORS = (OSError, EOFError, asyncio.TimeoutError)

_BUFFER_BYTES = 256
_TICK_MS = 400  # how often deadlines are looked at, a twentieth of `answer_s`; less when the keepalive is short
_REST = 10  # ticks in one when nothing waits: each look wakes a processor that could have slept
_SLOW_BYTES = 4_096  # in `answer_s`: what a slower link sends may be on its way for longer than an answer takes
_BEHIND_BYTES = 32_768  # on their way, of which no more is believed
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


def fixed_header(buffer, at, end):
    """The remaining length of the packet that starts at `at`, times 8, plus the bytes of its fixed header; 0 when that
    is not all there before `end`. Raises MQTTError on a length of more than four bytes (2.2.3)."""
    length = 0
    for index in range(1, min(end - at, 5)):
        digit = buffer[at + index]
        length |= (digit & 127) << 7 * index - 7
        if digit < 128:
            return length << 3 | index + 1
    if end >= at + 5:
        raise MQTTError("malformed length")
    return 0


def packet_id(buffer, at, end):
    """The two-byte packet identifier at `at` (2.3.1); raises MQTTError when cut off or zero."""
    number = buffer[at] << 8 | buffer[at + 1] if at + 2 <= end else 0
    if not number:
        raise MQTTError("bad packet id")
    return number


def published(buffer, first, at, end, shortest=1):
    """Take apart the body of a PUBLISH (3.3): (topic, packet id or 0, index of the payload).

    `end` is where the packet, or as much of it as is at hand, ends; `shortest` how long the topic must be. Raises
    MQTTError on whatever a server may not send.
    """
    start = at + 2
    stop = start + (buffer[at] << 8 | buffer[at + 1]) if start <= end else end + 1
    if stop > end or stop - start < shortest or first & 6 > 2:
        raise MQTTError("malformed PUBLISH")
    try:
        topic = str(bytes(buffer[start:stop]), "utf-8")
    except UnicodeError:
        raise MQTTError("topic is not UTF-8")
    if not first & 6:
        return topic, 0, stop
    return topic, packet_id(buffer, stop, end), stop + 2


class Client(Writer):
    """A connection to a broker. `on_message(topic, payload, retained)` is called for each PUBLISH with bytes, with a
    memoryview when long, None when over `limit_bytes`; be quick. `on_acknowledged(token)` gets what `put` was given.
    At most `window` publishes at QoS 1 are in flight: 8 fill a link of 100 ms with 80 messages a second. What is not
    answered within `answer_s`, and the time that what was sent before may take, ends the connection.

    `put`, `publish`, `room`, `flush`, `drain` and `unacknowledged` are in mqtt_writer; `connect`, `begin`, `begun`,
    `subscribe`, `unsubscribe` and `disconnect`, which are needed seldom, in mqtt_asking.
    """

    asking_module = "mqtt_asking"
    on_refused = None  # with MQTT 5 somebody may want to know
    discarded = 0  # packets so long that not even their topic was kept
    left = False  # DISCONNECT was sent

    def __init__(
        self, stream, on_message=None, on_acknowledged=None, keepalive_s=60, limit_bytes=4_096, answer_s=8, window=8
    ):
        super().__init__(stream, window)
        self.on_message, self.on_acknowledged = on_message, on_acknowledged
        self.limit_bytes = limit_bytes
        self.keepalive_s = keepalive_s
        self.answer_s = answer_s  # a later answer will not come: a GSM round trip under load is 3 s
        self.answers = {}  # first byte << 16 | packet id of an answer to come: its body, None before it has come
        self.asked = 0
        self.received = False  # bytes have come; whoever watches sets it back
        # Ticks that are left for the answers to PINGREQ and to the questions, 0 when none is to come; ticks for which
        # the packet that comes in has been incomplete.
        self.pinged = self.asking = self.partial = 0

    def __getattr__(self, name):
        """What is needed seldom is lent for each call."""
        return getattr(lend(self.asking_module).Asking(self), name)

    def run(self):
        """Receive, and watch every deadline. Raises one of LINK_ERRORS when the connection is over; where that was by
        `disconnect`, leaves the caller the time to end first."""
        return lend("mqtt_run").run(self)

    def parts(self):
        """The coroutines of `run`, for a program that runs them together with its own."""
        return self.receive(), self.watch()

    async def receive(self):
        """Read as much as there is, handle all that is whole, keep the rest for the next read.

        Raises MQTTError when the broker closes or sends what is no packet. Where it closes after `disconnect`, returns,
        but only after `answer_s`.
        """
        buffer = bytearray(_BUFFER_BYTES)
        have = 0
        try:
            while True:
                count = self.read(memoryview(buffer)[have:] if have else buffer)
                if not count:
                    if count == 0:
                        await asyncio.sleep(self.answer_s)  # whoever said goodbye is to end first
                        return
                    await self.stream.readable()
                    continue
                have += count
                at = 0
                while True:
                    size = fixed_header(buffer, at, have)
                    start = at + (size & 7)
                    end = start + (size >> 3)
                    if not size or end > have:
                        break
                    self.handle(buffer, at, start, end, 0)
                    at = end
                await self.turn()
                have -= at
                if have:
                    buffer[:have] = buffer[at : at + have]
                self.partial = ((0 if at else self.partial) or 1) if have else 0
                if end - at > _BUFFER_BYTES:
                    from mqtt_long import receive

                    await receive(self, buffer, start - at, end - at, have)
                    await self.turn()
                    have = self.partial = 0
        finally:
            self.over = True  # whoever waits for an answer learns it, rather than waiting for ever
            self.news.set()

    def read(self, buffer):
        count = self.stream.read(buffer)
        if count == 0 and not self.left:
            raise MQTTError("closed by the broker")
        self.received = self.received or count is not None
        return count

    def handle(self, buffer, at, start, end, true_end):
        """Act on one packet: its first byte is buffer[at], its body buffer[start:end]; `true_end` is where it ended in
        truth when it was too long for the buffer of `receive`, else 0."""
        first = buffer[at]
        if first == _PUBACK:
            number = packet_id(buffer, start, end)
            if self.waits(number):  # one that nobody waits for is ignored (4.4)
                slot = (number - 1) % len(self.tokens)
                token, self.tokens[slot] = self.tokens[slot], None
                self.sent = min(self.sent, 1)  # what was sent before has arrived
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
        tokens = self.tokens
        unheard_s = unsent_s = stuck = oldest = behind = 0  # oldest: of the publishes that wait, or the next
        slept_s = 0
        while True:  # all of it anew, as CONNACK of MQTT 5 may demand another keepalive (3.2.2.3.14)
            tick_s = min(_TICK_MS / 1000, self.answer_s, self.keepalive_s / 4 or self.answer_s)
            rest_s = max(tick_s, min(_REST * tick_s, self.keepalive_s / 4))
            most = round(self.answer_s / tick_s) + 1  # ticks from the look at which something is first waited for
            tick = not slept_s or stuck or self.asking or self.pinged or self.partial  # first for CONNACK
            slept_s = tick_s if tick else rest_s
            await asyncio.sleep(slept_s)
            unheard_s = 0 if self.received else unheard_s + slept_s
            unsent_s = 0 if self.sent else unsent_s + slept_s
            before, oldest = oldest, self.next - len(tokens)
            while oldest < self.next and tokens[oldest % len(tokens)] is None:
                oldest += 1
            # What was written may be in buffers on the way, where nobody sees it: on a slow link an answer to it comes
            # later by as long as all takes that was sent since the last acknowledgement.
            behind = 0 if oldest != before else max(0, behind - int(slept_s * _SLOW_BYTES / self.answer_s))
            behind = min(behind + self.sent, _BEHIND_BYTES)
            self.received, self.sent = False, 0
            patience = most + behind * (most - 1) // _SLOW_BYTES
            if self.partial:  # all answers are behind the rest of this packet
                self.partial += 1
            else:
                stuck = 0 if oldest == self.next else stuck - 1 if stuck and oldest == before else patience
                self.asking = 0 if None not in self.answers.values() else self.asking - 1 if self.asking else patience
                self.pinged -= self.pinged > 0
            if 1 in (stuck, self.asking, self.pinged) or self.partial > most:
                raise MQTTError("no answer in time")
            if 0 < self.keepalive_s / 2 <= max(unheard_s, unsent_s) and not self.pinged:
                self.append(b"\xc0\x00")  # PINGREQ
                self.flush()
                unheard_s, self.pinged = 0, patience
