"""Sessions that the broker kept: what was in flight is sent again with DUP and its old packet id."""

from minitest import equal, raises
from mqtt_session import kept, resume
from scripted import Session, begin, field, puback, settle, two
from test_mqtt5 import Session5


def message(token):
    return "t/" + token, token * 3, token == "b"


async def left(kind, acknowledged, first=0):
    """The session that a client leaves that has put a, b and c and got these acknowledged."""
    async with kind(window=4) as session:
        session.client.next = first
        for token in "abc":
            topic, payload, retain = message(token)
            assert session.client.put(topic, payload, retain, 1, token)
        session.client.flush()
        await session.says(*[puback((first + number) % session.client.ids + 1) for number in acknowledged])
        return kept(session.client)


async def test_what_was_in_flight_is_sent_again_in_its_order_with_dup_and_its_id():
    for first in (0, 2, 64_998):
        before = await left(Session, (1,), first)
        async with Session(window=4) as session:
            await resume(session.client, before, message)
            ids = [two((first + number) % session.client.ids + 1) for number in (0, 2, 3)]
            equal(session.stream.heard(), [
                (0x3A, field("t/a") + ids[0] + b"aaa"), (0x3A, field("t/c") + ids[1] + b"ccc")])
            equal(session.client.unacknowledged(), ["a", "c"])
            assert session.client.put("t", "new", False, 1, "d")
            session.client.flush()
            equal(session.stream.heard(), [(0x32, field("t") + ids[2] + b"new")])
            await session.says(*[puback(number[0] << 8 | number[1]) for number in ids])
            equal(session.acknowledged, ["a", "c", "d"])


async def test_retained_stays_retained():
    before = await left(Session, ())
    async with Session(window=4) as session:
        await resume(session.client, before, message)
        equal([first for first, _ in session.stream.heard()], [0x3A, 0x3B, 0x3A])


async def test_more_than_the_line_takes_at_once_is_waited_for():
    before = await left(Session, ())
    async with Session(window=4) as session:
        session.stream.hold()
        task = begin(resume(session.client, before, lambda token: ("t", token * 2_000, False)))
        await settle()
        assert not task.done()
        session.stream.let_go()
        equal(await task, None)
        equal([len(body) for _, body in session.stream.heard()], [2_005] * 3)


async def test_another_window_is_refused():
    before = await left(Session, ())
    async with Session(window=8) as session:
        with raises(ValueError):
            await resume(session.client, before, message)
        equal(session.stream.writes, [])


async def test_with_mqtt_5_properties_are_sent_again_too():
    before = await left(Session5, (0,))
    async with Session5(window=4) as session:
        await session.connected()
        again = lambda token: message(token) + ({"content_type": token},)  # noqa: E731
        await resume(session.client, before, again)
        equal(session.stream.heard(), [
            (0x3B, field("t/b") + two(2) + b"\x04\x03\0\x01bbbb"),
            (0x3A, field("t/c") + two(3) + b"\x04\x03\0\x01cccc")])


async def test_a_broker_that_retains_nothing_gets_what_was_in_flight_all_the_same():
    before = await left(Session5, ())
    refused = []
    async with Session5(window=4, on_refused=lambda token, error: refused.append(token)) as session:
        await session.connected(b"\x25\0")
        await resume(session.client, before, message)
        equal([first for first, _ in session.stream.heard()], [0x3A, 0x3A])
        equal((session.client.unacknowledged(), refused), (["a", "c"], ["b"]), "only b is to be retained:")
