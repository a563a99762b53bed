"""Connecting over TCP or TLS on MicroPython. Needed once in a connection, so a board lends it (lending.py)."""

import asyncio
import errno
import socket

from lending import lend
from stream_tcp import Stream


def resolve(host, port):
    """The addresses of a host. Blocks, up to 12 s on an ESP32 whose name server is dead."""
    try:
        return socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
    except OSError as error:
        raise OSError("cannot resolve %s: %s" % (host, error))


async def connect(addresses, host, tls):
    """A Stream to the first of `addresses` that answers. Raises OSError; no deadline of its own."""
    wrap = Stream if tls is None else lend("stream_tls").wrapper(tls, host)
    error = OSError(errno.EHOSTUNREACH)
    for family, kind, protocol, _, address in addresses:
        raw = socket.socket(family, kind, protocol)
        try:
            await _connected(raw, address)
            return wrap(raw)
        except BaseException as failure:  # cancelled, too: the socket is ours until it is in a Stream
            raw.close()
            if not isinstance(failure, OSError):
                raise
            error = failure
    raise error


def _connected(sock, address):
    sock.setblocking(False)
    try:
        sock.connect(address)
    except OSError as error:
        if error.args[0] != errno.EINPROGRESS:
            raise
    yield asyncio.core._io_queue.queue_write(sock)
    sock.send(b"")  # a refused connection shows here instead of at the first packet
    sock.setsockopt(6, 1, 1)  # TCP, NODELAY: a packet waits for no acknowledgement of the one before
