"""The broker in memory: it does what a broker does, and takes nothing that the standard does not allow."""

import asyncio

import pytest
from scripted import readinto

from tools.sim import packets
from tools.sim.broker import Broker, Watcher
from tools.sim.loop import Loop
from tools.sim.network import Network, Path


class Notes(Watcher):
    def __init__(self):
        self.violations = []
        self.ended = []
        self.messages = []

    def violation(self, client, text):
        self.violations.append(text)

    def closed(self, session, why):
        self.ended.append((session.client_id, why))

    def published(self, session, topic, payload, qos, retain):
        self.messages.append((topic, payload))


class World:
    def __init__(self):
        self.loop = Loop()
        self.network = Network(self.loop)
        self.notes = Notes()
        self.broker = Broker(self.network, watcher=self.notes)
        self.path = Path(self.loop, "client")

    async def client(self, name=b"me", keepalive=60, extra=b"", flags=2):
        stream = await self.network.connect(self.path, "broker", 1883)
        stream.write(packed(0x10, b"\x00\x04MQTT\x04" + bytes((flags, 0, keepalive)) + field(name) + extra))
        assert await heard(stream) == b"\x20\x02\x00\x00"
        return stream


def field(data):
    return len(data).to_bytes(2, "big") + data


def packed(first, body):
    return packets.packed(first, body)


def subscribe(*filters, number=9):
    body = b"".join(field(name) + bytes((qos,)) for name, qos in filters)
    return packed(0x82, number.to_bytes(2, "big") + body)


async def heard(stream, seconds=5):
    """All that comes within some seconds, b"" for a silent peer or a closed one."""
    data, buf = b"", bytearray(10_000)
    try:
        while True:
            count = await asyncio.wait_for(readinto(stream, buf), seconds)
            if not count:
                return data
            data += buf[:count]
            seconds = 0.5
    except (asyncio.TimeoutError, OSError):
        return data


def run(test):
    world = World()
    world.loop.run(test(world))
    return world


CONNECT = packed(0x10, b"\x00\x04MQTT\x04\x02\x00\x3c" + field(b"me"))
VIOLATIONS = {
    "a packet before CONNECT": (b"\xc0\x00", "before CONNECT"),
    "another protocol": (packed(0x10, b"\x00\x06MQIsdp\x03\x02\x00\x3c" + field(b"me")), "3.1.2.1"),
    "the reserved flag": (packed(0x10, b"\x00\x04MQTT\x04\x03\x00\x3c" + field(b"me")), "3.1.2.3"),
    "no client id": (packed(0x10, b"\x00\x04MQTT\x04\x02\x00\x3c" + field(b"")), "3.1.3.1"),
    "a long client id": (packed(0x10, b"\x00\x04MQTT\x04\x02\x00\x3c" + field(b"x" * 24)), "3.1.3.1"),
    "a password alone": (packed(0x10, b"\x00\x04MQTT\x04\x42\x00\x3c" + field(b"me") + field(b"pw")), "3.1.2.9"),
    "a will to a wildcard": (
        packed(0x10, b"\x00\x04MQTT\x04\x06\x00\x3c" + field(b"me") + field(b"a/#") + field(b"")), "4.7"),
    "will QoS without a will": (packed(0x10, b"\x00\x04MQTT\x04\x0a\x00\x3c" + field(b"me")), "3.1.2.6"),
    "bytes behind the payload": (packed(0x10, b"\x00\x04MQTT\x04\x02\x00\x3c" + field(b"me") + b"x"), "3.1.3"),
    "a second CONNECT": (CONNECT * 2, "second CONNECT"),
    "flags on PINGREQ": (CONNECT + b"\xc1\x00", "2.2.2"),
    "a packet of a server": (CONNECT + b"\x20\x02\x00\x00", "2.2.1"),
    "a length of five bytes": (CONNECT + b"\x30\xff\xff\xff\xff\x01", "2.2.3"),
    "a length with a byte too many": (CONNECT + b"\x30\x85\x00\x00\x01ab\x01", "2.2.3"),
    "QoS 3": (CONNECT + packed(0x36, field(b"a") + b"\x00\x01"), "3.3.1.2"),
    "DUP at QoS 0": (CONNECT + packed(0x38, field(b"a")), "3.3.1.1"),
    "DUP in a clean session": (CONNECT + packed(0x3A, field(b"a") + b"\x00\x01"), "3.3.1.1"),
    "packet id 0": (CONNECT + packed(0x32, field(b"a") + b"\x00\x00"), "2.3.1"),
    "no packet id": (CONNECT + packed(0x32, field(b"a")), "2.3.1"),
    "a topic with a wildcard": (CONNECT + packed(0x30, field(b"a/+/b")), "4.7"),
    "an empty topic": (CONNECT + packed(0x30, field(b"")), "4.7"),
    "a topic that is not UTF-8": (CONNECT + packed(0x30, field(b"\xff")), "1.5.3"),
    "a topic with U+0000": (CONNECT + packed(0x30, field(b"a\0")), "1.5.3"),
    "a topic that is cut off": (CONNECT + packed(0x30, b"\x00\x09a"), "1.5.3"),
    "SUBSCRIBE to nothing": (CONNECT + packed(0x82, b"\x00\x01"), "3.8.3"),
    "SUBSCRIBE with QoS 3": (CONNECT + subscribe((b"a", 3)), "3.8.3.1"),
    "a filter with # inside": (CONNECT + subscribe((b"a/#/b", 1)), "4.7.1"),
    "a filter with + in a level": (CONNECT + subscribe((b"a+", 1)), "4.7.1"),
    "PUBACK for nothing": (CONNECT + b"\x40\x02\x00\x05", "4.3.2"),
    "PUBACK with more": (CONNECT + b"\x40\x03\x00\x05\x00", "3.4"),
    "DISCONNECT with a body": (CONNECT + b"\xe0\x01\x00", "3.14"),
}


@pytest.mark.parametrize("name", VIOLATIONS)
def test_what_the_standard_forbids_is_told_and_ends_the_connection(name):
    sent, section = VIOLATIONS[name]

    async def test(world):
        stream = await world.network.connect(world.path, "broker", 1883)
        stream.write(sent)
        await asyncio.sleep(5)
        with pytest.raises(OSError):
            for _ in range(3):
                stream.write(b"\xc0\x00")
                await asyncio.sleep(1)

    world = run(test)
    assert len(world.notes.violations) == 1 and section in world.notes.violations[0], world.notes.violations
    assert not world.broker.sessions


def test_packets_in_pieces_are_whole_packets():
    async def test(world):
        stream = await world.network.connect(world.path, "broker", 1883)
        for byte in CONNECT + packed(0x32, field(b"a/b") + b"\x00\x07" + b"x" * 200):
            stream.write(bytes((byte,)))
            await asyncio.sleep(0.01)
        assert await heard(stream) == b"\x20\x02\x00\x00" + b"\x40\x02\x00\x07"

    world = run(test)
    assert world.notes.messages == [("a/b", b"x" * 200)] and not world.notes.violations


def test_who_subscribes_hears_what_is_kept_and_what_comes():
    async def test(world):
        world.broker.publish("mote/a/status", b"online", 1, True)
        world.broker.publish("mote/b/status", b"offline", 1, True)
        world.broker.publish("mote/b/status", b"", 1, True)
        world.broker.publish("$SYS/x", b"1", 0, True)
        stream = await world.client()
        stream.write(subscribe((b"mote/+/status", 1), (b"#", 0)))
        got = await heard(stream)
        assert got.startswith(b"\x90\x04\x00\x09\x01\x00")
        assert got.count(b"online") == 2 and b"offline" not in got and b"$SYS" not in got
        for packet in (b"\x40\x02\x00\x01",):
            stream.write(packet)
        world.broker.publish("mote/c/status", b"new", 1)
        got = await heard(stream)
        assert got == packed(0x32, field(b"mote/c/status") + b"\x00\x02new"), "once, with the higher QoS"

    assert not run(test).notes.violations


@pytest.mark.parametrize("end, will", [("vanish", True), ("close", True), ("disconnect", False), ("silence", True)])
def test_the_will_is_published_unless_the_client_says_goodbye(end, will):
    async def test(world):
        stream = await world.client(flags=0x26, extra=field(b"w/t") + field(b"gone"), keepalive=20)
        if end == "disconnect":
            stream.write(b"\xe0\x00")
        if end in ("close", "disconnect"):
            stream.close()
        elif end == "vanish":
            world.path.vanish()
        await asyncio.sleep(29)
        assert bool(world.broker.sessions) == (end in ("vanish", "silence"))
        await asyncio.sleep(3)
        assert not world.broker.sessions, "one and a half times the keepalive"

    world = run(test)
    assert (("w/t", b"gone") in world.notes.messages) == will


def test_a_second_client_of_a_name_takes_over():
    async def test(world):
        first = await world.client()
        await world.client()
        assert await heard(first) == b""
        assert list(world.broker.sessions) == ["me"]

    assert run(test).notes.ended == [("me", "taken over")]


def test_a_frozen_broker_does_later_what_it_did_not_do_in_time():
    async def test(world):
        stream = await world.client()
        world.broker.freeze()
        stream.write(packed(0x32, field(b"a") + b"\x00\x01x"))
        assert await heard(stream) == b""
        assert not world.broker.running()
        world.broker.thaw()
        assert await heard(stream) == b"\x40\x02\x00\x01"

    run(test)


def test_a_broker_that_stops_forgets_sessions_and_if_told_to_what_it_kept():
    async def test(world):
        for forgets in (False, True):
            stream = await world.client()
            world.broker.publish("kept", b"1", 1, True)
            world.broker.forgets = forgets
            world.broker.stop()
            with pytest.raises(OSError, match="reset"):
                await readinto(stream, bytearray(1))
            with pytest.raises(OSError, match="refused"):
                await world.network.connect(world.path, "broker", 1883)
            world.broker.start()
            assert ("kept" in world.broker.kept.topics) != forgets

    assert run(test).notes.ended == [("me", "broker")] * 2


def test_a_deaf_broker_acknowledges_nothing_and_watches_the_packet_ids():
    async def test(world):
        stream = await world.client()
        world.broker.deaf = True
        stream.write(packed(0x32, field(b"a") + b"\x00\x01x"))
        assert await heard(stream) == b""
        stream.write(packed(0x32, field(b"a") + b"\x00\x01x"))
        await asyncio.sleep(1)

    assert "2.3.1" in run(test).notes.violations[0]
