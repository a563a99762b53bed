"""The client over a scripted stream: what it says, what it makes of the answers, and that it never waits in vain."""

import asyncio
import gc

from minitest import equal, raises
from mqtt import Client, MQTTError
from scripted import (
    ASKED,
    CONNACK,
    DISCONNECT,
    PINGRESP,
    Session,
    Stream,
    begin,
    field,
    packet,
    packets,
    puback,
    publish,
    results,
    settle,
    two,
)

SUBACK_1 = packet(0x90, two(ASKED + 1), b"\x01")


async def ends_with_mqtt_error(*said, **options):
    """The broker says this to a client that has asked for nothing, and that is the end of it."""
    async with Session(**options) as session:
        await session.says(*said)
        assert isinstance(await session.ended(), MQTTError), "%r gave %r" % (said, session.error)


# Connect


async def test_connect_sends_one_connect_and_waits_for_its_answer():
    for present in (0, 1):
        async with Session(keepalive_s=300) as session:
            task = begin(session.client.connect("me", "user", "secret", ("gone", b"!", True, 1), clean=False))
            await settle()
            equal(len(session.stream.writes), 1)
            body = b"\x00\x04MQTT\x04\xec\x01\x2c" + field("me") + field("gone") + field("!")
            equal(session.stream.heard(), [(0x10, body + field("user") + field("secret"))])
            assert not task.done(), "did not wait for CONNACK"
            await session.says(b"\x20\x02", bytes((present, 0)))
            equal(await task, bool(present))


async def test_every_refusal_of_table_3_1_is_an_error_that_names_its_code():
    for code in (1, 2, 3, 4, 5, 6, 255):
        async with Session() as session:
            task = begin(session.client.connect("me"))
            await settle()
            await session.says(b"\x20\x02\x00", bytes((code,)))
            error = await task
            assert isinstance(error, MQTTError), error
            equal(error.args[1], code)


async def test_an_answer_to_connect_that_is_none_is_an_error():
    for said in (b"\x20\x00", b"\x20\x01\x00", b"\x20\x03\x00\x00\x00", packet(0x20, b"\x00" * 300), b"\xb0\x00",
                 b"\x22\x02\x00\x00"):
        async with Session() as session:
            task = begin(session.client.connect("me"))
            await settle()
            await session.says(said)
            session.stream.end()
            assert isinstance(await task, MQTTError), "%r was taken for a yes" % said


async def test_what_is_no_answer_to_connect_is_not_taken_for_one():
    for said in (b"\x90\x02\x00\x00", packet(0x90, two(ASKED + 1)),
                 packet(0xB0, two(ASKED + 1)), b"\xb0\x02\x01\x00", puback(1)):
        async with Session() as session:
            task = begin(session.client.connect("me"))
            await settle()
            await session.says(said)
            session.stream.end()
            assert isinstance(await task, MQTTError), "%r was taken for a yes" % said


def begin_and_put(session):
    """What a node that sleeps most of the time sends; returns the packets."""
    session.client.begin("me", filters=(("a", 1), ("b", 0)))
    assert session.client.put("t", "reading", qos=1, token="token")
    return [
        (0x10, b"\x00\x04MQTT\x04\x02\x00\x3c" + field("me")),
        (0x82, two(ASKED + 1) + field("a") + b"\x01" + field("b") + b"\x00"),
        (0x32, field("t") + two(1) + b"reading"),
    ]


async def test_all_that_is_begun_leaves_in_one_write():
    async with Session() as session:
        expected = begin_and_put(session)
        equal(session.stream.writes, [])
        task = begin(session.client.begun())
        await settle()
        equal(len(session.stream.writes), 1)
        equal(session.stream.heard(), expected)
        await session.says(b"\x20\x02\x01\x00", puback(1))
        assert not task.done(), "did not wait for SUBACK"
        equal(session.acknowledged, ["token"])
        await session.says(packet(0x90, two(ASKED + 1), b"\x01\x80"))
        equal(await task, (True, b"\x01\x80"))


async def test_what_was_begun_may_be_answered_before_anybody_waits():
    async with Session() as session:
        begin_and_put(session)
        session.client.flush()
        await session.says(CONNACK, packet(0x90, two(ASKED + 1), b"\x01\x00"), puback(1))
        equal(await begin(session.client.begun()), (False, b"\x01\x00"))


async def test_without_filters_nothing_is_subscribed():
    async with Session() as session:
        session.client.begin("me")
        task = begin(session.client.begun())
        await settle()
        equal(len(session.stream.heard()), 1)
        await session.says(CONNACK)
        equal(await task, (False, b""))


async def test_what_was_begun_and_refused_is_not_acknowledged():
    async with Session() as session:
        begin_and_put(session)
        task = begin(session.client.begun())
        await settle()
        await session.says(b"\x20\x02\x00\x05")
        error = await task
        assert isinstance(error, MQTTError), error
        equal(error.args[1], 5)
        equal(session.client.unacknowledged(), ["token"])


async def test_disconnect_is_the_last_word():
    async with Session() as session:
        session.client.put("t", "x")
        await session.client.disconnect()
        equal(b"".join(session.stream.writes), publish("t", "x".encode()) + DISCONNECT)
        equal(session.stream.drains, 1)


async def test_a_broker_that_closes_after_disconnect_does_as_it_should():
    async with Session(answer_s=0.05) as session:
        await session.client.disconnect()
        session.stream.end()
        await settle()
        assert not session.over.is_set(), "whoever said goodbye is to end first"
        equal(await session.ended(), None)


# Subscribe


async def test_subscribe_returns_what_was_granted():
    async with Session() as session:
        task = begin(session.client.subscribe((("a/#", 1), ("b", 0), ("c", 1))))
        await settle()
        equal(len(session.stream.writes), 1)
        body = two(ASKED + 1) + field("a/#") + b"\x01" + field("b") + b"\x00" + field("c") + b"\x01"
        equal(session.stream.heard(), [(0x82, body)])
        assert not task.done()
        await session.says(packet(0x90, two(ASKED + 1), b"\x01\x00\x80"))
        equal(await task, b"\x01\x00\x80")


async def test_several_questions_at_once_get_their_own_answers():
    async with Session() as session:
        first = begin(session.client.subscribe((("a", 1),)))
        second = begin(session.client.subscribe((("b", 1),)))
        third = begin(session.client.unsubscribe(("c",)))
        await settle()
        await session.says(packet(0x90, two(ASKED + 2), b"\x02"))
        equal([first.done(), second.done(), third.done()], [False, True, False])
        await session.says(packet(0xB0, two(ASKED + 3)), SUBACK_1)
        equal(await results([first, second, third]), [b"\x01", b"\x02", None])


async def test_every_question_waits_for_an_answer_of_its_own():
    async with Session() as session:
        for number in (1, 2, 3):
            task = begin(session.client.subscribe((("a", 1),)))
            await settle()
            assert not task.done(), "the answer before counted again"
            await session.says(packet(0x90, two(ASKED + number), bytes((number,))))
            equal(await task, bytes((number,)))


async def test_a_question_waits_for_the_line():
    async with Session() as session:
        session.stream.hold()
        task = begin(session.client.subscribe((("a", 1),)))
        await settle()
        session.stream.let_go()
        await settle()
        equal(session.stream.drains, 1, "with TLS it is the drain that begins:")
        await session.says(SUBACK_1)
        equal(await task, b"\x01")


async def test_unsubscribe_waits_for_its_answer():
    async with Session() as session:
        task = begin(session.client.unsubscribe(("a/#", "b")))
        await settle()
        equal(session.stream.heard(), [(0xA2, two(ASKED + 1) + field("a/#") + field("b"))])
        assert not task.done()
        await session.says(packet(0xB0, two(ASKED + 1)))
        equal(await task, None)


async def test_the_answer_to_another_question_does_not_count():
    async with Session() as session:
        given_up = begin(session.client.subscribe((("a", 1),)))
        await settle()
        given_up.cancel()
        await settle()
        task = begin(session.client.subscribe((("b", 1),)))
        await settle()
        await session.says(packet(0x90, two(ASKED + 1), b"\x00"))
        assert not task.done(), "took the answer to packet 1"
        await session.says(CONNACK, packet(0xB0, two(ASKED + 2)))
        assert not task.done(), "took the answer to another kind of packet"
        await session.says(packet(0x90, two(ASKED + 2), b"\x80"))
        equal(await task, b"\x80")


async def test_questions_and_publishes_never_have_the_same_packet_id():
    async with Session() as session:
        session.client.put("t", "", qos=1)
        begin(session.client.subscribe((("a", 1),)))
        await settle()
        session.client.put("t", "", qos=1)
        session.client.flush()
        ids = [body[3:5] if first == 0x32 else body[:2] for first, body in session.stream.heard()]
        equal(ids, [two(1), two(ASKED + 1), two(2)])


# Publish


async def test_nothing_is_sent_before_flush_and_then_all_in_one_write():
    async with Session() as session:
        for number in range(5):
            assert session.client.put("t/%d" % number, "p%d" % number, retain=number == 1)
        assert session.client.put("q", b"\xff", qos=1)
        equal(session.stream.writes, [])
        session.client.flush()
        equal(len(session.stream.writes), 1)
        expected = [publish("t/%d" % n, b"p%d" % n, retain=n == 1) for n in range(5)] + [publish("q", b"\xff", 1, 1)]
        equal(session.stream.writes[0], b"".join(expected))
        session.client.flush()
        equal(len(session.stream.writes), 1, "a flush of nothing:")


async def test_publish_at_qos_0_returns_when_the_network_has_it():
    async with Session() as session:
        session.stream.hold()
        task = begin(session.client.publish("t", "x", True))
        await settle()
        equal(session.stream.heard(), [(0x31, field("t") + b"x")])
        assert not task.done()
        session.stream.let_go()
        equal(await task, None)


async def test_publish_at_qos_0_does_not_wait_for_the_acknowledgement_of_another():
    async with Session() as session:
        session.stream.hold()
        task = begin(session.client.publish("t", "x"))
        await settle()
        assert session.client.put("t", "y", qos=1)
        session.stream.let_go()
        await settle()
        assert task.done()


async def test_publish_at_qos_1_returns_when_it_is_acknowledged():
    async with Session() as session:
        task = begin(session.client.publish("t", "x", qos=1))
        await settle()
        equal(session.stream.heard(), [(0x32, field("t") + two(1) + b"x")])
        await session.says(puback(2), PINGRESP)
        assert not task.done()
        await session.says(puback(1))
        equal(await task, None)
        equal(session.acknowledged, [])
        equal(session.client.unacknowledged(), [])


async def test_every_kind_of_payload():
    async with Session() as session:
        for payload in ("\xe4x", b"\xc3\xa4x", bytearray(b"\xc3\xa4x"), memoryview(b"-\xc3\xa4x-")[1:4]):
            session.client.put("t", payload)
        session.client.put(b"t", "")
        session.client.flush()
        equal(session.stream.heard(), [(0x30, field("t") + b"\xc3\xa4x")] * 4 + [(0x30, field("t"))])


async def test_tokens_come_back_in_the_order_of_their_acknowledgement():
    async with Session() as session:
        for token in ("a", "b", "c", "d"):
            session.client.put("t", token, qos=1, token=token)
        session.client.put("t", "silent", qos=1)
        session.client.put("t", "at QoS 0", token="never")
        session.client.flush()
        await session.says(puback(1), puback(2))
        equal(session.acknowledged, ["a", "b"])
        await session.says(puback(5), puback(4), puback(3))
        equal(session.acknowledged, ["a", "b", "d", "c"])


async def test_an_acknowledgement_that_nobody_waits_for_is_ignored():
    async with Session() as session:
        await session.says(puback(1), puback(65_535))
        session.client.put("t", "", qos=1, token="a")
        session.client.put("t", "", qos=1, token="b")
        session.client.flush()
        await session.says(puback(9), puback(3), puback(10), puback(257))
        equal(session.acknowledged, [])
        await session.says(puback(1), puback(1), puback(1))
        equal(session.acknowledged, ["a"])
        equal(session.client.unacknowledged(), ["b"])
        equal(session.error, None)


async def test_a_token_may_be_anything_but_none():
    for token in (0, False, "", b"", ()):
        async with Session() as session:
            for _ in range(8):
                assert session.client.put("t", "", qos=1, token=token)
            assert not session.client.put("t", "", qos=1, token=token), "%r does not hold its place" % (token,)
            equal(session.client.unacknowledged(), [token] * 8)
            await session.says(puback(1))
            equal(session.acknowledged, [token])


async def test_a_topic_that_is_too_long_takes_nothing():
    async with Session() as session:
        for topic in ("x" * 401, "\xe4" * 201, b"x" * 500):
            with raises(ValueError):
                session.client.put(topic, "", qos=1)
        equal(session.client.unacknowledged(), [])
        assert session.client.put("x" * 400, "y" * 200, qos=1, token="t")
        assert session.client.put(b"x" * 400, "", token="t")
        session.client.flush()
        equal(session.stream.heard(), [(0x32, field("x" * 400) + two(1) + b"y" * 200), (0x30, field("x" * 400))])


async def test_a_qos_that_is_not_there_takes_nothing():
    async with Session() as session:
        for qos in (2, 3):
            with raises(ValueError):
                session.client.put("t", "", qos=qos)
        session.client.flush()
        equal(session.stream.writes, [])
        equal(session.client.unacknowledged(), [])


async def test_a_header_never_reaches_beyond_the_buffer():
    for filled in range(470, 520):
        for qos in (0, 1):
            async with Session() as session:
                assert session.client.put("t", "x" * (filled - 6))
                assert session.client.put("another topic", "y" * 200, qos=qos)
                session.client.flush()
                expected = publish("t", b"x" * (filled - 6)) + publish("another topic", b"y" * 200, qos, 1)
                equal(b"".join(session.stream.writes), expected)
                assert max([len(write) for write in session.stream.writes]) <= 512, "the buffer grew"


async def test_a_burst_longer_than_the_buffer_arrives_in_order():
    async with Session() as session:
        expected = b""
        for number in range(60):
            payload = bytes((number,)) * (number * 7 % 50)
            assert session.client.put("topic", payload)
            expected += publish("topic", payload)
        session.client.flush()
        equal(b"".join(session.stream.writes), expected)
        assert len(session.stream.writes) <= 2 + len(expected) // 400, "%d writes" % len(session.stream.writes)


async def test_long_payloads_of_every_length_around_the_buffers():
    async with Session() as session:
        for size in list(range(490, 530)) + [1_000, 1_023, 1_024, 1_025, 5_000]:
            payload = bytes([index * 7 & 255 for index in range(size)])
            assert session.client.put("t", payload)
            await session.client.drain()
            equal(b"".join(session.stream.writes), publish("t", payload), "%d bytes:" % size)
            session.stream.writes.clear()


# Pieces


class Pieces:
    """An iterable that may give something else the second time."""

    def __init__(self, *times):
        self.times = list(times)

    def __iter__(self):
        return iter(self.times.pop(0) if len(self.times) > 1 else self.times[0])


async def test_pieces_are_one_payload():
    every_type = ("a", b"bc", bytearray(b"d"), memoryview(b"ef"))
    many = [b"%d," % number for number in range(800)]
    for pieces in ((), ("",), every_type, ("\xe4\u20ac", "x" * 600, "", "y" * 511), many):
        whole = b"".join([piece.encode() if isinstance(piece, str) else bytes(piece) for piece in pieces])
        async with Session() as session:
            assert session.client.put("t", Pieces(pieces), True, 1, "token")
            session.client.flush()
            equal(b"".join(session.stream.writes), publish("t", whole, 1, 1, True))
            await session.says(puback(1))
            equal(session.acknowledged, ["token"])


async def test_pieces_that_change_are_an_error():
    for first, second in ((("ab", "c"), ("ab",)), (("ab",), ("ab", "c")), (("a",), ("abc",)), (("a",), ())):
        async with Session() as session:
            with raises(MQTTError):
                session.client.put("t", Pieces(first, second))


# Window and room


async def test_a_full_window_lets_nothing_in_until_an_acknowledgement():
    async with Session() as session:
        for number in range(1, 9):
            assert session.client.put("t", "%d" % number, qos=1, token=number)
        assert not session.client.put("t", "9", qos=1, token=9)
        assert session.client.put("t", "QoS 0 needs no place")
        session.client.flush()
        equal(len(session.stream.heard()), 9)
        waiting = begin(session.client.room())
        await session.says(puback(2))
        assert not waiting.done(), "the ninth takes the place of the first"
        await session.says(puback(1))
        equal(await waiting, None)
        assert session.client.put("t", "9", qos=1, token=9)
        assert session.client.put("t", "10", qos=1, token=10)
        assert not session.client.put("t", "11", qos=1, token=11)
        equal(session.client.unacknowledged(), [3, 4, 5, 6, 7, 8, 9, 10])


async def test_what_was_put_is_sent_before_room_waits_for_its_answer():
    async with Session() as session:
        while session.client.put("t", "", qos=1):
            pass
        waiting = begin(session.client.room())
        await settle()
        equal(len(session.stream.heard()), 8)
        await session.says(puback(1))
        equal(await waiting, None)


async def test_a_place_that_one_task_takes_is_not_given_to_the_other():
    async with Session() as session:
        tasks = [begin(session.client.publish("t", "%d" % number, qos=1)) for number in range(20)]
        for number in range(1, 21):
            await settle()
            sent = [body[5:] for _, body in session.stream.heard()]
            equal(len(sent), 8 if number == 1 else (1 if number <= 13 else 0), "round %d:" % number)
            session.stream.say(puback(number))
        equal(await results(tasks), [None] * 20)


async def test_a_line_that_takes_no_more_lets_nothing_in_until_it_does():
    async with Session() as session:
        session.stream.hold()
        count = 0
        while session.client.put("t", "x" * 100):
            session.client.flush()
            count += 1
            assert count < 100, "no bound"
        assert not session.client.put("t", "x", qos=1)
        sent = sum(len(write) for write in session.stream.writes)
        assert 2_000 < sent < 3_000, sent
        waiting = [begin(session.client.room(qos)) for qos in (0, 1)]
        await settle()
        assert not waiting[0].done() and not waiting[1].done()
        session.stream.let_go()
        equal(await results(waiting), [None, None])
        assert session.client.put("t", "x")


async def test_many_tasks_share_a_slow_line():
    async with Session() as session:
        session.stream.hold()
        tasks = [begin(session.client.publish("t", "x" * 400, qos=number & 1)) for number in range(30)]
        for _ in range(30):
            session.stream.hold()
            await settle()
            session.stream.let_go()
            await settle()
            found, _ = packets(b"".join(session.stream.writes))
            session.stream.say(*[puback(body[3] << 8 | body[4]) for first, body in found if first == 0x32])
        equal(await results(tasks), [None] * 30)
        equal(len(found), 30)


async def test_answers_count_while_another_task_waits_for_the_line():
    async with Session() as session:
        question = begin(session.client.subscribe((("a", 1),)))
        await settle()
        session.stream.hold()
        stuck = begin(session.client.drain())
        await session.says(SUBACK_1)
        assert question.done(), "the answer was not taken"
        session.stream.let_go()
        equal(await stuck, None)


async def test_acknowledgements_count_while_another_task_waits_for_the_line():
    async with Session() as session:
        tasks = [begin(session.client.publish("t", "%d" % number, qos=1)) for number in range(9)]
        await settle()
        session.stream.hold()
        stuck = begin(session.client.drain())
        await session.says(puback(1))
        equal([task.done() for task in tasks], [True] + [False] * 8)
        equal(len(session.stream.heard()), 9, "what was sent:")
        session.stream.let_go()
        await session.says(*[puback(number) for number in range(2, 10)])
        equal(await results(tasks + [stuck]), [None] * 10)


async def test_a_broker_that_does_not_read_our_acknowledgements_is_not_read_either():
    async with Session(64) as session:
        session.stream.hold()
        await session.says(*[publish("t", b"", 1, 1) for _ in range(2_000)])
        await settle()
        sent = sum(len(write) for write in session.stream.writes)
        assert sent < 3_000, "%d bytes of PUBACK wait for the network" % sent
        session.stream.let_go()
        await session.has_heard(2_000)
        equal(len(session.stream.heard()), 2_000)


# Packet ids


async def go_to(session, number):
    """Let acknowledged publishes use up the packet ids below `number`."""
    sent = 1
    while sent < number:
        count = 0
        while sent + count < number and session.client.put("t", "", qos=1):
            count += 1
        session.client.flush()
        session.stream.writes.clear()
        session.stream.say(*[puback(sent + index) for index in range(count)])
        sent += count
        await session.client.room()


async def test_packet_ids_wrap_with_publishes_in_flight():
    async with Session() as session:
        await go_to(session, ASKED - 3)
        await settle()
        equal(session.client.unacknowledged(), [])
        put = []
        while session.client.put("t", "", qos=1, token=len(put)):
            put.append(len(put))
        assert 4 < len(put) <= 8, put
        session.client.flush()
        ids = [body[3] << 8 | body[4] for _, body in session.stream.heard()]
        equal(ids, [ASKED - 3, ASKED - 2, ASKED - 1, ASKED, 1, 2, 3, 4][: len(put)])
        equal(session.client.unacknowledged(), put)
        await session.says(puback(ASKED - 1), puback(1))
        equal(session.acknowledged, [2, 4])
        equal(session.client.unacknowledged(), [token for token in put if token not in (2, 4)])
        await session.says(*[puback(number) for number in ids])
        equal(session.client.unacknowledged(), [])
        assert session.client.put("t", "", qos=1, token="on it goes")
        session.client.flush()
        await session.says(puback(ids[-1] + 1))
        equal(session.acknowledged[-1], "on it goes")


# Messages


async def test_a_message_is_handed_on_and_then_acknowledged():
    written = []

    def on_message(*message):
        written.append((message, len(session.stream.writes)))

    session = Session(on_message=on_message)
    async with session:
        await session.says(publish("t/\xe4", b"\x00\xff", 1, 0x1234))
        equal(written, [(("t/\xe4", b"\x00\xff", False), 0)])
        equal(session.stream.heard(), [(0x40, b"\x12\x34")])
        await session.says(publish("t", b"", 0, retain=True))
        equal(written[1][0], ("t", b"", True))
        equal(session.stream.heard(), [])


async def test_a_message_that_was_not_taken_is_not_acknowledged():
    def on_message(*message):
        raise OSError("disk full")

    async with Session(on_message=on_message) as session:
        await session.says(publish("t", b"", 1, 7))
        equal((await session.ended()).args, ("disk full",))
        equal(session.stream.writes, [])


async def test_nobody_need_listen():
    stream = Stream()
    client = Client(stream)
    task = begin(client.run())
    stream.say(publish("t", b"x", 1, 3))
    client.put("t", "", qos=1, token="x")
    await settle()
    stream.say(puback(1))
    await settle()
    equal(stream.writes[-1][-4:], puback(3))
    equal(client.unacknowledged(), [])
    stream.end()
    assert isinstance(await task, MQTTError)


async def test_several_packets_in_one_read_are_answered_in_one_write():
    async with Session() as session:
        await session.says(publish("a", b"1", 1, 1), publish("b", b"2", 1, 2), PINGRESP, publish("c", b"3", 1, 3))
        equal([topic for topic, _, _ in session.messages], ["a", "b", "c"])
        equal(len(session.stream.writes), 1)
        equal(session.stream.heard(), [(0x40, two(number)) for number in (1, 2, 3)])


async def test_callbacks_may_publish():
    def on_message(*message):
        assert session.client.put("echo", message[1], qos=1)

    session = Session(on_message=on_message)
    async with session:
        await session.says(publish("t", b"hello", 1, 9))
        equal(session.stream.heard(), [(0x32, field("echo") + two(1) + b"hello"), (0x40, two(9))])


SPEECH = (
    publish("first", b"1"), CONNACK, publish("second", b"x" * 200, 1, 300, retain=True), puback(1), PINGRESP,
    publish("\u20ac", b""), publish("long", bytes(range(256)) * 3, 1, 65_535), SUBACK_1, publish("last", b"z" * 244),
)
SAID = [
    ("first", b"1", False), ("second", b"x" * 200, True), ("\u20ac", b"", False),
    ("long", bytes(range(256)) * 3, False), ("last", b"z" * 244, False),
]


def taken(session):
    """The messages, with payloads that are no copies made into such."""
    return [(topic, payload if payload is None else bytes(payload), retained)
            for topic, payload, retained in session.messages]


async def check_speech(session):
    equal(taken(session), SAID)
    equal([body for first, body in session.stream.heard() if first == 0x40], [two(300), two(65_535)])
    equal(session.acknowledged, ["token"])
    equal(session.error, None)


async def test_packets_cut_into_fragments_of_every_size():
    for fragment in range(1, 65):
        async with Session(fragment) as session:
            session.client.put("t", "", qos=1, token="token")
            session.stream.say(*SPEECH)
            await session.has_heard(len(SAID))
            await check_speech(session)


async def test_packets_cut_in_two_at_every_byte():
    speech = b"".join(SPEECH)
    for cut in range(1, len(speech)):
        async with Session() as session:
            session.client.put("t", "", qos=1, token="token")
            await session.says(speech[:cut])
            await session.says(speech[cut:])
            await check_speech(session)


async def test_messages_of_every_length_around_the_buffer():
    for size in range(235, 270):
        for qos in (0, 1):
            payload = bytes([index & 255 for index in range(size)])
            async with Session() as session:
                await session.says(publish("t", payload, qos, 5), publish("next", b"!"))
                equal(taken(session), [("t", payload, False), ("next", b"!", False)])
                equal(len(session.stream.heard()), qos)


async def check_limit(limit, topic, over, fragment):
    """A payload of the limit is handed on, a longer one as None; either is acknowledged, and the next is intact."""
    payload = b"p" * (limit + over)
    what = "limit %d, topic of %d, %d too many:" % (limit, len(topic), over)
    async with Session(fragment, limit_bytes=limit) as session:
        session.stream.say(publish(topic, payload, 1, 258), publish("next", b"!"))
        await session.has_heard(2)
        equal(taken(session), [(topic, None if over else payload, False), ("next", b"!", False)], what)
        equal(session.stream.heard(), [(0x40, b"\x01\x02")], what)


async def test_the_limit_is_on_the_payload():
    for limit in (10, 100, 246, 250, 255, 256, 1_000, 4_096):
        for fragment in (7, 1_000_000):
            for topic in ("t", "x" * 100, "y" * 247):
                for over in (0, 1, 2, 300):
                    await check_limit(limit, topic, over, fragment)
            await check_limit(limit, "z" * 400, 0, fragment)


async def test_a_message_far_longer_than_the_limit_is_drained():
    for size in (5_000, 70_000):
        async with Session(1_000) as session:
            session.stream.say(publish("long", b"x" * size, 1, 1, True), publish("next", b"intact", 1, 2))
            await session.has_heard(2)
            equal(taken(session), [("long", None, True), ("next", b"intact", False)])
            equal(session.stream.heard(), [(0x40, two(1)), (0x40, two(2))])
            assert session.stream.largest_read <= 256, session.stream.largest_read


async def test_a_message_whose_very_topic_does_not_fit_is_discarded_and_acknowledged():
    for size, fragment in ((260, 1), (300, 7), (5_000, 1_000), (65_535, 1_000)):
        async with Session(fragment, limit_bytes=100) as session:
            session.stream.say(publish("x" * size, b"y" * 500, 1, 0x1234), publish("next", b"intact"))
            await session.has_heard(1)
            equal(taken(session), [("next", b"intact", False)])
            equal(session.stream.heard(), [(0x40, b"\x12\x34")], "topic of %d:" % size)


async def test_a_malformed_message_whose_very_topic_does_not_fit_ends_the_connection():
    good = publish("x" * 300, b"y" * 500, 1, 1)
    at = 3 + 2 + 300
    for bad in (good[:at] + b"\0\0" + good[at + 2:], b"\x36" + good[1:], good[:3] + b"\x03\x23" + good[5:]):
        async with Session(limit_bytes=100) as session:
            session.stream.say(bad)
            error = await session.ended()
            equal((isinstance(error, MQTTError), error.args[0]), (True, "malformed PUBLISH"))
            equal((session.stream.heard(), session.client.discarded), ([], 0))


async def test_every_discarded_message_is_counted():
    async with Session(limit_bytes=100) as session:
        await session.says(publish("x" * 300, b"y" * 500), publish("x" * 300, b"y" * 500), publish("next", b"intact"))
        equal(session.client.discarded, 2)
        equal(taken(session), [("next", b"intact", False)])


async def test_a_limit_beyond_the_memory_is_no_danger():
    if not hasattr(gc, "mem_alloc"):
        return  # only a board's memory is so small
    async with Session(limit_bytes=1 << 30) as session:
        await session.says(b"\x30\xff\xff\xff\x7f\x00\x01t", bytes(1_000))
        session.stream.end()
        assert isinstance(await session.ended(), MQTTError), session.error


async def test_a_topic_that_just_fits_or_just_does_not_ends_nothing():
    for size in range(240, 262):
        for qos in (0, 1):
            async with Session(limit_bytes=100) as session:
                await session.says(publish("x" * size, b"y" * 700, qos, 0x1234), publish("next", b"intact"))
                equal(session.error, None, "topic of %d:" % size)
                equal(taken(session)[-1], ("next", b"intact", False))
                equal(session.stream.heard(), qos * [(0x40, b"\x12\x34")], "topic of %d:" % size)
                if size < 248:
                    equal(taken(session)[0], ("x" * size, None, False))


async def test_a_payload_stays_as_it_was():
    async with Session() as session:
        for size in (3, 200, 300, 3_000):
            await session.says(publish("t", b"a" * size))
        for size in (3, 200, 300, 3_000):
            await session.says(publish("t", b"b" * size))
        for index, size in enumerate((3, 200, 300, 3_000)):
            equal(bytes(session.messages[index][1]), b"a" * size)


# The end


async def test_what_no_broker_may_say_ends_the_connection():
    for said in (
            b"\x00\x00", b"\x10\x00", b"\x50\x02\x00\x01", b"\x62\x02\x00\x01", b"\x70\x02\x00\x01", b"\x82\x00",
            b"\xa2\x00", b"\xc0\x00", b"\xe0\x00", b"\xf0\x00",  # packets that a server does not send to us
            b"\x40\x00", b"\x40\x01\x01", b"\x40\x02\x00\x00", b"\x20\x00", b"\x90\x00", b"\xb0\x01\x00",
            b"\x30\x00", b"\x30\x01\x00", b"\x30\x02\x00\x00", b"\x30\x03\x00\x02x", b"\x30\x03\x00\x01\xff",
            b"\x32\x03\x00\x01t", b"\x32\x05\x00\x01t\x00\x00", b"\x34\x05\x00\x01t\x00\x01",
            b"\x36\x05\x00\x01t\x00\x01", b"\x30\x80\x80\x80\x80\x01", b"\xd0\xff\xff\xff\xff",
            b"\x41\x02\x00\x01", b"\xd8\x00"):
        await ends_with_mqtt_error(said)
        await ends_with_mqtt_error(PINGRESP, publish("t", b"ok"), said)


async def test_a_malformed_message_is_not_handed_on():
    async with Session() as session:
        await session.says(publish("t", b"good", 1, 1), b"\x32\x05\x00\x03t\x00\x01", publish("t", b"after"))
        assert isinstance(await session.ended(), MQTTError)
        equal(len(session.messages), 1)


async def test_a_malformed_long_message_ends_the_connection():
    for body in (b"\x01\xf4" + b"x" * 400, b"\x00\x00" + b"x" * 400, b"\x00\x01\xff" + b"x" * 400):
        await ends_with_mqtt_error(packet(0x30, body))
    await ends_with_mqtt_error(packet(0x32, b"\x01\x2c", b"x" * 300))
    await ends_with_mqtt_error(packet(0x30, b"\x00\x01\xff", b"x" * 9_000))


async def test_the_broker_hangs_up():
    for said in (b"", PINGRESP, b"\x30", publish("t", b"half of it")[:8], publish("t", b"x" * 1_000)[:600],
                 publish("t", b"x" * 9_000)[:8_000]):
        async with Session() as session:
            await session.says(said)
            equal(session.error, None)
            session.stream.end()
            assert isinstance(await session.ended(), MQTTError), session.error
            equal(session.messages, [])


async def test_errors_of_the_stream_come_through():
    for error in (OSError(104), EOFError(), asyncio.TimeoutError()):
        for said in (b"", publish("t", b"x" * 1_000)[:600]):
            async with Session() as session:
                await session.says(said)
                session.stream.end(error)
                assert await session.ended() is error


async def test_whoever_waits_learns_that_the_connection_is_over():
    async with Session() as session:
        client = session.client
        tasks = [begin(client.subscribe((("a", 1),)))]
        await settle()
        tasks += [begin(client.publish("t", "%d" % number, qos=1)) for number in range(12)]
        tasks += [begin(client.room())]
        await settle()
        assert not [task for task in tasks if task.done()]
        session.stream.end()
        for task in tasks:
            assert isinstance(await task, MQTTError), await task


async def test_whoever_comes_later_learns_it_too():
    async with Session() as session:
        session.stream.end()
        await session.ended()
        client = session.client
        for call in (client.publish("t", "", qos=1), client.publish("t", ""), client.room(), client.room(0),
                     client.connect("me"), client.subscribe((("a", 1),)), client.unsubscribe(("a",)),
                     client.drain(), client.disconnect()):
            error = await asyncio.wait_for(begin(call), 2)
            assert isinstance(error, MQTTError), error


async def test_a_stream_that_takes_no_writes_ends_it_as_well():
    async with Session() as session:
        session.stream.broken = True
        with raises(OSError):
            await session.client.publish("t", "", qos=1)
        await session.says(publish("t", b"", 1, 1))
        assert isinstance(await session.ended(), OSError)


async def test_what_was_not_acknowledged_is_known_in_order():
    async with Session() as session:
        for token in range(8):
            session.client.put("t", "", qos=1, token=token)
        await session.says(puback(1), puback(4), puback(5))
        for token in (8, 9):
            equal(session.client.put("t", "", qos=1, token=token), token == 8)
        session.stream.end()
        await session.ended()
        equal(session.client.unacknowledged(), [1, 2, 5, 6, 7, 8])


async def test_a_client_that_is_cancelled_leaves_nothing_behind():
    async with Session() as session:
        waiting = begin(session.client.publish("t", "", qos=1))
        await settle()
    assert isinstance(await waiting, MQTTError)
    equal(session.error, None)
