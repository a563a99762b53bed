"""The WebSocket: RFC 6455's own examples, every split of what comes in, and everything that a server must not say.

The frames are put together and taken apart here a second time, from the text of section 5.2.
"""

import asyncio
import os

import mqtt_ws
from minitest import equal, raises
from scripted import Stream as Base
from scripted import readinto, settle
from test_link import Rig

HELLO = b"Hello"
MASK = b"\x37\xfa\x21\x3d"
KEY = b"dGhlIHNhbXBsZSBub25jZQ=="  # of the nonce of section 1.3
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
REQUEST = [
    b"GET /mqtt HTTP/1.1", b"Host: broker.test:8080", b"Upgrade: websocket", b"Connection: Upgrade",
    b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Protocol: mqtt", b"Sec-WebSocket-Key: " + KEY, b"", b""]
LINES = [
    b"HTTP/1.1 101 Switching Protocols", b"Upgrade: websocket", b"Connection: Upgrade",
    b"Sec-WebSocket-Accept: " + ACCEPT, b"Sec-WebSocket-Protocol: mqtt"]
PING = b"\x89\x05Hello"
PONG = b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"  # the masked one of section 5.7
MIXED = b"".join((
    b"\x82\x05Hello", PING, b"\x02\x03Hel", PING, b"\x80\x02lo", b"\x02\x00", b"\x00\x01a", b"\x8a\x03old", b"\x80\x00",
    b"\x89\x00", b"\x82\x00", b"\x82\x7e\x00\x82" + bytes(range(130)), b"\x82\x7f" + bytes(7) + b"\x07longest"))
MIXED_DATA = b"HelloHelloa" + bytes(range(130)) + b"longest"


class Stream(Base):
    """With a way to close, which the WebSocket hands through."""

    closed = waited = False

    def close(self):
        self.closed = True

    async def wait_closed(self):
        self.waited = True


class Nonces:
    """In the place of os: the random bytes of the examples."""

    def urandom(self, count):
        return b"the sample nonce" if count == 16 else MASK


class Fixed:
    """`with Fixed():` the module draws the nonce and the mask of the RFC."""

    def __enter__(self):
        mqtt_ws.os = Nonces()

    def __exit__(self, *_):
        mqtt_ws.os = os


def head(*lines):
    return b"\r\n".join(lines + (b"", b""))


def frames(data):
    """The frames of a client in `data` as (first byte, payload), every rule for them asserted."""
    found = []
    while data:
        first, size, start = data[0], data[1] - 128, 2
        assert 0 <= size < 127, "not masked, or longer than it must be"
        if size == 126:
            size, start = data[2] * 256 + data[3], 4
            assert size > 125, "a length longer than it must be"
        mask, coded = data[start : start + 4], data[start + 4 : start + 4 + size]
        equal(len(coded), size, "a whole frame:")
        found.append((first, bytes([byte ^ mask[at % 4] for at, byte in enumerate(coded)])))
        data = data[start + 4 + size:]
    return found


async def shake(*lines, behind=b"", fragment=1_000_000):
    """Upgrade against these header lines; returns (the WebSocket, its stream)."""
    stream = Stream(fragment)
    stream.say(head(*lines) + behind)
    stream.end()
    with Fixed():
        return await mqtt_ws.upgrade(stream, "broker.test:8080", "/mqtt"), stream


def socket(*data, fragment=1_000_000):
    """(A WebSocket past its upgrade to which this is sent, its stream)."""
    stream = Stream(fragment)
    stream.say(*data)
    return mqtt_ws.WebSocket(stream), stream


async def read_all(ws, size=256):
    """What comes until the end, by reads into `size` bytes."""
    data = b""
    buf = bytearray(size)
    while True:
        count = await readinto(ws, buf)
        if not count:
            return data
        data += buf[:count]


async def refused(*lines, behind=b""):
    with raises(OSError) as caught:
        await shake(*lines, behind=behind)
    text = caught.value.args[0]
    assert text.startswith("no WebSocket here: ") and len(text) < 300, text
    return text[19:]


async def test_the_upgrade_of_section_1_3():
    ws, stream = await shake(*LINES)
    equal(b"".join(stream.writes).split(b"\r\n")[:2], REQUEST[:2])
    equal(sorted(b"".join(stream.writes).split(b"\r\n")), sorted(REQUEST))
    equal(len(stream.writes), 1, "packets:")
    equal(stream.drains, 1)
    equal(await read_all(ws), b"")


async def test_the_nonce_is_another_each_time():
    keys = set()
    for _ in range(2):
        stream = Stream()
        stream.end()
        with raises(OSError):
            await mqtt_ws.upgrade(stream, "h:1", "/")
        keys.add(b"".join(stream.writes).split(b"Key: ")[1])
    equal(len(keys), 2)


async def test_an_answer_may_be_written_in_many_ways():
    for lines in (
        [LINES[0]] + LINES[:0:-1],
        [b"HTTP/1.1 101"] + LINES[1:],
        [LINES[0], b"UPGRADE:WebSocket", b"connection: keep-alive, UPGRADE", b"SEC-WEBSOCKET-ACCEPT:  " + ACCEPT + b" ",
         b"sec-websocket-protocol:\tmqtt"],
        LINES + [b"Server: x" * 20, b"Set-Cookie: " + b"y" * 2_000, b"no colon", b": no name", b"\xff\xfe: \x00"],
        LINES[:1] + [b"Upgrade: h2c"] + LINES[1:],
    ):
        ws, _ = await shake(*lines)
        equal(await read_all(ws), b"")


async def test_an_answer_may_be_cut_anywhere_and_be_followed_by_frames():
    for size in range(1, 70):
        ws, stream = await shake(*LINES, behind=PING + b"\x82\x7e", fragment=size)
        with Fixed():
            stream.say(b"\x00\x80" + b"z" * 128)
            equal(await read_all(ws), b"z" * 128, size)
        equal(frames(b"".join(stream.writes[1:])), [(0x8A, HELLO)], size)


async def test_an_error_tells_what_came_instead():
    for line in (b"HTTP/1.1 200 OK", b"HTTP/1.1 302 Found", b"HTTP/1.1 403 Forbidden", b"HTTP/1.1 404 Not Found",
                 b"HTTP/1.0 101 x", b"HTTP/2 101", b"http/1.1 101 x", b"RTSP/1.0 101"):
        equal(await refused(line, b"Location: http://portal.test/", *LINES[1:]), str(line, "utf-8"))
    equal(await refused(b"\x20\x02\x00\x01"), " \\x02\\x00\\x01")
    equal(await refused(b"", *LINES), "")
    assert len(await refused(b"HTTP/1.1 404 " + b"x" * 900)) == 60


async def test_every_line_of_the_answer_must_be_there():
    for at, name in ((1, "upgrade: websocket"), (2, "connection: upgrade"), (4, "sec-websocket-protocol: mqtt"),
                     (3, "sec-websocket-accept: " + str(ACCEPT, "utf-8"))):
        equal(await refused(*(LINES[:at] + LINES[at + 1:])), "no " + name)
        for wrong in (b"", b" ", b"x", b"mqttv3.1", b"web socket", b"notwebsocket", b"upgraded", ACCEPT[:-1],
                      ACCEPT.lower(), b"x" + ACCEPT):
            bad = LINES[at].split(b": ")[0] + b": " + wrong
            equal(await refused(*(LINES[:at] + [bad] + LINES[at + 1:])), "no " + name, bad)


async def test_an_answer_must_come_to_its_end_and_within_bounds():
    whole = head(*LINES)
    for size, left in ((0, ""), (4, "HTTP"), (len(whole) - 1, "\\r"), (len(whole) - 2, ""),
                       (len(whole) - 4, str(LINES[-1], "utf-8"))):
        stream = Stream()
        stream.say(whole[:size])
        stream.end()
        with raises(OSError) as caught, Fixed():
            await mqtt_ws.upgrade(stream, "h:1", "/")
        equal(caught.value.args[0], "no WebSocket here: " + left + "...")
    for piece in (b"x", b"x: y\r\n"):
        stream = Stream(lambda: 64)
        stream.say(LINES[0] + b"\r\n" + piece * 20_000)
        with raises(OSError) as caught, Fixed():
            await mqtt_ws.upgrade(stream, "h:1", "/")
        assert caught.value.args[0].startswith("no WebSocket here: "), caught.value
        assert 4_000 < stream._at < 4_300, stream._at


async def test_a_broker_that_speaks_before_it_is_asked_is_refused():
    equal(await refused(*LINES, behind=b"\x82\x05Hello"), "unasked")
    with raises(OSError):
        await shake(*LINES, behind=b"\x81\x05Hello")


async def test_what_goes_out_is_masked_as_in_section_5_7():
    ws, stream = socket()
    with Fixed():
        ws.write(HELLO)
    equal(stream.writes, [b"\x82" + PONG[1:]])


async def test_each_frame_has_a_mask_of_its_own_and_the_buffer_stays_the_callers():
    ws, stream = socket()
    kept = bytearray(b"payload!")
    for _ in range(3):
        ws.write(kept)
        ws.write(memoryview(kept)[2:5])
    equal(bytes(kept), b"payload!")
    kept[:] = b"\xff" * 8
    equal(frames(b"".join(stream.writes)), [(0x82, b"payload!"), (0x82, b"ylo")] * 3)
    equal(len(set([bytes(frame[2:6]) for frame in stream.writes])), 6, "masks:")


async def test_every_length_goes_out_whole():
    data = bytes([at * 7 & 255 for at in range(1_300)])
    for size in list(range(1, 135)) + [255, 256, 257, 511, 512, 513, 1023, 1024, 1025, 1300]:
        ws, stream = socket()
        ws.write(data[:size])
        sent = frames(b"".join(stream.writes))
        equal(b"".join([payload for _, payload in sent]), data[:size], size)
        equal([first for first, _ in sent], [0x82] * ((size + 511) // 512))
        equal(len(stream.writes), len(sent), "one write for each frame:")


async def test_every_split_of_what_comes_in_gives_the_same():
    for fragment in list(range(1, 30)) + [len(MIXED)]:
        for size in (1, 2, 3, 7, 64, 256):
            ws, stream = socket(MIXED, fragment=fragment)
            stream.end()
            equal(await read_all(ws, size), MIXED_DATA, (fragment, size))
            equal(frames(b"".join(stream.writes)), [(0x8A, HELLO), (0x8A, HELLO), (0x8A, b"")])


async def test_the_frames_of_section_5_7():
    big = bytes(range(256)) * 256
    for data, payload in (
        (b"\x82\x05Hello", HELLO),
        (b"\x02\x03Hel\x80\x02lo", HELLO),
        (b"\x82\x7e\x01\x00" + big[:256], big[:256]),
        (b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00" + big, big),
    ):
        for fragment in (1_000_000, 1000, 255):
            ws, stream = socket(data, fragment=fragment)
            stream.end()
            equal(await read_all(ws), payload)
            assert stream.largest_read <= 256, "nothing may need a buffer of its own"


async def test_a_ping_is_answered_with_its_own_words():
    ws, stream = socket(PING, b"\x89\x7d" + b"q" * 125, b"\x82\x01x")
    buf = bytearray(256)
    with Fixed():
        equal(await readinto(ws, buf), 1)
    equal(stream.writes[0], PONG)
    equal(frames(b"".join(stream.writes[1:])), [(0x8A, b"q" * 125)])
    for _ in range(2):
        stream.say(b"\x82\x01y")
        equal(await readinto(ws, buf), 1)
        equal(stream.drains, 1, "before more is read, and only where something was answered:")


async def test_pings_that_nobody_reads_the_answers_of_are_not_piled_up():
    ws, stream = socket(PING * 5_000 + b"\x82\x01x")
    stream.hold()
    task = asyncio.create_task(readinto(ws, bytearray(256)))
    other = asyncio.create_task(ws.drain())
    await settle()
    assert 0 < len(stream.writes) <= 256 // 7 + 1, len(stream.writes)
    stream.let_go()
    await other
    equal(await task, 1)
    equal(len(stream.writes), 5_000)


async def test_who_is_cancelled_in_drain_leaves_it_to_others():
    ws, stream = socket()
    stream.hold()
    for _ in range(2):
        tasks = [asyncio.create_task(ws.drain()) for _ in range(2)]
        await settle()
        for task in tasks:
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                pass  # ours
    stream.let_go()
    await asyncio.wait_for(ws.drain(), 5)
    stream.broken = True
    with raises(OSError):
        ws.write(b"x")
    await asyncio.wait_for(ws.drain(), 5)


async def test_a_close_is_answered_and_is_the_end():
    for payload in (b"", b"\x03\xe8", b"\x03\xf0policy"):
        ws, stream = socket(b"\x82\x04last\x88" + bytes((len(payload),)) + payload + b"\x82\x05never\x89\x00")
        equal(await read_all(ws), b"last")
        equal(frames(b"".join(stream.writes)), [(0x88, payload)])
        assert stream.drains
        equal(await readinto(ws, bytearray(9)), 0)
        with raises(OSError):
            ws.write(b"x")


async def test_a_connection_that_just_ends_is_the_end():
    for at in range(len(MIXED)):
        ws, stream = socket(MIXED[:at])
        stream.end()
        data = await read_all(ws)
        assert MIXED_DATA.startswith(data), at
    ws, stream = socket(b"\x82\x05Hel")
    stream.end(OSError(104))
    buf = bytearray(9)
    equal(await readinto(ws, buf), 3)
    with raises(OSError):
        await readinto(ws, buf)


async def test_frames_that_no_server_may_send():
    bad = [b"\x82\x85" + MASK + b"Hello", b"\x82\x80" + MASK, b"\x89\x80" + MASK, b"\x82\xff", b"\x88\x80" + MASK]
    bad += [bytes((0x82 | bit, 1)) + b"x" for bit in (0x40, 0x20, 0x10, 0x70)]  # no extension was agreed on
    bad += [bytes((0x89 | bit, 1)) + b"x" for bit in (0x40, 0x20, 0x10)]
    bad += [bytes((0x80 | code, 1)) + b"x" for code in (1, 3, 4, 5, 6, 7, 11, 12, 13, 14, 15)]
    bad += [bytes((code, 1)) + b"x" for code in (1, 3, 7, 8, 9, 10, 11, 15)]
    bad += [bytes((code, size)) + bytes(140) for code in (0x88, 0x89, 0x8A) for size in (126, 127)]
    bad += [b"\x80\x01x", b"\x00\x01x"]  # nothing to go on with
    bad += [b"\x02\x01x" + last for last in (b"\x82\x01x", b"\x02\x01x", b"\x81\x01x", b"\x89\x00\x82\x00")]
    for data in bad:
        for fragment in (1, 1000):
            for before in (b"", b"\x82\x02ok"):
                ws, stream = socket(before + data, fragment=fragment)
                stream.end()
                with raises(OSError) as caught:
                    await read_all(ws)
                assert caught.value.args[0].startswith("WebSocket frame "), (data, caught.value)


async def test_whatever_comes_in_only_oserror_comes_out():
    number = 1
    for turn in range(1_500):
        data = bytearray(MIXED if turn % 2 else b"")
        for _ in range(6):
            number = number * 1_103_515_245 + 12_345 & 0x7FFFFFFF
            at = (number >> 8) % (len(data) + 1)
            data[at:] = bytes((number >> 16 & 255,)) + bytes(data[at + turn % 2 :])
        ws, stream = socket(bytes(data), fragment=1 + turn % 50)
        stream.end()
        try:
            got = await read_all(ws, 32)
            assert len(got) <= len(data)
        except OSError:
            pass  # a broken frame
        frames(b"".join(stream.writes))


async def test_closing_closes_the_stream_itself():
    ws, stream = socket()
    ws.close()
    await ws.wait_closed()
    assert stream.closed and stream.waited


async def link_to(*said):
    """(The log, the streams) of a link with a path whose server says this and no more, for 20 s."""
    streams = []

    async def open_stream(host, port, tls):
        rig.board.moves += 1
        streams.append(Stream())
        streams[-1].say(*said)
        return streams[-1]

    async with Rig(path="/mqtt", port=8080) as rig:
        rig.board.open_stream = open_stream
        await rig.go(20_000)
        assert all([stream.closed for stream in streams[:-1]]), "a stream was left open"
    equal(streams[0].writes[0].split(b"\r\n")[:2], REQUEST[:2])
    return "\n".join(rig.board.said), streams


async def test_the_link_tells_what_is_in_the_place_of_a_websocket_and_tries_again():
    said, streams = await link_to(b"HTTP/1.1 404 Not Found\r\n\r\n")
    assert "link: no WebSocket here: HTTP/1.1 404 Not Found while connecting" in said, said
    assert len(streams) > 1, said


async def test_the_link_gives_up_a_server_that_never_answers():
    for data in (b"", head(*LINES)[:40]):
        said, streams = await link_to(data)
        assert "link: no answer in time while connecting" in said, said
        assert streams[0].closed
