"""The blocking socket that umqtt gets: a deadline at every step, and no length believed."""

import asyncio

import blocking
from minitest import equal, raises
from stage import Board

MQTT = {"host": "broker.test", "port": 1883, "tls": None, "path": None}


class Stream:
    """What comes is in `coming`, pieces; after the last one there is silence, or the end when it is empty."""

    def __init__(self):
        self.coming = []
        self.written = b""
        self.closed = 0

    async def readable(self):
        if not self.coming:
            await asyncio.sleep(60)

    def read(self, room):
        if not self.coming:
            return None
        piece = self.coming.pop(0)
        count = min(len(piece), len(room))
        room[:count] = piece[:count]
        if piece[count:]:
            self.coming.insert(0, piece[count:])
        return count

    def write(self, data, size=None):
        self.written += data[:size]

    async def drain(self):
        await asyncio.sleep(0)

    def close(self):
        self.closed += 1

    async def wait_closed(self):
        await asyncio.sleep(0)


class Wired(Board):
    """A board whose stream is a scripted one."""

    def __init__(self):
        super().__init__({})
        self.stream = Stream()

    async def open_stream(self, host, port, tls):
        self.opened.append((host, port, tls))
        return self.stream


def connected():
    board = Wired()
    wire = blocking.Wire(board, MQTT, None)
    wire.connect(wire.getaddrinfo("ignored", 1)[0][-1])
    return board, wire


def patience(seconds):
    """Wait no longer than this in a test; returns what it was."""
    before = blocking.READ_S, blocking.IDLE_S
    blocking.READ_S, blocking.IDLE_S = seconds
    return before


def test_bytes_come_whole_however_they_arrive():
    board, wire = connected()
    equal(board.opened, [("broker.test", 1883, None)])
    board.stream.coming = [b"ab", b"cde"]
    equal(wire.read(4), b"abcd")
    equal(wire.read(1), b"e")
    equal(wire.read(0), b"")


def test_the_first_byte_may_be_late_and_the_others_not():
    before = patience((0.05, 0.01))
    try:
        board, wire = connected()
        wire.setblocking(False)
        equal(wire.read(1), None)
        board.stream.coming = [b"\x31"]
        equal(wire.read(1), b"\x31")
        wire.setblocking(True)
        equal(wire.head, 0x31)
        with raises(OSError):
            wire.read(1)
    finally:
        patience(before)


def test_a_peer_that_has_gone_gives_nothing():
    board, wire = connected()
    board.stream.coming = [b""]
    equal(wire.read(1), b"")


def test_no_length_is_believed():
    _, wire = connected()
    for count in (-1, -9, blocking.SKIPPED_BYTES + 1, 2**28):
        with raises(OSError):
            wire.read(count)


def test_of_a_message_that_is_too_long_the_beginning_comes_and_the_rest_is_read_past():
    board, wire = connected()
    board.stream.coming = [b"a" * 8_000, b"b" * 90_000, b"c" * 2_000 + b"next"]
    equal(wire.read(100_000), b"a" * 8_000 + b"b" * 192)
    equal(wire.read(4), b"next")
    board.stream.coming = [b"a" * 9_000, b""]
    equal(wire.read(100_000), b"", "closed in the midst of it:")


def test_what_is_written_is_written_whole_or_in_part_as_umqtt_asks():
    board, wire = connected()
    wire.write(bytearray(b"\x10\x05xxxx"), 2)
    wire.write(b"abc")
    equal(board.stream.written, b"\x10\x05abc")
    wire.close()
    wire.close()
    equal(board.stream.closed, 1)

