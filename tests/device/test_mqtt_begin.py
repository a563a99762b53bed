"""From waking to sleeping in two round trips: CONNECT, SUBSCRIBE and publishes leave before any answer has come."""

from minitest import equal
from mqtt import MQTTError
from scripted import ASKED, CONNACK, Session, begin, packet, puback, settle, two

SUBACK_1 = packet(0x90, two(ASKED + 1), b"\x01")


async def test_all_leaves_in_one_write_before_any_answer():
    async with Session() as session:
        session.client.begin("me", will=("gone", "!", True, 1), filters=[("in", 1)])
        for number in range(3):
            assert session.client.put("out", "x%d" % number, False, 1, "token %d" % number)
        equal(session.stream.writes, [], "before it is asked to send:")
        task = begin(session.client.begun())
        await settle()
        equal(len(session.stream.writes), 1)
        equal([first for first, _ in session.stream.heard()], [0x10, 0x82, 0x32, 0x32, 0x32])
        assert not task.done()
        await session.says(CONNACK, SUBACK_1, puback(1), puback(2), puback(3))
        equal(await task, (False, b"\x01"))
        equal(session.client.unacknowledged(), [])


async def test_a_refusal_leaves_everything_with_the_caller():
    async with Session() as session:
        session.client.begin("me")
        for token in ("one", "two"):
            session.client.put("out", "x", False, 1, token)
        task = begin(session.client.begun())
        await settle()
        await session.says(b"\x20\x02\x00\x05")
        error = await task
        assert isinstance(error, MQTTError), error
        equal((error.args[1], session.client.unacknowledged()), (5, ["one", "two"]))


async def test_an_existing_session_is_told():
    async with Session() as session:
        session.client.begin("me", clean=False)
        task = begin(session.client.begun())
        await settle()
        await session.says(b"\x20\x02\x01\x00")
        equal(await task, (True, b""))


async def test_two_questions_at_once_get_each_its_own_answer():
    async with Session() as session:
        first = begin(session.client.subscribe([("a", 1)]))
        second = begin(session.client.subscribe([("b", 0)]))
        await settle()
        await session.says(packet(0x90, two(ASKED + 2), b"\x00"), SUBACK_1)
        equal((await first, await second), (b"\x01", b"\x00"))


async def test_the_window_frees_what_is_acknowledged_and_nothing_else():
    async with Session(window=2) as session:
        equal([session.client.put("t", "", False, 1, token) for token in "abc"], [True, True, False])
        await session.says(puback(3), puback(ASKED), puback(ASKED + 1), puback(65_535), puback(1), puback(1))
        equal(session.acknowledged, ["a"])
        equal(session.client.unacknowledged(), ["b"])
        equal([session.client.put("t", "", False, 1, token) for token in "cd"], [True, False])


async def test_packet_ids_wrap_and_keep_their_order_whatever_the_window():
    for window in (1, 3, 8, 64):
        async with Session(window=window) as session:
            last = session.client.ids
            assert 64_900 < last < 65_536 - 500 and last % window == 0, last
            session.client.next = last - 1
            tokens = list("abc"[:window])
            equal([session.client.put("t", "", False, 1, token) for token in tokens], [True] * len(tokens))
            session.client.flush()
            ids = [body[3] << 8 | body[4] for _, body in session.stream.heard()]
            equal(ids, [last, 1, 2][:window])
            equal(session.client.unacknowledged(), tokens)
            await session.says(*[puback(number) for number in ids])
            equal(session.acknowledged, tokens)
