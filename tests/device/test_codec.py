"""MQTT packets against the bytes, figures and tables of the standard "MQTT Version 3.1.1"."""

import random

import mqtt
import mqtt_packets
from minitest import equal, raises
from mqtt import MQTTError
from mqtt_writer import Writer, encoded, put_packet
from scripted import Stream, field, packet, packets, publish, two

CASES = 4000
SEED = 20140  # printed when a case fails

# Table 2.4 with the digits it gives, and the neighbours of every boundary.
LENGTHS = (
    (0, b"\x00"),
    (1, b"\x01"),
    (127, b"\x7f"),
    (128, b"\x80\x01"),
    (129, b"\x81\x01"),
    (321, b"\xc1\x02"),  # the example in section 2.2.3: 65 + 2 * 128
    (16_383, b"\xff\x7f"),
    (16_384, b"\x80\x80\x01"),
    (2_097_151, b"\xff\xff\x7f"),
    (2_097_152, b"\x80\x80\x80\x01"),
    (268_435_455, b"\xff\xff\xff\x7f"),
)

# "A" and U+2A6D4, as figure 1.2 has it in UTF-8 with its length.
FIGURE_1_2 = b"\x00\x05A\xf0\xaa\x9b\x94"

# Figure 3.6: protocol name, level 4, every flag but will retain and reserved with will QoS 1, keep alive 10.
FIGURE_3_6 = bytes((0, 4)) + b"MQTT" + bytes((4, 0b11001110, 0, 10))


def test_remaining_length_of_table_2_4():
    for length, digits in LENGTHS:
        if length < 20_000:
            equal(bytes(mqtt_packets.packet(0xE0, [b"x" * length])), b"\xe0" + digits + b"x" * length)


def test_remaining_length_is_read_back():
    for length, digits in LENGTHS:
        for before in (b"", b"\xff\xff\xff"):
            buffer = before + b"\xd0" + digits + b"\xff" * 5
            at = len(before)
            equal(mqtt.fixed_header(buffer, at, len(buffer)), length << 3 | 1 + len(digits))


def test_a_length_that_is_not_all_there_is_waited_for():
    for _, digits in LENGTHS:
        whole = b"\xd0" + digits
        for end in range(len(whole)):
            equal(mqtt.fixed_header(whole, 0, end), 0, "%r up to %d:" % (whole, end))
        equal(mqtt.fixed_header(whole, 0, len(whole)) & 7, len(whole))


def test_a_length_of_five_bytes_is_refused():
    for digits in (b"\xff\xff\xff\xff", b"\x80\x80\x80\x80\x01", b"\x80\x80\x80\x80\x80\x01"):
        for before in (b"", b"\x00\x00"):
            buffer = before + b"\x30" + digits
            with raises(MQTTError):
                mqtt.fixed_header(buffer, len(before), len(buffer))


def test_a_string_of_figure_1_2():
    equal(mqtt_packets.field("A\U0002a6d4"), FIGURE_1_2)
    equal(taken_apart(b"\x30\x07" + FIGURE_1_2)[0], "A\U0002a6d4")
    equal(encoded(b"\xff"), b"\xff")


def test_a_byte_order_mark_stays():
    equal(taken_apart(publish(b"\xef\xbb\xbfa"))[0], "\ufeffa")  # 1.5.3-3


def test_a_long_field_has_both_bytes_of_its_length():
    for size in (255, 256, 65_535):
        equal(mqtt_packets.field(b"x" * size), two(size) + b"x" * size)


def test_connect_of_figure_3_6():
    found = mqtt_packets.connect("id", 10, "user", b"pass\xff", ("w", "off", False, 1))
    body = FIGURE_3_6 + field("id") + field("w") + field("off") + field("user") + field(b"pass\xff")
    equal(bytes(found), bytes((0x10, len(body))) + body)


def connect_flags(**options):
    return mqtt_packets.connect("i", 1, **options)[9]


def test_connect_flags_one_by_one():
    equal(connect_flags(), 0x02)
    equal(connect_flags(clean=False), 0x00)
    equal(connect_flags(user="u"), 0x82)
    equal(connect_flags(user=""), 0x82)
    equal(connect_flags(user="u", password="p"), 0xC2)
    equal(connect_flags(user="u", password=""), 0xC2)
    equal(connect_flags(will=("t", "", False, 0)), 0x06)
    equal(connect_flags(will=("t", "", False, 1)), 0x0E)
    equal(connect_flags(will=("t", "", False, 2)), 0x16)
    equal(connect_flags(will=("t", "", True, 0)), 0x26)
    equal(connect_flags(will=("t", "", True, 1), clean=False, user="u", password="p"), 0xEC)


def test_a_password_without_a_user_is_left_out():
    # 3.1.2.9: "If the User Name Flag is set to 0, the Password Flag MUST be set to 0"
    equal(mqtt_packets.connect("i", 1, None, "p"), mqtt_packets.connect("i", 1))


def test_connect_payload_has_the_order_of_3_1_3():
    fixed = b"\x10\x27\x00\x04MQTT\x04"
    found = mqtt_packets.connect(
        client_id="me", keepalive_s=60, user="u\xe9", password="", will=("a/b", b"\x00", True, 1))
    tail = field("me") + b"\x00\x03a/b" + b"\x00\x01\x00" + b"\x00\x03u\xc3\xa9" + b"\x00\x00"
    equal(bytes(found[:9]), fixed[:1] + bytes((10 + len(tail),)) + fixed[2:])
    equal(bytes(found[9:12]), b"\xee\x00\x3c")
    equal(bytes(found[12:]), tail)
    equal(bytes(mqtt_packets.connect("", 65_535)), b"\x10\x0c\x00\x04MQTT\x04\x02\xff\xff\x00\x00")


def test_a_connect_longer_than_127_bytes():
    for size in (115, 116, 117, 600, 17_000):
        equal(bytes(mqtt_packets.connect("x" * size, 258)),
              packet(0x10, b"\x00\x04MQTT\x04\x02\x01\x02", field("x" * size)))


def test_subscribe_of_figure_3_23():
    # "a/b" at QoS 1 and "c/d" at QoS 2; packet identifier 10 as in figure 3.21
    equal(bytes(mqtt_packets.subscribe(10, (("a/b", 1), ("c/d", 2)))),
          b"\x82\x0e\x00\x0a\x00\x03a/b\x01\x00\x03c/d\x02")


def test_subscribe_with_long_and_foreign_filters():
    filters = (("+/\xfc/#", 0), (b"x" * 300, 1), ("y", 1))
    body = two(65_535) + field("+/\xfc/#") + b"\x00" + field("x" * 300) + b"\x01" + field("y") + b"\x01"
    equal(bytes(mqtt_packets.subscribe(65_535, filters)), packet(0x82, body))


def test_unsubscribe_of_figure_3_30():
    equal(bytes(mqtt_packets.unsubscribe(10, ("a/b", "c/d"))), b"\xa2\x0c\x00\x0a\x00\x03a/b\x00\x03c/d")


def header(topic, size, retain=False, qos=0, number=0, dup=False):
    """The PUBLISH header before a payload of so many bytes."""
    stream = Stream()
    writer = Writer(stream, 8)
    writer._name(topic)
    writer.next = number
    put_packet(writer, b"", size, 0x30 + retain + 2 * qos + 8 * dup)
    writer.flush()
    return b"".join(stream.writes)


def test_publish_of_figure_3_11():
    # Topic "a/b", packet identifier 10
    equal(header(b"a/b", 0, qos=1, number=10), b"\x32\x07\x00\x03a/b\x00\x0a")
    equal(header(b"a/b", 5), b"\x30\x0a\x00\x03a/b")


def test_publish_flags_of_figure_3_10():
    for retain in (False, True):
        for qos in (0, 1):
            for dup in (False, True):
                found = header(b"t", 0, retain, qos, 1, dup)
                equal(found[0], 0b00110000 + retain + 2 * qos + 8 * dup)
                equal(len(found), 7 if qos else 5)


def test_publish_header_counts_the_payload():
    for length, digits in LENGTHS[1:]:
        for qos in (0, 1):
            topic = b"x" * min(100, length - 2 - 2 * qos)
            if len(topic) < 1:
                continue
            rest = 2 * qos + 2 + len(topic)
            found = header(topic, length - rest, False, qos, 258)
            equal(found, bytes((0x30 + 2 * qos,)) + digits + field(topic) + (b"\x01\x02" if qos else b""))


def test_a_packet_id_is_two_bytes_and_not_zero():
    equal(mqtt.packet_id(b"\x00\x01", 0, 2), 1)
    equal(mqtt.packet_id(b"??\xff\xfe??", 2, 6), 65_534)
    equal(mqtt.packet_id(b"\x01\x00", 0, 2), 256)
    for data, at, end in ((b"\x00\x00", 0, 2), (b"\x01\x01", 0, 1), (b"\x01\x01", 0, 0), (b"\x01\x01", 1, 2)):
        with raises(MQTTError):
            mqtt.packet_id(data, at, end)


def taken_apart(whole):
    start = mqtt.fixed_header(whole, 0, len(whole)) & 7
    return mqtt.published(whole, whole[0], start, len(whole))


def test_a_publish_is_taken_apart():
    for topic in ("t", "a/b", "\xe4/\u20ac/\U0001f600", "x" * 300):
        for payload in (b"", b"\x00", b"hello"):
            for make in (bytes, bytearray, memoryview):
                for retain in (False, True):
                    whole = make(publish(topic, payload, 0, 0, retain))
                    equal(taken_apart(whole), (topic, 0, len(whole) - len(payload)))
                whole = make(publish(topic, payload, 1, 4660, dup=True))
                equal(taken_apart(whole), (topic, 4660, len(whole) - len(payload)))


def refused(whole):
    with raises(MQTTError):
        taken_apart(whole)


def test_a_publish_that_a_server_may_not_send_is_refused():
    refused(b"\x30\x00")  # no topic at all
    refused(b"\x30\x01\x00")  # half a topic length
    refused(b"\x30\x02\x00\x00")  # 4.7.3: at least one character
    refused(b"\x30\x04\x00\x03ab")  # topic beyond the packet
    refused(b"\x30\x04\xff\xffab")
    refused(b"\x32\x03\x00\x01t")  # QoS 1 without a packet id
    refused(b"\x32\x04\x00\x01t\x01")  # with half of one
    refused(publish("t", b"x", 1, 0))  # 2.3.1: zero
    refused(publish("t", b"x", 2, 1))  # nobody asked for QoS 2
    refused(publish("t", b"x", 3, 1))  # 3.3.1.2: both bits set


def test_a_topic_that_is_not_utf_8_is_refused():
    for bad in (b"\xff", b"a\x80", b"\xc3", b"\xe2\x82", b"ok\xfe"):
        refused(publish(bad, b"x"))


def test_the_error_is_one_that_links_expect():
    assert issubclass(MQTTError, OSError)
    equal(MQTTError("refused", 5).args, ("refused", 5))


class Window:
    """A buffer that knows its end and what was written into it: a look beyond is a failure, not a stray byte."""

    def __init__(self, data):
        self._data = data

    def __getitem__(self, key):
        if isinstance(key, slice):
            assert 0 <= key.start <= key.stop <= len(self._data), "slice %d:%d" % (key.start, key.stop)
        else:
            assert 0 <= key < len(self._data), "index %d of %d" % (key, len(self._data))
        return self._data[key]


def valid(dice):
    """A packet that a server may send."""
    number = dice.choice((1, 2, 255, 256, 65_535))
    return dice.choice((
        lambda: b"\x20\x02" + bytes((dice.randrange(2), dice.randrange(6))),
        lambda: packet(0x40, two(number)),
        lambda: packet(0x90, two(number), bytes((1, 128))),
        lambda: packet(0xB0, two(number)),
        lambda: b"\xd0\x00",
        lambda: publish("t" * dice.choice((1, 3, 120, 125)), bytes(dice.randrange(140)), dice.randrange(2), number),
        lambda: publish("\u20ac/\xe4", b"\x80" * dice.randrange(4), 1, number, retain=True),
    ))()


def mutated(dice, whole):
    """One of: a byte changed, cut, lengthened, the length field replaced, two packets run together."""
    at = dice.randrange(len(whole))
    kind = dice.randrange(6)
    if kind == 0:
        return whole[:at] + bytes((dice.randrange(256),)) + whole[at + 1:]
    if kind == 1:
        return whole[:at]
    if kind == 2:
        return whole + bytes(dice.randrange(5))
    if kind == 3:
        return whole[:1] + bytes(dice.choice((0, 1, 127, 128, 255)) for _ in range(dice.randrange(6))) + whole[2:]
    if kind == 4:
        return whole + valid(dice)
    return whole[:2] + bytes((dice.randrange(256), dice.randrange(256))) + whole[4:]


def check(data):
    """Walk through `data` as a client does; every step is what the standard makes of these bytes, or MQTTError."""
    window = Window(data)
    at = 0
    while True:
        head = mqtt.fixed_header(window, at, len(data))
        start, size = at + (head & 7), head >> 3
        if not head:
            break
        found, _ = packets(data[at:] + bytes(max(0, start + min(size, 4000) - len(data))))
        assert at + 2 <= start <= at + 5 and 0 <= size < 1 << 28
        end = start + size
        if end > len(data):
            break
        equal(found[0][1], data[start:end])
        if data[at] >> 4 == 3:
            topic, number, payload = mqtt.published(Window(data[:end]), data[at], start, end)
            assert start + 3 <= payload <= end and 0 <= number <= 65_535 and topic
        elif data[at] >> 4 == 4:
            equal(two(mqtt.packet_id(Window(data[:end]), start, end)), data[start : start + 2])
        at = end
    assert len(data) - at < 5 or head, "a whole header was not seen"


def test_nothing_but_mqtterror_and_no_byte_beyond_the_end():
    dice = random.Random(SEED) if hasattr(random, "Random") else random
    dice.seed(SEED)
    refusals = 0
    for case in range(CASES):
        data = valid(dice)
        for _ in range(dice.randrange(1, 4)):
            data = mutated(dice, data) or b"\x30"
        try:
            check(data)
        except MQTTError:
            refusals += 1
        except Exception:
            print("seed %d, case %d: %r" % (SEED, case, data))
            raise
    assert CASES // 10 < refusals < CASES, "%d of %d refused: the mutations are no test" % (refusals, CASES)


def test_random_bytes_are_no_danger_either():
    dice = random.Random(SEED + 1) if hasattr(random, "Random") else random
    dice.seed(SEED + 1)
    for case in range(CASES // 4):
        data = bytes([dice.choice((0x30, 0x32, 0x40, 0x90, 0, 1, 2, dice.randrange(256))) for _ in range(case % 40)])
        try:
            check(data)
        except MQTTError:
            pass  # what garbage deserves
        except Exception:
            print("seed %d, case %d: %r" % (SEED + 1, case, data))
            raise
