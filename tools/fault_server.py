"""A server on loopback that goes wrong in one way, at the sixth reading of a client, and counts what came through."""

import asyncio
import collections
import contextlib
import socket
import struct
import time

HOST = "127.0.0.1"
STRIKE_AT = 5  # the number of the reading at which the fault strikes
AWAY_S = 4  # how long a dead broker stays away
PACKET_LIMIT_BYTES = 100_000

_CONNECT, _PUBLISH, _SUBSCRIBE, _PINGREQ, _DISCONNECT = 1, 3, 8, 12, 14
_CONNACK = b"\x20\x02\x00\x00"
_REFUSED = b"\x20\x02\x00\x03"  # server unavailable: a client may try again
_PINGRESP = b"\xd0\x00"
_RST_ON_CLOSE = struct.pack("ii", 1, 0)
TOPIC, LONG = b"mote/in", b"y" * 200
_MESSAGE = b"\x30\xd1\x01\x00\x07" + TOPIC + LONG  # 209 bytes after the fixed header
MESSAGES = ((TOPIC, LONG), (TOPIC, b""))  # all that are ever sent whole

# What a run came to: readings acknowledged, of them more than once received; seconds from the fault to the next
# connection and to the next acknowledgement, None when there was none.
Outcome = collections.namedtuple("Outcome", "acknowledged repeated reconnected_s back_s")


class FaultServer:
    """`async with FaultServer(fault) as server`: `server.port`, then `server.outcome()`. Faults are named in FAULTS."""

    def __init__(self, fault):
        self._fault = FAULTS[fault]
        self._server = None
        self._over = asyncio.Event()
        self._writers = set()
        self._silent = set()  # of the writers
        self._received = collections.Counter()
        self._acknowledged = set()
        self._struck = self._reconnected = self._back = None
        self._returns = None
        self.refuses = 0  # this many CONNECTs more are refused
        self.port = 0

    async def __aenter__(self):
        await self._listen()
        return self

    async def __aexit__(self, *_):
        if self._returns:
            self._returns.cancel()
        self._over.set()
        self._server.close()
        self._hang_up()

    async def _listen(self):
        self._server = await asyncio.start_server(self._arrived, HOST, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def outcome(self):
        """What came through so far."""
        repeated = sum(count - 1 for count in self._received.values())
        return Outcome(len(self._acknowledged), repeated, self._since(self._reconnected), self._since(self._back))

    def _since(self, moment):
        return None if moment is None or self._struck is None else round(moment - self._struck, 1)

    def _hang_up(self):
        for writer in self._writers:
            writer.transport.abort()

    async def _arrived(self, reader, writer):
        if self._struck and not self._reconnected:
            self._reconnected = time.monotonic()
        self._writers.add(writer)
        with contextlib.suppress(OSError, EOFError):  # the client left; what it had sent is counted
            await self._talk(reader, writer)
        self._writers.discard(writer)
        self._silent.discard(writer)
        writer.close()

    async def _talk(self, reader, writer):
        while True:
            first, body = await _packet(reader)
            if first >> 4 == _CONNECT:
                self.refuses -= 1
                self._answer(writer, _CONNACK if self.refuses < 0 else _REFUSED)
            elif first >> 4 == _PINGREQ:
                self._answer(writer, _PINGRESP)
            elif first >> 4 == _SUBSCRIBE:
                self._answer(writer, b"\x90\x03" + body[:2] + b"\x01")
            elif first >> 4 == _DISCONNECT:
                return
            elif first >> 4 == _PUBLISH:
                await self._published(first, body, writer)
            await writer.drain()

    async def _published(self, first, body, writer):
        at = 2 + body[0] * 256 + body[1]
        number = int(body[at + 2 : at + 5])
        self._received[number] += 1
        puback = b"\x40\x02" + body[at : at + 2]
        if number == STRIKE_AT and self._struck is None:
            self._struck = time.monotonic()
            await self._fault(self, writer, puback, number)
        else:
            self.acknowledge(writer, puback, number)

    def _answer(self, writer, data):
        """Send, unless this connection has fallen silent; returns whether."""
        if writer in self._silent:
            return False
        writer.write(data)
        return True

    def acknowledge(self, writer, puback, number):
        if self._answer(writer, puback):
            self._acknowledged.add(number)
            if self._struck and self._back is None:
                self._back = time.monotonic()

    async def dies(self, writer, puback, number):
        """The process ends with this reading unanswered; another one listens there later."""
        self._server.close()
        self._hang_up()
        self._returns = asyncio.create_task(self._return())
        raise EOFError

    async def _return(self):
        await asyncio.sleep(AWAY_S)
        await self._listen()

    async def resets(self, writer, puback, number):
        """The connection ends with RST instead of FIN."""
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST_ON_CLOSE)
        writer.transport.abort()
        raise EOFError

    async def falls_silent(self, writer, puback, number):
        """It goes on reading on this connection and never answers again."""
        self._silent.add(writer)

    async def stops(self, writer, puback, number):
        """It neither reads nor answers on this connection, as one that is half open: nobody is there."""
        await self._over.wait()
        raise EOFError

    async def answers_then_falls_silent(self, writer, puback, number):
        """Silence while the client has nothing to send."""
        self.acknowledge(writer, puback, number)
        await writer.drain()
        self._back, self._struck = None, time.monotonic()  # the acknowledgement after the silence counts
        self._silent.add(writer)

    async def loses_a_puback(self, writer, puback, number):
        """One acknowledgement never comes."""

    async def trickles(self, writer, puback, number):
        """A message of 200 bytes and all else from then on comes byte by byte."""
        writer.write = _Trickle(writer.write)
        writer.write(_MESSAGE)
        self.acknowledge(writer, puback, number)

    async def sends_and_goes_on(self, data, writer, puback, number):
        """Something unexpected but legal before the acknowledgement."""
        writer.write(data)
        self.acknowledge(writer, puback, number)

    async def sends_and_waits(self, data, writer, puback, number):
        """Something malformed, and nothing more on this connection."""
        writer.write(data)
        await writer.drain()
        self._silent.add(writer)

    async def sends_and_closes(self, data, writer, puback, number):
        writer.write(data)
        await writer.drain()
        raise EOFError

    async def refuses_once(self, writer, puback, number):
        """The connection ends, and the next two CONNECTs are refused."""
        self.refuses = 2
        writer.close()
        raise EOFError


class _Trickle:
    """In place of a connection's write: a segment per byte."""

    def __init__(self, write):
        self._write = write

    def __call__(self, data):
        for at in range(len(data)):
            self._write(data[at : at + 1])


async def _packet(reader):
    """(first byte, body) of the next packet. Raises EOFError at the end."""
    first = (await reader.readexactly(1))[0]
    size = shift = 0
    while True:
        byte = (await reader.readexactly(1))[0]
        size |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            break
    if size > PACKET_LIMIT_BYTES:
        raise EOFError
    return first, await reader.readexactly(size)


def _with(method, data):
    async def strike(self, *arguments):
        await method(self, data, *arguments)
    return strike


_IDLE = "silent while idle"
FAULTS = {
    "broker dies, back after 4 s": FaultServer.dies,
    "connection reset": FaultServer.resets,
    "silent during a publish": FaultServer.falls_silent,
    _IDLE: FaultServer.answers_then_falls_silent,
    "half open: neither reads nor answers": FaultServer.stops,
    "one PUBACK lost": FaultServer.loses_a_puback,
    "half a packet, then FIN": _with(FaultServer.sends_and_closes, _MESSAGE[:20]),
    "all byte by byte": FaultServer.trickles,
    "remaining length of 5 bytes": _with(FaultServer.sends_and_waits, b"\x30\xff\xff\xff\xff\x01"),
    "PUBLISH with remaining length 0": _with(FaultServer.sends_and_waits, b"\x30\x00"),
    "message with an empty payload": _with(FaultServer.sends_and_goes_on, b"\x30\x09\x00\x07" + TOPIC),
    "PUBACK for an unknown id": _with(FaultServer.sends_and_goes_on, b"\x40\x02\x77\x77"),
    "closed, then refused twice (code 3)": FaultServer.refuses_once,
}


def idle_s(fault):
    """Seconds that the application has nothing to send after the reading before the next, for a fault that wants it."""
    return 16 if fault == _IDLE else 0
