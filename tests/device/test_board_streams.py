"""The contract of a board's streams, run over every board there is, on both Pythons."""

import asyncio

from boards import Server, echo, hang_up, on_every_board
from minitest import equal, raises
from scripted import readinto

UNUSED_PORT = 1  # tcpmux: nobody listens


async def with_stream(board, serve, use):
    """Open a stream to a server that does `serve`, and `use(stream)` it within a deadline."""
    async with Server(serve) as port:
        stream = await asyncio.wait_for(board.open_stream("127.0.0.1", port, None), 5)
        try:
            await asyncio.wait_for(use(stream), 10)
        finally:
            stream.close()
            await stream.wait_closed()


async def read_exactly(stream, count):
    data = bytearray(count)
    done = 0
    while done < count:
        got = await readinto(stream, memoryview(data)[done:])
        assert got, "closed after %d bytes" % done
        done += got
    return bytes(data)


async def test_a_stream_carries_bytes_of_every_type():
    async def use(stream):
        for piece in (b"bytes", bytearray(b"bytearray"), memoryview(b"view")[1:3]):
            stream.write(piece)
        await stream.drain()
        equal(await read_exactly(stream, 16), b"bytesbytearrayie")

    async def check(board):
        await with_stream(board, echo, use)

    await on_every_board(check)


async def test_a_write_copies_what_the_socket_does_not_take():
    size = 400_000
    taken = []

    async def take(reader, writer):
        await asyncio.sleep(0.05)
        while sum(taken) < size:
            data = await reader.read(4096)
            assert data and data.count(b"m") == len(data)
            taken.append(len(data))
        writer.write(b"k")
        await writer.drain()

    async def use(stream):
        taken.clear()
        buf = bytearray(b"m" * 4000)
        for _ in range(size // 4000):
            buf[:] = b"m" * 4000
            stream.write(buf)
            buf[:] = b"x" * 4000
        await stream.drain()
        equal(await read_exactly(stream, 1), b"k")

    async def check(board):
        await with_stream(board, take, use)

    await on_every_board(check)


async def test_a_read_at_a_closed_peer_is_0_each_time():
    async def bye(reader, writer):
        writer.write(b"bye")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def use(stream):
        equal(await read_exactly(stream, 3), b"bye")
        for _ in range(3):
            equal(await readinto(stream, bytearray(10)), 0)

    async def check(board):
        await with_stream(board, bye, use)

    await on_every_board(check)


async def test_a_write_after_the_peer_has_reset_raises():
    async def use(stream):
        stream.write(b"two bytes at least")
        await stream.drain()
        with raises(OSError):
            for _ in range(100):
                await asyncio.sleep(0.01)
                stream.write(b"more")
                await stream.drain()
        with raises(OSError):
            stream.write(b"and again")

    async def check(board):
        await with_stream(board, hang_up, use)

    await on_every_board(check)


async def test_a_read_waits_and_can_be_given_up():
    async def use(stream):
        with raises(asyncio.TimeoutError):
            await asyncio.wait_for(readinto(stream, bytearray(1)), 0.05)
        stream.write(b"!")
        await stream.drain()
        equal(await read_exactly(stream, 1), b"!")

    async def check(board):
        await with_stream(board, echo, use)

    await on_every_board(check)


async def test_a_stream_closes_twice_without_a_word():
    async def use(stream):
        stream.close()
        await stream.wait_closed()
        with raises(OSError):
            stream.write(b"x")

    async def check(board):
        await with_stream(board, echo, use)

    await on_every_board(check)


async def test_nobody_listening_and_no_such_host_raise():
    async def check(board):
        for host, port in (("127.0.0.1", UNUSED_PORT), ("no..host", 1883)):
            with raises(OSError) as caught:
                await asyncio.wait_for(board.open_stream(host, port, None), 5)
            assert str(caught.value), "an error without a word"

    await on_every_board(check)


async def test_tls_without_a_ca_or_a_name_is_refused():
    async def check(board):
        for tls in ({}, {"ca": None}, {"ca": "/no/such/file"}):
            with raises(OSError):
                await board.open_stream("127.0.0.1", UNUSED_PORT, tls)

    await on_every_board(check)
