"""A stream of bytes cut into whole MQTT packets, in bounded memory."""

import mqtt_codec as codec
from mqtt_codec import MQTTError

_BUFFER_BYTES = 256
_LONG_BYTES = 16_384  # of a packet: for all that comes after these there is one deadline, so that none mutes us long
_TOPIC_BYTES = 404  # of a packet, beside its payload: a topic of 400, its length, the packet id


class Reader:
    """Calls `handle(buffer, at, start, end, true_end)` for each packet: its first byte is buffer[at], its body
    buffer[start:end]; `true_end` is where it ended in truth when it was too long to keep, else 0. Then `done()` is
    awaited once for all packets of one read.
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
        view = memoryview(self._in)
        have = 0
        while True:
            count = await self._stream.readinto(view[have:])
            if not count:
                raise MQTTError("closed by the broker")
            self.heard = True
            have += count
            at = 0
            while True:
                start = codec.body(self._in, at, have)
                if not start:
                    break
                end = start + codec.remaining(self._in, at, start)
                if end > have:
                    break
                self._handle(self._in, at, start, end, 0)
                at = end
            await self._done()
            self._in[: have - at] = self._in[at:have]
            have -= at
            self.partial = ((0 if at else self.partial) or 1) if have else 0
            if start and end - at > len(self._in):
                await self._long(start - at, end - at, have)
                have = self.partial = 0

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
            count = await self._stream.readinto(view)
            if not count:
                raise MQTTError("closed by the broker")
            self.heard = True
            if at >> 12 != at + count >> 12 and at < _LONG_BYTES:
                self.partial = 1  # each further 4 KB has the deadline anew, but not for ever
            at += count
        if rest and whole[0] >> 4 == 3 and start + 4 + (whole[start] << 8 | whole[start + 1]) > len(whole):
            self.discarded += 1
            return
        self._handle(whole, 0, start, min(end, len(whole)), end)
        await self._done()
