"""The proxy itself: each fault does what its name says, on plain sockets, before any node is blamed."""

import socket
import time

import pytest

from . import frames
from .proxy import DOWN, UP, Proxy

LIMIT_S = 5
CONNECT = b"\x10\x13\x00\x04MQTT\x04\x02\x00\x05\x00\x07esp32-a"
PUBLISH = b"\x32\x0b\x00\x05a/b/c\x00\x07hi"
SILENCE_S = 0.15  # long against loopback, short against a test run


class Pair:
    """A node's socket and the broker's socket of one connection through a proxy."""

    def __init__(self, proxy, listener):
        self.node = socket.create_connection(("127.0.0.1", proxy.port), LIMIT_S)
        self.broker, _ = listener.accept()
        proxy.wait(proxy.connections, LIMIT_S, "link")
        for end in (self.node, self.broker):
            end.settimeout(LIMIT_S)

    def close(self):
        self.node.close()
        self.broker.close()


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(LIMIT_S)
        yield server


@pytest.fixture
def proxy(listener):
    with Proxy(listener.getsockname()[1]) as proxy:
        yield proxy


@pytest.fixture
def pair(proxy, listener):
    pair = Pair(proxy, listener)
    yield pair
    pair.close()


def received(end, size):
    data = b""
    while len(data) < size:
        data += end.recv(size - len(data))
    return data


def silent(end):
    """True when nothing arrives for a while and the connection is open."""
    end.settimeout(SILENCE_S)
    try:
        return end.recv(1) is None
    except TimeoutError:
        return True
    finally:
        end.settimeout(LIMIT_S)


def test_bytes_pass_both_ways_and_frames_are_recorded(proxy, pair):
    pair.node.sendall(CONNECT + PUBLISH)
    assert received(pair.broker, len(CONNECT + PUBLISH)) == CONNECT + PUBLISH
    pair.broker.sendall(frames.puback(7))
    assert received(pair.node, 4) == frames.puback(7)
    attempt = proxy.wait_attempt(LIMIT_S)
    assert (attempt.connect.client_id, attempt.connect.keepalive_s, attempt.connect.clean) == ("esp32-a", 5, True)
    published = proxy.wait_frame("PUBLISH", UP, LIMIT_S).frame
    assert (published.topic, published.packet_id, published.qos, published.payload) == ("a/b/c", 7, 1, b"hi")
    assert proxy.wait_frame("PUBACK", DOWN, LIMIT_S).frame.packet_id == 7


def test_closed_gate_refuses_and_open_gate_keeps_the_port(proxy, listener):
    port = proxy.port
    proxy.close_gate()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), LIMIT_S)
    proxy.open_gate()
    assert proxy.port == port
    Pair(proxy, listener).close()


def test_held_gate_keeps_a_connection_until_it_opens(proxy, listener):
    proxy.hold_gate()
    node = socket.create_connection(("127.0.0.1", proxy.port), LIMIT_S)
    node.sendall(CONNECT)
    assert silent(node) and proxy.connections() == 0
    proxy.open_gate()
    broker, _ = listener.accept()
    assert received(broker, len(CONNECT)) == CONNECT
    node.close()
    broker.close()


def test_held_connection_that_gives_up_never_reaches_the_broker(proxy, listener):
    proxy.hold_gate()
    socket.create_connection(("127.0.0.1", proxy.port), LIMIT_S).close()
    proxy.wait(lambda: proxy.accepted, LIMIT_S, "connection")
    proxy.open_gate()
    listener.settimeout(SILENCE_S)
    with pytest.raises(socket.timeout):
        listener.accept()


def test_freeze_holds_bytes_back_and_heal_delivers_them(proxy, pair):
    proxy.freeze(UP)
    pair.node.sendall(PUBLISH)
    assert silent(pair.broker)
    pair.broker.sendall(frames.puback(1))
    assert received(pair.node, 4) == frames.puback(1)
    proxy.heal()
    assert received(pair.broker, len(PUBLISH)) == PUBLISH


def test_blackhole_loses_bytes_and_keeps_the_connection(proxy, pair):
    proxy.blackhole()
    pair.node.sendall(PUBLISH)
    proxy.wait_frame("PUBLISH", UP, LIMIT_S)
    assert silent(pair.broker)
    proxy.heal()
    pair.node.sendall(PUBLISH)
    assert received(pair.broker, len(PUBLISH)) == PUBLISH and silent(pair.broker)


def test_reset_is_seen_as_an_error_by_both_ends(proxy, pair):
    pair.node.sendall(b"\xc0\x00")
    received(pair.broker, 2)
    proxy.reset()
    for end in (pair.node, pair.broker):
        with pytest.raises(ConnectionResetError):
            end.recv(1)


def test_half_close_ends_one_direction_only(proxy, pair):
    pair.node.sendall(b"\xc0\x00")
    received(pair.broker, 2)
    proxy.half_close(DOWN)
    assert pair.node.recv(1) == b""
    pair.node.sendall(PUBLISH)
    assert received(pair.broker, len(PUBLISH)) == PUBLISH


def test_end_of_one_side_reaches_the_other(proxy, pair):
    pair.broker.close()
    assert pair.node.recv(1) == b""
    pair.node.close()
    proxy.wait(lambda: proxy.connections() == 0, LIMIT_S, "end of the link")


def test_drip_gives_one_byte_at_a_time(proxy, pair):
    proxy.drip(0.01, DOWN)
    pair.broker.sendall(PUBLISH)
    pieces = []
    while sum(map(len, pieces)) < len(PUBLISH):
        pieces.append(pair.node.recv(100))
    assert b"".join(pieces) == PUBLISH and len(pieces) > len(PUBLISH) // 2


def test_cut_after_n_bytes_cuts_inside_a_frame(proxy, pair):
    proxy.cut_after(5, DOWN)
    pair.broker.sendall(PUBLISH)
    got = b""
    with pytest.raises(ConnectionResetError):
        while True:
            got += pair.node.recv(100)
    assert PUBLISH.startswith(got) and len(got) <= 5


def test_delay_takes_its_time_and_keeps_the_order(proxy, pair):
    proxy.delay(1, DOWN)
    start = time.monotonic()
    pair.broker.sendall(frames.puback(1))
    pair.broker.sendall(frames.puback(2))
    assert received(pair.node, 8) == frames.puback(1) + frames.puback(2)
    assert 1 <= time.monotonic() - start < 2, "one after the other would take two"


def test_delayed_frames_die_with_their_sender(proxy, pair):
    proxy.delay(0.3, DOWN)
    pair.broker.sendall(frames.puback(1))
    proxy.wait_frame("PUBACK", DOWN, LIMIT_S)
    pair.broker.close()
    assert pair.node.recv(4) == b""


def test_swallow_takes_the_kth_puback_only(proxy, pair):
    struck = proxy.swallow("PUBACK", DOWN, nth=2)
    for packet_id in (1, 2, 3):
        pair.broker.sendall(frames.puback(packet_id))
    assert received(pair.node, 8) == frames.puback(1) + frames.puback(3)
    assert struck.is_set()


def test_corrupt_changes_one_frame(proxy, pair):
    proxy.corrupt("PUBACK", DOWN, lambda data: bytes((0xFF,)) + data[1:])
    pair.broker.sendall(frames.puback(1) + frames.puback(2))
    assert received(pair.node, 8) == b"\xff\x02\x00\x01" + frames.puback(2)


def test_inject_stands_between_frames(proxy, pair):
    pair.broker.sendall(frames.puback(1)[:2])
    proxy.inject(frames.puback(99), DOWN)
    assert received(pair.node, 4) == frames.puback(99)
    pair.broker.sendall(frames.puback(1)[2:])
    assert received(pair.node, 4) == frames.puback(1)


def test_what_is_no_mqtt_passes_as_it_is(proxy, pair):
    pair.broker.sendall(b"HTTP/1.1 302 Found\r\n\r\n")
    assert received(pair.node, 22) == b"HTTP/1.1 302 Found\r\n\r\n"


def test_missing_broker_looks_like_one_that_hangs_up(proxy, listener):
    listener.close()
    node = socket.create_connection(("127.0.0.1", proxy.port), LIMIT_S)
    assert node.recv(1) == b""
    node.close()


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_splitter_is_blind_to_fragmentation(size):
    stream = CONNECT + PUBLISH + b"\xc0\x00" + b"\x30\x87\x01\x00\x01t" + bytes(132)
    splitter = frames.Splitter()
    pieces = [piece for at in range(0, len(stream), size) for piece in splitter.feed(stream[at:at + size])]
    assert [frames.frame(piece).name for piece in pieces] == ["CONNECT", "PUBLISH", "PINGREQ", "PUBLISH"]
    assert splitter.rest() == b""
