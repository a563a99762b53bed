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
        self.inbox = []
        self.closed = False

    def getaddrinfo(self, host, port, family, kind):
        equal((host, port, kind), ("time.example", 123, self.SOCK_DGRAM))
        return [(2, kind, 0, "", self.server)]

    def socket(self, family, kind):
        return self

    def setblocking(self, flag):
        equal(flag, False)

    def sendto(self, packet, address):
        equal(address, self.server)
        for source, seconds in (("stranger", NOW_S + 86400), (self.server, NOW_S)):
            self.inbox.append((reply(seconds=seconds + NTP_1970_S, nonce=packet[40:48]), source))

    def recvfrom(self, limit):
        if not self.inbox:
            raise OSError(11)
        return self.inbox.pop(0)

    def close(self):
        self.closed = True


class Clock:
    """As a board: its ticks go on with each wait."""

    def __init__(self):
        self.now_ms = (1 << 30) - 30  # wraps while it waits
        self.clock_refused = 0

    def ticks_ms(self):
        return self.now_ms % (1 << 30)

    def ticks_diff(self, a, b):
        return (a - b + (1 << 29)) % (1 << 30) - (1 << 29)

    async def sleep_ms(self, ms):
        self.now_ms += ms


def test_an_answer_from_another_address_or_port_is_refused_and_counted():
    wire, clock = Wire(), Clock()
    assert abs(asyncio.run(sntp.ask(["time.example"], wire, clock)) - 1000 * NOW_S) <= 1_000
    assert wire.closed
    equal(clock.clock_refused, 3, "one for each of three samples:")


class Servers:
    """A `socket` module with servers of one name each: name -> (round trip in ms, seconds off, first byte, stratum)."""

    SOCK_DGRAM = 2

    def __init__(self, clock, servers):
        self.clock = clock
        self.servers = servers
        self.asked = []
        self.began_ms = clock.now_ms

    def getaddrinfo(self, host, port, family, kind):
        return [(2, kind, 0, "", host)]

    def socket(self, family, kind):
        return self

    def setblocking(self, flag):
        self.replies = []

    def sendto(self, packet, address):
        self.asked.append(address)
        trip_ms, off_s, first, stratum = self.servers[address]
        seconds, ms = divmod(self.clock.now_ms - self.began_ms + trip_ms // 2, 1000)
        data = reply(first=first, stratum=stratum, seconds=NOW_S + off_s + seconds + NTP_1970_S, nonce=packet[40:48])
        fraction = struct.pack(">I", (ms << 32) // 1000)
        self.replies.append((self.clock.now_ms + trip_ms, data[:44] + fraction, address))

    def recvfrom(self, limit):
        if not self.replies or self.replies[0][0] > self.clock.now_ms:
            raise OSError(11)
        return self.replies.pop(0)[1:]

    def close(self):
        pass


class Impatient(Clock):
    """Its first wait that begins later than `until_ms` is the last: whoever waits for the time has no more of it."""

    async def sleep_ms(self, ms):
        if self.now_ms > self.until_ms:
            raise asyncio.TimeoutError
        await Clock.sleep_ms(self, ms)


class Dead(Servers):
    """No name server answers: looking a name up blocks for seven seconds."""

    def getaddrinfo(self, host, port, family, kind):
        self.asked.append(host)
        self.clock.now_ms += 7_000
        raise OSError(-2)


def test_names_that_nobody_knows_do_not_block_for_longer_than_is_left():
    clock = Impatient()
    clock.until_ms = clock.now_ms + 10_000
    world = Dead(clock, {})
    with raises(asyncio.TimeoutError):
        asyncio.run(sntp.ask(["a", "b", "c", "d"], world, clock))
    equal(world.asked, ["a", "b"])


NEAR_MS = 30  # an answer is looked for each 20 ms, and its fraction of a second read to 4
YEAR_S = 366 * 86_400
GOOD = (40, 0, 0x24, 2)


def told(servers, shown_s=None, floor_s=sntp.FIRST_S):
    """(milliseconds off the truth or the error's text, how many answers were refused)."""
    clock = Clock()
    world = Servers(clock, servers)
    try:
        found = asyncio.run(sntp.ask(sorted(servers), world, clock, shown_s, floor_s))
        return found - 1000 * NOW_S - (clock.now_ms - world.began_ms), clock.clock_refused
    except OSError as error:
        return str(error), clock.clock_refused


def test_the_shortest_round_trip_of_a_few_counts():
    off, refused_count = told({"a": (1_800, 3, 0x24, 2), "b": (40, 0, 0x24, 2), "c": (900, 2, 0x24, 2)})
    assert abs(off) <= NEAR_MS, off
    equal(refused_count, 0)


def test_ten_years_off_is_refused_and_counted():
    for off_s in (10 * YEAR_S, -10 * YEAR_S):
        text, count = told({"liar": (40, off_s, 0x24, 2)}, NOW_S)
        assert "cannot be right" in text or "no time server" in text, text
        assert count > 0
        assert abs(told({"liar": (20, off_s, 0x24, 2), "good": GOOD}, NOW_S)[0]) <= NEAR_MS
        assert abs(told({"liar": (20, off_s, 0x24, 2), "good": GOOD})[0]) <= NEAR_MS, "nor by one that was never set"


def test_a_kiss_of_death_is_refused_and_counted():
    for first, stratum in ((0x24, 0), (0xE4, 2)):
        text, count = told({"kiss": (40, 0, first, stratum)})
        assert "no time server answers" in text, text
        equal(count, 1)
        assert abs(told({"kiss": (40, 0, first, stratum), "the next": GOOD})[0]) <= NEAR_MS


def test_a_clock_that_was_set_is_moved_by_little_unless_two_servers_agree():
    assert abs(told({"a": (40, 900, 0x24, 2)}, NOW_S)[0] - 900_000) <= NEAR_MS
    assert "cannot be right" in told({"a": (40, 1_200, 0x24, 2)}, NOW_S)[0]
    assert abs(told({"a": GOOD, "b": GOOD}, NOW_S + YEAR_S)[0]) <= NEAR_MS


def test_never_below_the_floor_by_one_server_alone():
    text, count = told({"late": (40, -3_600, 0x24, 2)}, None, NOW_S)
    assert "cannot be right" in text, text
    equal(count, 3)
    assert abs(told({"a": GOOD}, None, NOW_S - 4 * YEAR_S)[0]) <= NEAR_MS
    assert "cannot be right" in told({"a": GOOD}, None, NOW_S - 6 * YEAR_S)[0]
