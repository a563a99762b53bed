"""What a host board takes from CPython."""

import asyncio
import os
import socket
import ssl
import time

from certs import context, server_name
from tls_errors import named
from tools.host.board import Common

_READ_BYTES = 4_096
_TICKS_PERIOD_MS = 1 << 30  # as on an ESP32, so that nothing here relies on ticks that never wrap


class World:
    name = "CPython"

    def ticks_ms(self):
        return time.monotonic_ns() // 1_000_000 % _TICKS_PERIOD_MS

    def ticks_diff(self, a, b):
        half = _TICKS_PERIOD_MS // 2
        return (a - b + half) % _TICKS_PERIOD_MS - half

    def ticks_add(self, a, ms):
        if not -_TICKS_PERIOD_MS // 2 < ms < _TICKS_PERIOD_MS // 2:
            raise OverflowError("ticks interval overflow")
        return (a + ms) % _TICKS_PERIOD_MS

    async def sleep_ms(self, ms):
        await asyncio.sleep(ms / 1000)

    def log(self, text):
        print(text, flush=True)

    def memory(self):
        """This heap has no end of its own: what the computer has left stands for it."""
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), None, None

    def address(self):
        """The address that packets to elsewhere leave from; nothing is sent to find out."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect(("192.0.2.1", 9))
            except OSError:
                return "127.0.0.1"
            return probe.getsockname()[0]

    async def open_stream(self, host, port, tls):
        """A Stream to host:port. Raises OSError; no deadline of its own."""
        options = {}
        if tls is not None:
            options = {"ssl": context(tls, lambda path, label: path), "server_hostname": server_name(tls, host)}
        try:
            return Stream(*await asyncio.open_connection(host, port, **options))
        except (ValueError, ssl.SSLError, ConnectionResetError, ConnectionAbortedError) as error:
            if tls is None and isinstance(error, OSError):
                raise
            raise named(error) from error  # also of a host name that cannot be encoded


class HostBoard(Common, World):
    """This computer as a board."""


class Stream:
    """asyncio's reader and writer as the one object that the board contract asks for."""

    def __init__(self, reader, writer):
        self._reader = reader
        self._writer = writer
        self._data = None  # read and not yet fetched; empty when the peer has closed
        # drain() means: all of it is with the kernel, or close to it under TLS, which at 0 would never resume.
        writer.transport.set_write_buffer_limits(high=1, low=0)
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Under TLS 1.3 the server judges our certificate after the handshake, but before its first byte.
        self._heard = writer.get_extra_info("ssl_object") is None

    def read(self, buf):
        if not self._data:
            return None if self._data is None else 0
        count = min(len(buf), len(self._data))
        buf[:count] = self._data[:count]
        self._data = self._data[count:] or None
        return count

    async def readable(self):
        if not self._data:
            try:
                self._data = await self._reader.read(_READ_BYTES)
            except OSError as error:
                raise self._why(error) from error
            if not (self._data or self._heard):  # under TLS 1.3 so may end what the server did not like in us
                raise self._why(ConnectionResetError("closed before the first byte"))
            self._heard = True

    def write(self, buf, size=None):
        if self._writer.transport.is_closing():  # where asyncio itself would only log a warning
            raise self._why(self._reader.exception() or ConnectionResetError("connection lost"))
        self._writer.write(bytes(buf[:size]))
        return not self._writer.transport.get_write_buffer_size()

    async def drain(self):
        try:
            await self._writer.drain()
        except OSError as error:
            raise self._why(error) from error

    def _why(self, error):
        return error if self._heard else named(error)

    def close(self):
        """At once, as MicroPython does: a flush to a peer that is gone would never end."""
        self._writer.transport.abort()

    async def wait_closed(self):
        try:
            await self._writer.wait_closed()
        except OSError:
            return  # why it was lost has been raised at the read or the write
