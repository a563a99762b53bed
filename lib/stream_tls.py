"""TLS around a connection of stream_tcp.py, loaded only where it is wanted: it always authenticates the server.

The handshake happens in the first write, drain or read, and so does its failure, with its reason as an OSError.
"""

from lending import lend
from stream_tcp import Stream

_NO_MEMORY = "not enough memory for TLS"


class TLSStream(Stream):
    """`raw` is the same socket below TLS, which a failed handshake leaves open."""

    def __init__(self, sock, raw):
        super().__init__(sock)
        self.raw = raw
        self.heard = False  # what goes wrong before the server's first byte is the handshake's

    def read(self, buf):
        if self.heard:
            return self.sock.readinto(buf)
        try:
            count = self.sock.readinto(buf)
        except (OSError, ValueError) as error:
            raise self.why(error)
        self.heard = count is not None  # None may be a TLS record that is not complete yet
        return count

    def write(self, buf, size=None):
        try:
            return super().write(buf, size)
        except (OSError, ValueError) as error:
            raise self.why(error)

    def drain(self):
        try:
            yield from super().drain()
        except (OSError, ValueError) as error:
            raise self.why(error)

    def close(self):
        self.sock.close()
        self.raw.close()

    def why(self, error):
        """The error, or before the server's first word why TLS failed: then it is a ValueError or a number."""
        try:
            return error if self.heard else lend("tls_errors").named(error)
        except MemoryError:
            return OSError(_NO_MEMORY)


def wrapper(tls, host):
    """A function that makes a socket a stream that trusts what `tls` says alone. Raises OSError when that is wrong."""
    try:
        certs = lend("certs")
        context = certs.context(tls, lambda path, label: certs.ders(path, label)[0])
        return _wrapper(context, certs.server_name(tls, host))
    except MemoryError:
        raise OSError(_NO_MEMORY)


def _wrapper(context, name):
    def wrap(raw):
        try:
            sock = context.wrap_socket(raw, server_hostname=name, do_handshake_on_connect=False)
        except (OSError, MemoryError):  # nothing has been sent yet: no other reason is left
            raise OSError(_NO_MEMORY)
        sock.setblocking(False)
        return TLSStream(sock, raw)

    return wrap
