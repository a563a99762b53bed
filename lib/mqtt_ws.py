"""MQTT in a WebSocket over any stream, for MicroPython and CPython: for networks that let only the web through.

The result is a stream again. Only OSError comes out of it, and it has no deadlines. Sections are those of RFC 6455.
"""

import asyncio
import hashlib
import os
from binascii import b2a_base64

_FRAME_BYTES = 512  # of payload in a frame that is sent: as much as the MQTT client writes in one go
_ANSWER_BYTES = 4_096  # of header lines, to begin with; the longest from the big proxies have a third of it
_TOLD_BYTES = 60  # of what came, in an error


async def upgrade(stream, host, path):
    """A WebSocket for MQTT over `stream`, which leads to `host` ("name:port"): a client's part of section 4.1.

    Raises OSError that says what came instead. To close `stream` is then the caller's part.
    """
    key = b2a_base64(os.urandom(16))[:-1]
    both = b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-"
    ask = "GET %s HTTP/1.1\r\nHost: %s\r\nSec-WebSocket-Version: 13\r\n" % (path, host)
    stream.write(ask.encode() + both + b"Key: " + key + b"\r\n\r\n")
    await stream.drain()
    accept = b2a_base64(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())[:-1]
    rest = bytearray(await _answer(stream, (both.lower() + b"accept: " + accept).split(b"\r\n")))
    result = WebSocket(stream)
    if result._unframe(memoryview(rest), len(rest)):
        _refuse(b"unasked")
    return result


async def _answer(stream, wanted):
    """Read the server's answer, in which all lines of `wanted` must be; returns what came behind it."""
    chunk = bytearray(64)
    line, data, left = None, b"", _ANSWER_BYTES
    while line != b"":
        end = data.find(b"\r\n")
        if end < 0:
            count = stream.read(chunk)
            if count is None:
                await stream.readable()
                continue
            left -= count
            if not count or left < 0:
                _refuse(data + b"...")
            data += chunk[:count]
            continue
        if line is None and not data.startswith(b"HTTP/1.1 101"):
            _refuse(data[:end])
        line, data = data[:end], data[end + 2 :]
        name, _, value = line.partition(b":")
        for word in (value + b"," + value.lower()).split(b","):  # one of several, some in any case
            found = name.lower() + b": " + word.strip()
            if found in wanted:
                wanted.remove(found)
    if wanted:
        _refuse(b"no " + wanted[0])
    return data


def _refuse(found):
    raise OSError("no WebSocket here: " + repr(bytes(found[:_TOLD_BYTES]))[2:-1])


class WebSocket:
    """The stream that `upgrade` makes: bytes as binary messages, however the server cuts its own (section 5)."""

    def __init__(self, stream):
        self._stream = stream
        self._turn = asyncio.Lock()  # a socket wakes only one of those that wait for it
        self._out = bytearray(8 + _FRAME_BYTES)
        self._head = bytearray(127)  # the header of the frame that is coming in; a control frame whole
        self._have = self._left = 0  # bytes in _head; of the payload those still to come
        self._more = self._owes = self._over = False  # the message goes on; something was answered; Close has come
        self.close = stream.close
        self.wait_closed = stream.wait_closed

    def read(self, buf):
        """How many bytes were read into `buf`, 0 when the peer has closed, None when nothing is there now. Pings are
        answered on the way."""
        view = memoryview(buf)
        while not self._owes:
            count = 0 if self._over else self._stream.read(view)
            if not count:
                return count
            count = self._unframe(view, count)
            if count:
                return count

    async def readable(self):
        """Wait until `read` may give something, or has to be called for what it answers."""
        if self._owes:
            self._owes = False
            await self.drain()  # or a peer that pings and never reads would fill the memory
        else:
            await self._stream.readable()

    def write(self, buf, size=None):
        """Send a copy of the first `size` bytes, masked; returns whether all is with the network."""
        if self._over:
            raise OSError("closed")
        view = memoryview(buf)[:size]
        for at in range(0, len(view), _FRAME_BYTES):
            taken = self._frame(0x82, view[at : at + _FRAME_BYTES])
        return taken

    async def drain(self):
        """Wait until everything written is with the socket."""
        await self._turn.acquire()
        try:
            await self._stream.drain()
        finally:
            self._turn.release()

    def _frame(self, first, payload):
        """Send one frame of at most _FRAME_BYTES; `first` is its first byte (5.2)."""
        out = self._out
        size = len(payload)
        end = 8 + size
        start = 0 if size > 125 else 2
        out[2], out[3] = size >> 8, size & 255  # where no length of two bytes is wanted, the next line covers it
        out[start], out[start + 1] = first, 128 | min(size, 126)
        out[4:8] = os.urandom(4)
        out[8:end] = payload
        for lane in range(4):  # by lanes and in place: the quickest without garbage, big integers are slower
            mask = out[4 + lane]
            for at in range(8 + lane, end, 4):
                out[at] ^= mask
        return self._stream.write(memoryview(out)[start:end])

    def _unframe(self, view, count):
        """Move the payload that is in `count` bytes of frames together at their start; how much it is."""
        at = got = 0
        while at < count and not self._over:
            if self._left:
                size = min(self._left, count - at)
                view[got : got + size] = view[at : at + size]
                got += size
                at += size
                self._left -= size
            else:
                self._head[self._have] = view[at]
                self._have += 1
                at += 1
                if self._have > 1:
                    self._header()
        return got

    def _header(self):
        """Act on the frame that _head begins, when enough of it is there. Raises OSError when it is no legal one."""
        head = self._head
        first, size = head[0], head[1]
        control = first in b"\x88\x89\x8a"  # Close, Ping, Pong; all else must be binary, and nothing masked
        if not control and first & 127 != (0 if self._more else 2) or size > (125 if control else 127):
            raise OSError("WebSocket frame %02x %02x" % (first, size))
        end = 2 + (size if control else 2 * (size > 125) + 6 * (size > 126))
        if self._have < end:
            return
        self._have = 0
        if not control:
            self._more = first < 128
            self._left = int.from_bytes(head[2:end], "big") if end > 2 else size
        elif first != 0x8A:
            self._owes = True
            self._over = first == 0x88
            self._frame(0x88 if self._over else 0x8A, head[2:end])
