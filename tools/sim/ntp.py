"""Time servers, and the `socket` module that lib/sntp.py asks them through, unchanged."""

import struct

SOCK_DGRAM = 2
_NTP_ERA_0_S = 2208988800
_AGAIN = 11  # EAGAIN: nothing has arrived yet


class TimeServer:
    """Knobs: `silent`; `lie_s` (added to the truth); `stratum` (0: a kiss of death); `forged` (another nonce)."""

    def __init__(self):
        self.silent = self.forged = False
        self.lie_s = 0
        self.stratum = 2

    def answer(self, request, unix_s):
        """The reply to a request at this time, None when there is none."""
        if self.silent:
            return None
        nonce = bytes(8) if self.forged else request[40:48]
        seconds = (int(unix_s) + self.lie_s + _NTP_ERA_0_S) % (1 << 32)
        fraction = int(unix_s % 1 * (1 << 32))
        return bytes((0x24, self.stratum)) + bytes(22) + nonce + bytes(8) + struct.pack(">II", seconds, fraction)


class Sockets:
    """UDP as a node sees it. `servers`: name -> TimeServer; `unix_s()`: true time; `resolves()`: names are found."""

    SOCK_DGRAM = SOCK_DGRAM

    def __init__(self, loop, path, servers, unix_s, resolves):
        self.loop = loop
        self.path = path
        self.servers = servers
        self.unix_s = unix_s
        self._resolves = resolves

    def getaddrinfo(self, host, port, family=0, kind=0):
        if not self._resolves() or host not in self.servers:
            raise OSError(-2, "name not found")
        return [(2, kind, 17, "", (host, port))]

    def socket(self, family, kind):
        return Socket(self)


class Socket:
    """Asks one server, never blocking."""

    def __init__(self, sockets):
        self._sockets = sockets
        self._server = self._address = None
        self._replies = []

    def setblocking(self, flag):
        assert not flag, "it would stop the whole node"

    def sendto(self, data, address):
        sockets = self._sockets
        assert len(data) == 48
        self._server, self._address = sockets.servers[address[0]], address
        if not sockets.path.blocked:
            reply = self._server.answer(bytes(data), sockets.unix_s())
            if reply:
                self._replies.append((sockets.loop.now_us + 2 * sockets.path.latency_us, reply))
        return len(data)

    def recvfrom(self, size):
        sockets = self._sockets
        if self._replies and self._replies[0][0] <= sockets.loop.now_us and not sockets.path.blocked:
            return self._replies.pop(0)[1][:size], self._address
        raise OSError(_AGAIN)

    def close(self):
        """Nothing is left of it."""
