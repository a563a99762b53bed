"""SNTP, the client's side: the packet that asks, what an answer is worth (RFC 4330, 4 and 5), and asking."""

import os
import struct

PORT = 123
NONCE_BYTES = 8
FIRST_S = 1767225600  # 2026-01-01: before this code, so no clock that says less is believed
LAST_S = 4102444800  # 2100-01-01
_NTP_ERA_0_S = 2208988800  # from 1900 to 1970
_NTP_ERA_S = 1 << 32
_TRIES = 40
_TRY_MS = 50  # 2 s in all for a server, some hundred times a usual round trip


def request(nonce):
    """The 48 bytes to send (version 4, client).

    The server sends the 8 bytes `nonce` back: who did not see the request cannot answer it.
    """
    return b"\x23" + bytes(39) + nonce


def parse(reply, nonce):
    """Unix seconds from a server's answer. Raises ValueError when it is none, or when it cannot be right."""
    if len(reply) < 48 or reply[0] & 7 != 4 or reply[24:32] != nonce:
        raise ValueError("not the answer")
    if reply[0] >> 6 == 3 or not 0 < reply[1] < 16:  # also a kiss of death: stratum 0
        raise ValueError("the server has no time")
    seconds = struct.unpack(">I", reply[40:44])[0]
    if seconds == 0:
        raise ValueError("the server has no time")
    if seconds < _NTP_ERA_S >> 1:  # since 2036 the count begins anew
        seconds += _NTP_ERA_S
    seconds -= _NTP_ERA_0_S
    if not FIRST_S <= seconds < LAST_S:
        raise ValueError("the year cannot be right")
    return seconds


async def ask(servers, socket, sleep_ms):
    """Unix seconds from the first of `servers` that answers; OSError when none does.

    `socket` is the module. A name lookup blocks.
    """
    problems = ["no time server answers"]
    for server in servers:
        try:
            return await _ask(server, socket, sleep_ms)
        except OSError as error:
            problems.append("%s: %s" % (server, error))
    raise OSError("; ".join(problems))


async def _ask(server, socket, sleep_ms):
    family, kind, _, _, address = socket.getaddrinfo(server, PORT, 0, socket.SOCK_DGRAM)[0]
    sock = socket.socket(family, kind)
    try:
        sock.setblocking(False)
        nonce = os.urandom(NONCE_BYTES)
        sock.connect(address)  # so that what comes from another address or port never reaches us
        sock.send(request(nonce))
        for _ in range(_TRIES):
            await sleep_ms(_TRY_MS)
            try:
                return parse(sock.recv(128), nonce)
            except (OSError, ValueError):
                continue  # nothing yet, or not from the server: the number of tries is the deadline
    finally:
        sock.close()
    raise OSError("no answer")
