"""MQTT 5 against the text and the tables of the standard "MQTT Version 5.0", over a scripted stream."""

import asyncio

from minitest import equal, raises
from mqtt import LINK_ERRORS, MQTTError
from mqtt5 import Client5, older
from mqtt5_packets import reason
from mqtt5_properties import decode, encode
from scripted import ASKED, PINGRESP, Session, begin, field, packet, packets, settle, two

CONNACK = b"\x20\x03\x00\x00\x00"

# One of every property of table 2-4, with the bytes that section 3 gives them.
EVERY = (
    ("payload_format", 1, b"\x01\x01"),
    ("message_expiry_s", 60, b"\x02\0\0\0\x3c"),
    ("content_type", "text", b"\x03\0\x04text"),
    ("response_topic", "a/b", b"\x08\0\x03a/b"),
    ("correlation_data", b"\0\xff", b"\x09\0\x02\0\xff"),
    ("subscription_identifier", 300, b"\x0b\xac\x02"),
    ("session_expiry_s", 0xFFFFFFFF, b"\x11\xff\xff\xff\xff"),
    ("assigned_client_id", "me", b"\x12\0\x02me"),
    ("server_keepalive_s", 258, b"\x13\x01\x02"),
    ("authentication_method", "x", b"\x15\0\x01x"),
    ("authentication_data", b"", b"\x16\0\0"),
    ("request_problem_information", 0, b"\x17\0"),
    ("will_delay_s", 1, b"\x18\0\0\0\x01"),
    ("request_response_information", 1, b"\x19\x01"),
    ("response_information", "i", b"\x1a\0\x01i"),
    ("server_reference", "s", b"\x1c\0\x01s"),
    ("reason_string", "r\xe9", b"\x1f\0\x03r\xc3\xa9"),
    ("receive_maximum", 20, b"\x21\0\x14"),
    ("topic_alias_maximum", 10, b"\x22\0\x0a"),
    ("topic_alias", 3, b"\x23\0\x03"),
    ("maximum_qos", 1, b"\x24\x01"),
    ("retain_available", 0, b"\x25\0"),
    ("user", [("a", "b"), ("a", "")], b"\x26\0\x01a\0\x01b\x26\0\x01a\0\0"),
    ("maximum_packet_size", 4_500, b"\x27\0\0\x11\x94"),
    ("wildcard_subscription_available", 1, b"\x28\x01"),
    ("subscription_identifier_available", 1, b"\x29\x01"),
    ("shared_subscription_available", 0, b"\x2a\0"),
)


class Session5(Session):
    """As Session, of MQTT 5; `connected` is past CONNACK."""

    def __init__(self, fragment=1_000_000, on_message=None, **options):
        super().__init__(fragment)
        self.client = Client5(self.stream, on_message or self._take, self.acknowledged.append, **options)

    async def connected(self, said=b"", **options):
        self.client.begin("me", **options)
        task = begin(self.client.begun())
        await settle()
        found = self.stream.heard()
        await self.says(packet(0x20, b"\0\0", sized(said)))
        equal(await task, (False, b""))
        return found


def sized(properties):
    return bytes((len(properties),)) + properties


def publish(topic, payload=b"", properties=b"", qos=0, number=0, first=0x30):
    return packet(first | qos << 1, field(topic), two(number) if qos else b"", sized(properties), payload)


def puback(number, code=None):
    return packet(0x40, two(number), b"" if code is None else bytes((code,)))


def test_every_property_of_table_2_4_there_and_back():
    for name, value, data in EVERY:
        equal(encode({name: value}), data, name)
        for before in (b"", b"??"):
            whole = before + sized(data) + b"payload"
            equal(decode(whole, len(before), len(whole)), ({name: value}, len(before) + 1 + len(data)), name)
    every = {name: value for name, value, _ in EVERY}
    equal(len(encode(every)), sum([len(data) for _, _, data in EVERY]))
    every["user"] = [("a", "b" * 100)]
    data = encode(every)
    assert len(data) > 127
    equal(decode(bytes((len(data) & 127 | 128, len(data) >> 7)) + data, 0, 2 + len(data))[0], every)


def test_a_property_that_is_none_is_refused():
    with raises(ValueError) as caught:
        encode({"message_expiry": 1})
    assert "message_expiry" in str(caught.value)


def test_properties_that_a_broker_may_not_send():
    for name, _, data in EVERY:
        for end in range(1, len(data)):
            with raises(MQTTError):
                decode(sized(data)[: end + 1], 0, end + 1)  # beyond the packet
            if name != "user" or end != 7:  # the first of two
                with raises(MQTTError):
                    decode(sized(data[:end]), 0, end + 1)  # cut, by its own count
        if name not in ("user", "subscription_identifier"):
            with raises(MQTTError):
                decode(sized(data + data), 0, 1 + 2 * len(data))
    for data in (b"", b"\xff\xff\xff\xff\x01", b"\x80", b"\x02\x04\x01", b"\x01\x00", b"\x03\x03\0\x02a",
                 b"\x05\x1f\0\x02\xc3\x28"):
        with raises(MQTTError):
            decode(data, 0, len(data))


def test_reasons_are_those_of_table_2_6():
    for code, words in ((128, "unspecified error"), (135, "not authorized"), (147, "receive maximum exceeded"),
                        (162, "wildcard subscriptions not supported"), (145, "reason 145"), (28, "reason 28"),
                        (0, "reason 0"), (255, "reason 255")):
        equal(reason(code), words)


async def test_connect_has_properties_of_the_session_and_of_the_will():
    async with Session5(keepalive_s=300, session_expiry_s=3_600, topic_aliases=5, limit_bytes=1_000) as session:
        found = await session.connected(
            user="user", password="secret", will=("gone", b"!", True, 1), clean=False,
            properties={"receive_maximum": 9}, will_properties={"will_delay_s": 60, "content_type": "x"})
        asked = b"\x11\0\0\x0e\x10\x21\0\x09\x22\0\x05\x27\0\0\x05\x78"
        will = b"\x03\0\x01x\x18\0\0\0\x3c"
        equal(found, [(0x10, b"\x00\x04MQTT\x05\xec\x01\x2c" + sized(asked) + field("me") + sized(will) + field("gone")
                       + field("!") + field("user") + field("secret"))])


async def test_a_password_may_come_alone():
    async with Session5() as session:
        found = await session.connected(password="token")
        equal(found[0][1][7], 0x42)


async def test_what_connack_says_is_obeyed():
    async with Session5() as session:
        await session.connected(b"\x12\0\x04mine" + b"\x13\x00\x0a" + b"\x21\0\x02" + b"\x1f\0\x02hi")
        client = session.client
        equal((client.client_id, client.keepalive_s, client.server["reason_string"]), ("mine", 10, "hi"))
        equal([client.put("t", "x", False, 1) for _ in range(3)], [True, True, False])
        assert client.put("t", "QoS 0 counts not")
        client.flush()
        await session.says(puback(1))
        equal([client.put("t", "x", False, 1) for _ in range(2)], [True, False])


async def test_what_the_broker_does_not_take_is_told_and_not_sent():
    """Sizes to the byte: a PUBLISH to "t" without properties has 2 + 2 + 1 + 1 bytes beside its payload."""
    refused = []
    for name, said, good, bad in (
            ("packet too large", b"\x27\0\0\0\x10", ("t", "x" * 10), ("t", "x" * 11)),
            ("packet too large", b"\x27\0\0\0\x10", ("t", ("xx", "x" * 6), False, 1), ("t", ("xx", "x" * 7), False, 1)),
            ("packet too large", b"\x27\0\0\0\x82", ("t", "x" * 123), ("t", "x" * 124)),
            ("retain not supported", b"\x25\0", ("t", "x"), ("t", "x", True)),
            ("QoS not supported", b"\x24\0", ("t", "x"), ("t", "x", False, 1))):
        for told in (None, lambda token, error: refused.append((token, error.args[0]))):
            async with Session5(on_refused=told) as session:
                await session.connected(said)
                assert session.client.put(*good)
                if told:
                    assert session.client.put(*(bad + (False, 0))[:4], "token")
                    equal(refused.pop(), ("token", name))
                else:
                    with raises(MQTTError) as caught:
                        session.client.put(*bad)
                    equal(caught.value.args[0], name)
                error = await begin(session.client.publish(*bad))
                equal(error.args[0], name)
                session.client.flush()
                equal(len(session.stream.heard()), 1)
                equal(len(session.client.unacknowledged()), len(good) // 4)
                assert not session.over.is_set()


async def test_a_topic_that_was_refused_has_no_alias_yet():
    async with Session5(topic_aliases=2, on_refused=lambda token, error: None) as session:
        await session.connected(b"\x22\0\x02\x27\0\0\0\x20")
        session.client.put("t", "x" * 100)
        session.client.put("t", "x")
        session.client.flush()
        equal(session.stream.heard(), [(0x30, field("t") + b"\x03\x23\0\x01x")])


async def test_a_question_longer_than_the_broker_takes_is_not_asked():
    async with Session5() as session:
        await session.connected(b"\x27\0\0\0\x20")
        error = await begin(session.client.subscribe((("a" * 100, 1),)))
        equal(error.args, ("packet too large", 149))
        equal((session.stream.heard(), session.client.answers), ([], {}))


async def test_limits_of_0_are_a_protocol_error():
    for said in (b"\x21\0\0", b"\x27\0\0\0\0"):
        async with Session5() as session:
            task = begin(session.client.connect("me"))
            await settle()
            await session.says(packet(0x20, b"\0\0", sized(said)))
            error = await task
            equal(error.args, ("protocol error", 130))


async def test_refusals_have_words():
    for body, words, code in ((b"\0\x87\0", "not authorized", 135), (b"\0\x86\0", "bad user name or password", 134),
                              (b"\0\x84\0", "unsupported protocol version", 132),
                              (b"\0\x01", "unacceptable protocol version", 1)):
        async with Session5() as session:
            task = begin(session.client.connect("me"))
            await settle()
            await session.says(packet(0x20, body))
            error = await task
            assert isinstance(error, MQTTError), error
            equal(error.args, ("refused: " + words, code))
            equal(older(error), code in (1, 132))
    assert not older(MQTTError("closed by the broker"))


async def test_an_answer_to_connect_that_is_none_is_an_error():
    for said in (b"\x20\x02\0\0", b"\x20\x04\0\0\0\0", b"\x20\x04\0\0\x02\x21",
                 b"\x20\x04\0\0\x01\x01", b"\x20\x05\0\0\0\x01\x01"):
        async with Session5() as session:
            task = begin(session.client.connect("me"))
            await settle()
            await session.says(said)
            session.stream.end()
            assert isinstance(await task, MQTTError), said


async def test_subscribe_and_unsubscribe_have_properties_of_no_length():
    async with Session5() as session:
        await session.connected()
        task = begin(session.client.subscribe((("a", 1), ("b", 0))))
        await settle()
        equal(session.stream.heard(), [(0x82, two(ASKED + 1) + b"\0" + field("a") + b"\x01" + field("b") + b"\0")])
        await session.says(packet(0x90, two(ASKED + 1), sized(b"\x1f\0\x02ok"), b"\x01\x87"))
        equal(await task, b"\x01\x87")
        task = begin(session.client.unsubscribe(("a",)))
        await settle()
        equal(session.stream.heard(), [(0xA2, two(ASKED + 2) + b"\0" + field("a"))])
        await session.says(packet(0xB0, two(ASKED + 2), b"\0\0"))
        equal(await task, None)


async def test_a_publish_has_its_properties_before_its_payload():
    async with Session5() as session:
        await session.connected()
        put = session.client.put
        assert put("t", "\xe4") and put("t", b"", True)
        assert put("t", (b"a", "b"), False, 1, "token", {"content_type": "x"})
        assert put(b"t", bytearray(b"z"), properties=encode({"message_expiry_s": 1}))
        assert put("t", "long", properties={"user": [("n", "v" * 200)]})
        session.client.flush()
        user = b"\x26\0\x01n\0\xc8" + b"v" * 200
        equal(session.stream.heard(), [
            (0x30, field("t") + b"\0\xc3\xa4"), (0x31, field("t") + b"\0"),
            (0x32, field("t") + two(1) + b"\x04\x03\0\x01xab"), (0x30, field("t") + b"\x05\x02\0\0\0\x01z"),
            (0x30, field("t") + b"\xce\x01" + user + b"long")])
        await session.says(puback(1, 0x10))  # no subscriber: a success
        equal(session.acknowledged, ["token"])


async def test_what_the_broker_refuses_is_told():
    refused = []
    async with Session5(on_refused=lambda *what: refused.append(what)) as session:
        await session.connected()
        session.client.put("t", "", False, 1, "token")
        task = begin(session.client.publish("t", "x", qos=1))
        await settle()
        await session.says(puback(9, 0x87), puback(1, 0x97))
        equal([(token, error.args) for token, error in refused], [("token", ("quota exceeded", 151))])
        assert not task.done()
        await session.says(puback(2, 0x87))
        error = await task
        equal((type(error), error.args), (MQTTError, ("not authorized", 135)))
        equal((session.acknowledged, len(refused), session.error), ([], 1, None))
    async with Session5() as session:
        await session.connected()
        session.client.put("t", "", False, 1, "token")
        await session.says(puback(1, 0x87))
        equal((await session.ended()).args, ("not authorized", 135))


async def test_a_broker_that_leaves_says_why():
    for said, words in ((b"\xe0\x02\x8b\0", "server shutting down"), (b"\xe0\x01\x8e", "session taken over"),
                        (b"\xe0\x00", "reason 0")):
        async with Session5() as session:
            await session.connected()
            await session.says(said)
            equal((await session.ended()).args[0], words)


async def test_a_message_comes_with_its_properties():
    seen = []

    def on_message(*message):
        seen.append(message + (session.client.properties,))

    session = Session5(on_message=on_message)
    async with session:
        await session.connected()
        long = bytes(range(256)) * 4
        await session.says(
            publish("a", b"1", b"\x03\0\x01x", 1, 7), publish("b", b"2"), publish("c", long, b"\x02\0\0\0\x09"),
            PINGRESP)
        equal(seen[:2], [("a", b"1", False, {"content_type": "x"}), ("b", b"2", False, {})])
        equal((bytes(seen[2][1]), seen[2][3]), (long, {"message_expiry_s": 9}))
        equal(session.stream.heard(), [(0x40, two(7))])


async def test_of_a_message_too_long_to_keep_the_properties_may_be_missing():
    many = b"\x26\0\x03abc\0\x28" + b"v" * 40
    body = field("a/b") + two(7) + b"\xa0\x02" + many * 6 + b"y" * 2_000
    for aliases, ends in ((0, False), (1, True)):
        async with Session5(limit_bytes=100, topic_aliases=aliases) as session:
            await session.connected()
            await session.says(packet(0x32, body))
            equal(isinstance(session.error, MQTTError), ends, session.error)
            equal(session.messages, [] if ends else [("a/b", None, False)])
            equal(session.stream.heard(), [] if ends else [(0x40, two(7))])
            equal(session.client.properties, {})
    async with Session5() as session:
        await session.connected()
        session.stream.say(packet(0x32, field("a/b") + two(7) + b"\xa0\x02" + many))
        assert isinstance(await session.ended(), MQTTError), "one that is whole is malformed:"


async def test_topic_aliases_of_the_broker():
    async with Session5(topic_aliases=2) as session:
        await session.connected()
        await session.says(publish("a", b"1", b"\x23\0\x02"), publish("", b"2", b"\x23\0\x02"),
                           publish("b", b"3", b"\x23\0\x02"), publish("", b"4", b"\x23\0\x02"))
        equal([message[:2] for message in session.messages], [("a", b"1"), ("a", b"2"), ("b", b"3"), ("b", b"4")])
    for aliases, said in ((0, publish("a", b"", b"\x23\0\x01")), (2, publish("a", b"", b"\x23\0\0")),
                          (2, publish("a", b"", b"\x23\0\x03")), (2, publish("", b"", b"\x23\0\x01")),
                          (2, publish("", b""))):
        async with Session5(topic_aliases=aliases) as session:
            await session.connected()
            await session.says(said)
            assert isinstance(await session.ended(), MQTTError), said


async def test_topics_are_sent_once_where_the_broker_takes_aliases():
    async with Session5(topic_aliases=8) as session:
        await session.connected(b"\x22\0\x02")
        for topic in ("a", "b", "a", "c", "b", "a"):
            assert session.client.put(topic, "x")
        session.client.flush()
        first, second = b"\x03\x23\0\x01x", b"\x03\x23\0\x02x"
        equal([body for _, body in session.stream.heard()], [
            field("a") + first, field("b") + second, field("") + first, field("c") + b"\0x", field("") + second,
            field("") + first])


async def test_a_request_gets_its_own_reply():
    async with Session5() as session:
        await session.connected()
        tasks = [begin(session.client.request("do", "%d" % number, "me/reply", 5)) for number in range(2)]
        await settle()
        asked = [body[6:] for _, body in session.stream.heard()]
        equal([body[1:] for body in asked], [b"\x08\0\x08me/reply\x09\0\x01" + b"%d%d" % (n + 1, n) for n in range(2)])
        await session.says(
            puback(1), puback(2), publish("me/reply", b"two", b"\x09\0\x012"), publish("me/reply", b"none"))
        equal([task.done() for task in tasks], [False, True])
        await session.says(publish("me/reply", b"one", b"\x09\0\x011"))
        equal([await tasks[0], await tasks[1]], [b"one", b"two"])
        equal([message[1] for message in session.messages], [b"none"])
        assert isinstance(await begin(session.client.request("do", "", "me/reply", 0.01)), LINK_ERRORS)
        equal(session.client.replies, {})


async def test_disconnect_may_ask_for_the_will():
    async with Session5() as session:
        await session.connected()
        await session.client.disconnect(4)
        equal(session.stream.writes[-1], b"\xe0\x01\x04")
    async with Session5() as session:
        await session.client.disconnect()
        equal(session.stream.writes[-1], b"\xe0\x00")


async def test_packets_of_mqtt_5_cut_into_fragments_of_every_size():
    said = (publish("a", b"1" * 80, b"\x03\0\x01x", 1, 7), puback(1, 0),
            publish("b", b"2" * 400, b"\x02\0\0\0\x09", 1, 8), publish("c", b"3"))
    for fragment in range(1, 65):
        async with Session5(fragment) as session:
            session.client.put("t", "", False, 1, "token")
            session.stream.say(*said)
            await session.has_heard(3)
            equal([message[0] for message in session.messages], ["a", "b", "c"])
            equal(session.acknowledged, ["token"])
            equal(packets(session.stream.writes[-1])[0][-1], (0x40, two(8)))


async def test_whatever_comes_only_mqtterror_comes_out():
    whole = b"".join((publish("a", b"1", b"\x03\0\x01x\x26\0\x01n\0\x01v", 1, 7), puback(1, 0), CONNACK,
                      packet(0x90, two(9), sized(b"\x1f\0\x02ok"), b"\x01"), b"\xe0\x02\x8b\0"))
    for at in range(len(whole)):
        for byte in (0, 1, 0x7F, 0x80, 0xFF, whole[at] ^ 1, whole[at] ^ 0x10):
            session = Session5(7)
            session.stream.say(whole[:at] + bytes((byte,)) + whole[at + 1:])
            session.stream.end()
            try:
                await asyncio.wait_for(session.client.run(), 5)
            except MQTTError:
                continue  # how every case ends
            raise AssertionError("%d: %d" % (at, byte))
