"""`socket` of a fake ESP32, as far as the board asks for the time; and `stream`, which is real."""

import sys

if sys.implementation.name == "micropython":
    from stream import connect, resolve
else:
    from tools.host.cpython_world import World

    def resolve(host, port):
        return host, port

    async def connect(addresses, host, tls):
        return await World().open_stream(host, addresses[1], tls)


class Stream:
    """`stream`: the real one, which counts name lookups in `lookups`."""

    def __init__(self):
        self.connect = connect
        self.lookups = 0

    def resolve(self, host, port):
        self.lookups += 1
        return resolve(host, port)


class Socket:
    """`socket`: datagrams to time servers."""

    SOCK_DGRAM = 2

    def __init__(self, esp32):
        self._esp32 = esp32

    def getaddrinfo(self, host, port, family, kind):
        assert port == 123 and kind == Socket.SOCK_DGRAM
        if host not in self._esp32.time_servers:
            raise OSError(-202)
        return [(2, kind, 0, "", host)]

    def socket(self, family, kind):
        return Datagrams(self._esp32)


class Datagrams:
    def __init__(self, esp32):
        self._esp32 = esp32
        self._esp32.sockets += 1
        self._replies = None
        self._server = None

    def setblocking(self, on):
        assert not on
        self._replies = []

    def sendto(self, data, address):
        self._server = address
        self._replies += self._esp32.time_servers[address](data)

    def recvfrom(self, size):
        """One datagram of those that came; a socket that would block is a fault."""
        if not self._replies:
            raise OSError(11)
        return self._replies.pop(0)[:size], self._server

    def close(self):
        self._esp32.sockets -= 1
