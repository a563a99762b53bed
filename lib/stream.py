"""One TCP or TLS connection for MicroPython's asyncio: reader and writer in one.

The functions with a `yield` are awaited like coroutines. Only OSError leaves them. With TLS the
handshake happens in the first write, drain or read, and so does its failure, with its reason.
"""

import asyncio
import errno
import socket

from lending import lend

_NO_MEMORY = "not enough memory for TLS"


class Stream:
    """Around a connected socket; `raw` is the same socket below TLS, which a failed handshake leaves open."""

    def __init__(self, sock, raw):
        self._sock = sock
        self._raw = raw
        self._unsent = []
        self._heard = raw is sock  # with TLS, what goes wrong before the server's first byte is the handshake's

    def read(self, buf):
        """How many bytes were read into `buf`, 0 when the peer has closed, None when nothing is there now."""
        if self._heard:
            return self._sock.readinto(buf)
        try:
            count = self._sock.readinto(buf)
        except (OSError, ValueError) as error:
            raise self._why(error)
        self._heard = count is not None  # None may be a TLS record that is not complete yet
        return count

    def readable(self):
        """Await it until `read` may give something."""
        asyncio.core._io_queue.queue_read(self._sock)
        return (None,)  # awaited it gives up the turn once, as a bare yield does, for less memory than a generator

    def write(self, buf, size=None):
        """Send what the socket takes now of the first `size` bytes, copy the rest for `drain`; whether none is left."""
        if size is None:
            size = len(buf)
        count = 0
        if not self._unsent:
            count = self._sock.write(buf, size) if self._heard else self._sent(buf, size)
        if count == size:
            return True
        self._unsent.append(bytes(memoryview(buf)[count or 0 : size]))
        return False

    def drain(self):
        """Wait until everything written is with the socket."""
        yield from asyncio.core.sleep_ms(0)  # always once, or writing in a loop starves the other tasks
        while self._unsent:
            yield asyncio.core._io_queue.queue_write(self._sock)
            part = self._unsent[0]  # never joined with the next: mbedTLS wants a retry with the same length
            count = self._sent(part, len(part))
            if count < len(part):
                self._unsent[0] = part[count:]
            else:
                self._unsent.pop(0)

    def close(self):
        self._sock.close()
        self._raw.close()

    def wait_closed(self):
        yield from asyncio.core.sleep_ms(0)

    def _sent(self, buf, size):
        try:
            return self._sock.write(buf, size) or 0
        except (OSError, ValueError) as error:
            raise self._why(error)

    def _why(self, error):
        """The error, or before the server's first word why TLS failed: then it is a ValueError or a number."""
        try:
            return error if self._heard else lend("tls_errors").named(error)
        except MemoryError:
            return OSError(_NO_MEMORY)


def resolve(host, port):
    """The addresses of a host. Blocks, up to 12 s on an ESP32 whose name server is dead."""
    try:
        return socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
    except OSError as error:
        raise OSError("cannot resolve %s: %s" % (host, error))


async def connect(addresses, host, tls):
    """A Stream to the first of `addresses` that answers. Raises OSError; no deadline of its own."""
    wrap = None
    if tls is not None:
        wrap = _trust(tls, host)
    error = OSError(errno.EHOSTUNREACH)
    for family, kind, protocol, _, address in addresses:
        raw = socket.socket(family, kind, protocol)
        try:
            await _connected(raw, address)
            sock = wrap(raw) if wrap else raw
            sock.setblocking(False)
            return Stream(sock, raw)
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


def _trust(tls, host):
    """A function that puts TLS around a socket."""
    try:
        certs = lend("certs")
        context = certs.context(tls, lambda path, label: certs.ders(path, label)[0])
        return _wrapper(context, certs.server_name(tls, host))
    except MemoryError:
        raise OSError(_NO_MEMORY)


def _wrapper(context, name):
    def wrap(raw):
        try:
            return context.wrap_socket(raw, server_hostname=name, do_handshake_on_connect=False)
        except (OSError, MemoryError):  # nothing has been sent yet: no other reason is left
            raise OSError(_NO_MEMORY)

    return wrap
