"""A link with a round-trip time: nothing comes early, nothing is lost, and the span of a connection is seen."""

import os
import socket
import struct
import subprocess
import sys

import pytest

from tools import slow_link

RTT_MS = 60
MARGIN_MS = 1  # clocks are read on both sides of a system call
LIMIT_S = 20

# Connects, has its question answered, says one thing more; prints the milliseconds of both.
CLIENT = """
import socket, sys, time
began = time.monotonic()
with socket.create_connection((sys.argv[1], int(sys.argv[2])), 10) as line:
    opened = time.monotonic()
    line.sendall(b"question")
    assert line.recv(100) == b"answer"
    print((opened - began) * 1000, (time.monotonic() - opened) * 1000)
    line.sendall(b"bye")
"""


def talk(link):
    """One conversation over a link: milliseconds of opening it, of the question, and of the span that the link saw."""
    with link, link.far(), socket.create_server((link.host, 0)) as server:
        address = link.address(server.getsockname()[1])
        client = subprocess.Popen(
            link.near([sys.executable, "-c", CLIENT, *map(str, address)]), stdout=subprocess.PIPE, text=True)
        server.settimeout(LIMIT_S)
        with server.accept()[0] as line:
            assert line.recv(100) == b"question"
            line.sendall(b"answer")
            assert line.recv(100) == b"bye"
            assert line.recv(100) == b""
        opened_ms, answered_ms = map(float, client.communicate(timeout=LIMIT_S)[0].split())
        return opened_ms, answered_ms, link.span_ms()


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="namespaces take root")
def test_between_namespaces_the_handshake_and_every_answer_take_a_round_trip():
    try:
        link = slow_link.Link(RTT_MS)
        opened_ms, answered_ms, span_ms = talk(link)
    except slow_link.errors.UserError as error:
        pytest.skip(str(error))
    assert opened_ms >= RTT_MS - MARGIN_MS and answered_ms >= RTT_MS - MARGIN_MS
    assert span_ms >= 2 * RTT_MS - MARGIN_MS


def test_through_the_proxy_every_answer_takes_a_round_trip():
    _, answered_ms, span_ms = talk(slow_link.Proxy(RTT_MS))
    assert answered_ms >= RTT_MS - MARGIN_MS
    assert span_ms >= 2 * RTT_MS - MARGIN_MS  # with the handshake that it leaves out


def test_the_best_link_says_what_it_is():
    assert slow_link.best(RTT_MS).kind in (slow_link.Link.kind, slow_link.Proxy.kind)


def packet(flags, data=b"", protocol=socket.IPPROTO_TCP):
    """An IPv4 packet with an IP header of 24 bytes and a TCP header of 32."""
    tcp = struct.pack("!HHIIBBHHH12x", 1, 2, 0, 0, 8 << 4, flags, 0, 0, 0)
    return bytes((0x46, 0)) + bytes(7) + bytes((protocol,)) + bytes(14) + tcp + data


SYN, ACK, FIN, RST = 2, 16, 1, 4


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass only when a test says so."""
    now = [100.0]
    monkeypatch.setattr(slow_link.time, "monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize("end", [FIN | ACK, RST])
def test_a_span_is_from_the_first_packet_to_the_last_data(clock, end):
    span = slow_link._Span()
    steps = ((0.0, packet(SYN)), (0.1, packet(ACK)), (0.2, packet(ACK, b"data")), (0.5, packet(ACK)))
    for later_s, data in steps:
        clock[0] = 100.0 + later_s
        assert span.see(data) is None
    assert span.see(packet(end)) == pytest.approx(200)
    assert span.see(packet(end)) is None


def test_a_span_counts_a_second_try_to_connect_and_data_in_the_last_packet(clock):
    span = slow_link._Span()
    span.see(packet(SYN))
    clock[0] += 1
    span.see(packet(SYN))
    clock[0] += 1
    assert span.see(packet(FIN | ACK, b"bye")) == pytest.approx(2_000)


def test_other_protocols_have_no_span():
    assert slow_link._Span().see(packet(SYN, protocol=socket.IPPROTO_UDP)) is None
    assert slow_link._Span().see(b"\x60" + bytes(60)) is None


def test_what_is_delayed_comes_late_and_in_order(clock):
    line = slow_link._Delay(0.5)
    assert line.left_s() is None
    for number in (1, 2):
        line.put(number)
        clock[0] += 0.25
    assert list(line.due()) == [1]
    assert line.left_s() == pytest.approx(0.25)
    clock[0] += 0.25
    assert list(line.due()) == [2] and line.left_s() is None
