"""SNTP packets, against the layout and the sanity checks of RFC 4330."""

import asyncio
import struct

import sntp
from minitest import equal, raises

NONCE = b"\x01\x02\x03\x04\xfa\xfb\xfc\xfd"
NOW_S = 1795378692
NTP_1970_S = 2208988800


def reply(first=0x24, stratum=2, seconds=NOW_S + NTP_1970_S, nonce=NONCE):
    """A server's answer: leap 0, version 4, mode 4 unless told otherwise."""
    head = bytes((first, stratum, 6, 0xEC)) + bytes(20)
    return head + nonce + struct.pack(">II", 1, 2) + struct.pack(">II", seconds & 0xFFFFFFFF, 0x80000000)


def refused(packet):
    with raises(ValueError):
        sntp.parse(packet, NONCE)


def test_request_is_a_client_of_version_4_with_the_nonce_as_its_time():
    packet = sntp.request(NONCE)
    equal(len(packet), 48)
    equal(packet[0] & 7, 3)
    equal(packet[0] >> 3 & 7, 4)
    equal(packet[40:], NONCE)
    equal(sum(packet[1:40]), 0)


def test_time_is_read_whole():
    equal(sntp.parse(reply(), NONCE), NOW_S)
    equal(sntp.parse(bytearray(reply()), NONCE), NOW_S)
    equal(sntp.parse(reply() + b"authenticator", NONCE), NOW_S)


def test_any_version_a_server_answers_with_counts():
    for version in (1, 3, 4):
        equal(sntp.parse(reply(first=version << 3 | 4), NONCE), NOW_S)


def test_the_count_that_begins_anew_in_2036():
    last = (1 << 32) - 1
    equal(sntp.parse(reply(seconds=last), NONCE), 2085978495)
    equal(sntp.parse(reply(seconds=last + 2), NONCE), 2085978497)  # the second between means unknown


def test_an_answer_to_somebody_else_is_refused():
    refused(reply(nonce=bytes(8)))
    refused(reply(nonce=NONCE[4:] + NONCE[:4]))


def test_what_is_no_servers_answer_is_refused():
    refused(b"")
    refused(reply()[:47])
    for mode in (0, 1, 2, 3, 5, 6, 7):
        refused(reply(first=0x20 | mode))


def test_a_server_without_a_clock_is_refused():
    refused(reply(first=0xE4))
    for stratum in (0, 16, 255):
        refused(reply(stratum=stratum))


def test_a_year_before_this_code_or_far_away_is_refused():
    refused(reply(seconds=0))
    for unix_s in (0, 946684800, sntp.FIRST_S - 1, sntp.LAST_S):
        refused(reply(seconds=unix_s + NTP_1970_S))
    equal(sntp.parse(reply(seconds=sntp.FIRST_S + NTP_1970_S), NONCE), sntp.FIRST_S)
    equal(sntp.parse(reply(seconds=sntp.LAST_S - 1 + NTP_1970_S), NONCE), sntp.LAST_S - 1)


class Wire:
    """A `socket` module whose one server answers truly, but first a stranger does, who knows the nonce."""

    SOCK_DGRAM = 2
    server = "server"

    def __init__(self):
        self.peer = None
        self.inbox = []
        self.closed = False

    def getaddrinfo(self, host, port, family, kind):
        equal((host, port, kind), ("time.example", 123, self.SOCK_DGRAM))
        return [(2, kind, 0, "", self.server)]

    def socket(self, family, kind):
        return self

    def setblocking(self, flag):
        equal(flag, False)

    def connect(self, address):
        self.peer = address

    def send(self, packet):
        for source, seconds in (("stranger", NOW_S + 86400), (self.server, NOW_S)):
            if self.peer in (None, source):  # as an operating system delivers to a connected socket
                self.inbox.append(reply(seconds=seconds + NTP_1970_S, nonce=packet[40:48]))

    def sendto(self, packet, address):
        self.send(packet)

    def recv(self, limit):
        if not self.inbox:
            raise OSError(11)
        return self.inbox.pop(0)

    def close(self):
        self.closed = True


async def at_once(ms):
    pass


def test_an_answer_from_another_address_is_never_seen():
    wire = Wire()
    equal(asyncio.run(sntp.ask(["time.example"], wire, at_once)), NOW_S)
    assert wire.closed
