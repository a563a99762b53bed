"""A stream of bytes cut into whole MQTT packets, in bounded memory, and what stands in them.

Section numbers are those of the OASIS standard "MQTT Version 3.1.1".
"""

import asyncio

_BUFFER_BYTES = 256
_LONG_BYTES = 16_384  # of a packet: for all that comes after these there is one deadline, so that none mutes us long
_TOPIC_BYTES = 404  # of a packet, beside its payload: a topic of 400, its length, the packet id


class MQTTError(OSError):
    """The peer broke the protocol, refused us, fell silent or left; the connection is of no more use."""


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


class Reader:
    """Calls `handle(buffer, at, start, end, true_end)` for each packet: its first byte is buffer[at], its body
    buffer[start:end]; `true_end` is where it ended in truth when it was too long for the reader's own buffer, else 0.
    After all packets of one read awaits what `done()` returns.
    """

    def __init__(self, stream, limit_bytes, handle, done):
        self._stream = stream
        self._limit_bytes = limit_bytes
        self._handle = handle
        self._done = done
        self._in = bytearray(_BUFFER_BYTES)
        self.heard = False  # bytes have come; whoever watches sets it back
        self.partial = 0  # above 0 while a packet is incomplete; whoever watches may count it up
        self.discarded = 0  # packets so long that not even their topic was kept

    async def run(self):
        """Read as much as there is, handle all that is whole, keep the rest for the next read. Never returns.

        Raises MQTTError when the peer closes or sends what is no packet.
        """
        buffer = self._in
        have = 0
        while True:
            count = self._read(memoryview(buffer)[have:] if have else buffer)
            if count is None:
                await self._stream.readable()
                continue
            have += count
            at = 0
            while True:
                size = fixed_header(buffer, at, have)
                start = at + (size & 7)
                end = start + (size >> 3)
                if not size or end > have:
                    break
                self._handle(buffer, at, start, end, 0)
                at = end
            await self._done()
            have -= at
            if have:
                buffer[:have] = buffer[at : at + have]
            self.partial = ((0 if at else self.partial) or 1) if have else 0
            if end - at > _BUFFER_BYTES:
                await self._long(start - at, end - at, have)
                have = self.partial = 0

    def _read(self, buffer):
        count = self._stream.read(buffer)
        if count == 0:
            raise MQTTError("closed by the broker")
        self.heard = self.heard or count is not None
        return count

    async def _long(self, start, end, have):
        """Receive a packet that is longer than the buffer; `have` bytes of it are in the buffer already.

        Memory is bounded by the limit: of a longer packet only what the buffer holds is kept.
        """
        whole = self._in
        if end - start <= self._limit_bytes + _TOPIC_BYTES:
            try:
                whole = bytearray(end)
                whole[:have] = memoryview(self._in)[:have]
            except MemoryError:
                whole = self._in  # more than there is memory for is too long as well
        rest = None
        at = have
        while at < end:
            if at < len(whole):
                view = memoryview(whole)[at:]
            else:
                rest = rest or bytearray(_BUFFER_BYTES)
                view = memoryview(rest)[: end - at]
            count = self._read(view)
            if count is None:
                await self._stream.readable()
                continue
            if at >> 12 != at + count >> 12 and at < _LONG_BYTES:
                self.partial = 1  # each further 4 KB has the deadline anew, but not for ever
            at += count
            await asyncio.sleep(0)  # or a flood would leave nobody else a turn
        if rest and whole[0] >> 4 == 3 and start + 4 + (whole[start] << 8 | whole[start + 1]) > len(whole):
            self.discarded += 1
            return
        self._handle(whole, 0, start, min(end, len(whole)), end)
        await self._done()
