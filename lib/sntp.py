"""SNTP, the client's side: the packet that asks, what an answer is worth (RFC 4330, 4 and 5), and asking."""

import os
import struct

PORT = 123
NONCE_BYTES = 8
FIRST_S = 1767225600  # 2026-01-01: before this code, so no clock that says less is believed
LAST_S = 4102444800  # 2100-01-01
_NTP_ERA_0_S = 2208988800  # from 1900 to 1970
_NTP_ERA_S = 1 << 32
_TRIES = 100
_TRY_MS = 20  # 2 s in all for a server, some hundred times a usual round trip
_SAMPLES = 3  # of which the one with the shortest round trip counts: the others met a queue
_STEP_MS = 1_000_000  # as the reference implementation has it: a clock that was set is not further off
_SHELF_MS = 5 * 366 * 86_400_000
_AGREE_MS = 2_000


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


def choose(found, shown_ms, floor_ms):
    """Of the answers (round trip in ms, Unix time in ms, server), all brought to one moment, those that can be right.

    One server alone is believed within 1000 s of what a clock shows that was set; else from the floor, which is surely
    past, to five years after it. Beyond that it takes two servers that agree.
    """
    low, high = floor_ms, floor_ms + _SHELF_MS
    if shown_ms is not None:
        low, high = max(FIRST_S * 1_000, shown_ms - _STEP_MS), shown_ms + _STEP_MS
    good = [answer for answer in found if low <= answer[1] <= high]
    return good or [one for one in found if [
        other for other in found if other[2] != one[2] and abs(other[1] - one[1]) <= _AGREE_MS]]


async def ask(servers, socket, board, shown_s=None, floor_s=FIRST_S):
    """Unix milliseconds by the answer with the shortest round trip of a few; `shown_s` is what the clock shows when it
    was set, `floor_s` a time that is surely past. Raises OSError when no server answers, or none can be right.

    `socket` is the module; `board` has `sleep_ms`, `ticks_ms` and `ticks_diff`, and counts in `clock_refused` what was
    no answer to this, and answers that were not believed. A name lookup blocks.
    """
    problems, found, left = ["no time server answers"], [], list(servers)
    began = board.ticks_ms()
    while left and len(found) < _SAMPLES:
        server = left.pop(0)
        await board.sleep_ms(0)  # to look a name up blocks: whoever waits for this has a say before the next one
        try:
            trip_ms, unix_ms = await _ask(server, socket, board)
            found.append((trip_ms, unix_ms - board.ticks_diff(board.ticks_ms(), began), server))
            left.append(server)
        except OSError as error:
            problems.append("%s: %s" % (server, error))
    good = choose(found, None if shown_s is None else shown_s * 1_000, floor_s * 1_000)
    board.clock_refused += len(found) - len(good)
    if good:
        return min(good)[1] + board.ticks_diff(board.ticks_ms(), began)
    raise OSError("; ".join(problems if not found else ["the time that is told cannot be right"]))


async def _ask(server, socket, board):
    """(round trip, Unix time when it was over), both in milliseconds."""
    family, kind, _, _, address = socket.getaddrinfo(server, PORT, 0, socket.SOCK_DGRAM)[0]
    sock = socket.socket(family, kind)
    try:
        sock.setblocking(False)
        nonce = os.urandom(NONCE_BYTES)
        sock.sendto(request(nonce), address)
        began = board.ticks_ms()
        for _ in range(_TRIES):
            await board.sleep_ms(_TRY_MS)
            try:
                reply, source = sock.recvfrom(128)
                trip_ms = board.ticks_diff(board.ticks_ms(), began)
                if source != address:  # another address or port: not the server that was asked
                    raise ValueError("a stranger")
                return trip_ms, parse(reply, nonce) * 1_000 + (reply[44] * 1_000 >> 8) + trip_ms // 2
            except OSError:
                continue  # nothing yet: the number of tries is the deadline
            except ValueError:
                board.clock_refused += 1
    finally:
        sock.close()
    raise OSError("no answer")
