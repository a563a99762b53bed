"""SNTP, the client's side, no I/O: the packet that asks, and what an answer is worth (RFC 4330, 4 and 5)."""

import struct

PORT = 123
NONCE_BYTES = 8
FIRST_S = 1767225600  # 2026-01-01: before this code, so no clock that says less is believed
LAST_S = 4102444800  # 2100-01-01
_NTP_ERA_0_S = 2208988800  # from 1900 to 1970
_NTP_ERA_S = 1 << 32


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
    if not plausible(seconds):
        raise ValueError("the year cannot be right")
    return seconds


def plausible(unix_s):
    """Whether a clock that says so may be right."""
    return FIRST_S <= unix_s < LAST_S
