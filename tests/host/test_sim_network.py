"""Every fault of the simulated network: what the node's end and the other end then see."""

import asyncio

import pytest
from scripted import readinto

from tools.sim.loop import Loop
from tools.sim.network import SEND_BYTES, Network, Path


class End(asyncio.Protocol):
    """The far end of a connection, which remembers."""

    def __init__(self):
        self.data = b""
        self.events = []

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.data += data

    def eof_received(self):
        self.events.append("eof")

    def connection_lost(self, error):
        self.events.append(type(error).__name__)


def connected(use):
    """Run use(path, stream, end) with a connection to an End."""
    loop = Loop()
    network, path = Network(loop), Path(loop, "node")
    ends = []

    def make():
        ends.append(End())
        return ends[-1]

    async def main():
        network.listen("server", 1, make)
        stream = await network.connect(path, "server", 1)
        await use(path, stream, ends[0])

    loop.run(main())


async def read(stream, size=100):
    buf = bytearray(size)
    return bytes(buf[:await readinto(stream, buf)])


def test_bytes_take_the_time_of_the_way():
    async def use(path, stream, end):
        path.latency_us = 40_000
        stream.write(b"there")
        await asyncio.sleep(0.039)
        assert end.data == b""
        await asyncio.sleep(0.002)
        assert end.data == b"there"
        end.transport.write(b"and back")
        assert await read(stream) == b"and back"

    connected(use)


def test_a_shorter_way_overtakes_nothing():
    async def use(path, stream, end):
        path.latency_us = 1_000_000
        stream.write(b"first ")
        path.latency_us = 1_000
        stream.write(b"second")
        await asyncio.sleep(2)
        assert end.data == b"first second"

    connected(use)


def test_a_blocked_way_loses_nothing_but_time():
    async def use(path, stream, end):
        path.block()
        stream.write(b"late")
        end.transport.write(b"too")
        await asyncio.sleep(600)
        assert end.data == b"" and not end.events
        path.open()
        await asyncio.sleep(2)
        assert end.data == b"late"
        assert await read(stream) == b"too"

    connected(use)


def test_what_is_given_up_on_a_blocked_way_never_arrives():
    async def use(path, stream, end):
        path.block()
        stream.write(b"never")
        stream.close()
        path.open()
        await asyncio.sleep(10)
        assert end.data == b"" and not end.events
        end.transport.write(b"anybody?")
        await asyncio.sleep(1)
        assert end.events == ["ConnectionResetError"]

    connected(use)


def test_a_forgotten_connection_is_dead_and_a_new_one_is_not():
    async def use(path, stream, end):
        path.forget()
        stream.write(b"lost")
        end.transport.write(b"lost")
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(read(stream), 100)
        assert end.data == b"" and not end.events
        other = await asyncio.get_running_loop().network.connect(path, "server", 1)
        other.write(b"x")
        await other.drain()

    connected(use)


def test_a_reset_is_told_to_both_ends():
    async def use(path, stream, end):
        path.reset()
        with pytest.raises(OSError, match="reset"):
            await read(stream)
        with pytest.raises(OSError, match="reset"):
            stream.write(b"x")
        await asyncio.sleep(0)
        assert end.events == ["ConnectionResetError"]

    connected(use)


def test_a_node_that_lost_its_power_tells_nobody():
    async def use(path, stream, end):
        stream.write(b"on its way")
        path.vanish()
        await asyncio.sleep(3_600)
        assert end.data == b"" and not end.events

    connected(use)


def test_a_writer_waits_when_nobody_reads():
    async def use(path, stream, end):
        end.transport.pause_reading()
        stream.write(bytes(SEND_BYTES))
        await stream.drain()
        stream.write(b"more")
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(stream.drain(), 60)
        end.transport.resume_reading()
        await stream.drain()
        await asyncio.sleep(1)
        assert len(end.data) == SEND_BYTES + 4

    connected(use)


def test_connecting_fails_as_the_place_demands():
    loop = Loop()
    network, path = Network(loop), Path(loop, "node")

    async def main():
        with pytest.raises(OSError, match="refused"):
            await network.connect(path, "nobody", 1)
        network.silence("off")
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(network.connect(path, "off", 1), 60)
        server = network.listen("here", 1, End)
        with pytest.raises(OSError, match="taken"):
            network.listen("here", 1, End)
        path.names["broker"] = "here"
        (await network.connect(path, "broker", 1)).close()
        server.close()
        with pytest.raises(OSError, match="refused"):
            await network.connect(path, "broker", 1)
        path.block()
        waiting = loop.create_task(network.connect(path, "here", 1))
        network.listen("here", 1, End)
        await asyncio.sleep(60)
        assert not waiting.done()
        path.open()
        await waiting
        assert path.attempts == 5

    loop.run(main())
