"""A blocking socket over a board's stream, for clients such as umqtt.simple that know nothing else: TLS as the board
verifies it, a deadline at every step, and a bound on what one read may ask for.
"""

import asyncio

OPEN_S = 20  # TCP, TLS, and a name that takes long
READ_S = 10  # for the rest of what has begun to arrive; umqtt itself would wait for ever
IDLE_S = 1  # for the first byte of a packet
MAX_BYTES = 8_192  # of one message: a length that a peer claims must not take all memory; of a longer one, so much
SKIPPED_BYTES = 1_048_576  # at most, and of the rest: what is longer ends the connection
SKIP_S = 30  # together with all other deadlines below a watchdog's two minutes
_PIECE_BYTES = 512


class Wire:
    """What umqtt takes for the module `socket` and for a socket of it. `mqtt` is the section of the configuration,
    `upgrade` mqtt_ws.upgrade. Raises OSError, or asyncio.TimeoutError; nothing waits longer than the constants above.

    `head` is the first byte of the packet that came last.
    """

    def __init__(self, board, mqtt, upgrade):
        self._board = board
        self._mqtt = mqtt
        self._upgrade = upgrade
        self._stream = None
        self._patient = True
        self._last = b""
        self.head = 0
        self.heard_ms = board.ticks_ms()

    def socket(self, *_):
        return self

    def getaddrinfo(self, *_):
        return [(None,)]

    def settimeout(self, seconds):
        """The deadlines here are our own."""

    def connect(self, address):
        """Open the stream that the configuration names, with verified TLS and in a WebSocket where it says so."""
        asyncio.run(asyncio.wait_for(self._opened(), OPEN_S))

    async def _opened(self):
        mqtt = self._mqtt
        self._stream = await self._board.open_stream(mqtt["host"], mqtt["port"], mqtt["tls"])
        if mqtt["path"] is not None:
            self._stream = await self._upgrade(self._stream, "%s:%d" % (mqtt["host"], mqtt["port"]), mqtt["path"])

    def setblocking(self, patient):
        """umqtt calls this around the first byte of a packet: only for that may the wait be in vain."""
        self._patient = patient
        if patient and self._last:
            self.head = self._last[0]

    def read(self, count):
        """So many bytes, and the first MAX_BYTES of more: a message that a broker keeps comes at each connection, and
        must not end each; b"" when the peer has closed, None when none has begun to arrive and umqtt allows that."""
        if not 0 <= count <= SKIPPED_BYTES:
            raise OSError("a message of %d bytes" % count)
        data = bytearray(min(count, MAX_BYTES))
        try:
            whole = asyncio.run(asyncio.wait_for(self._fill(memoryview(data)), READ_S if self._patient else IDLE_S))
        except asyncio.TimeoutError:
            if self._patient:
                raise OSError("silent within a packet")
            return None
        if whole and count > MAX_BYTES:
            whole = asyncio.run(asyncio.wait_for(self._skip(count - MAX_BYTES), SKIP_S))
        self.heard_ms = self._board.ticks_ms()
        self._last = bytes(data) if whole else b""
        return self._last

    async def _skip(self, count):
        """Read so many bytes and forget them; False when the peer has closed."""
        piece = memoryview(bytearray(_PIECE_BYTES))
        while count:
            size = min(count, _PIECE_BYTES)
            if not await self._fill(piece[:size]):
                return False
            count -= size
        return True

    async def _fill(self, room):
        while room:
            count = self._stream.read(room)
            if count is None:
                await self._stream.readable()
            elif count:
                room = room[count:]
            else:
                return False
        return True

    def write(self, data, count=None):
        self._stream.write(data, count)
        asyncio.run(asyncio.wait_for(self._stream.drain(), READ_S))

    def close(self):
        if self._stream:
            self._stream.close()
            asyncio.run(asyncio.wait_for(self._stream.wait_closed(), READ_S))
            self._stream = None
