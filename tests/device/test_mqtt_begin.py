"""From waking to sleeping in two round trips: CONNECT, SUBSCRIBE and publishes leave before any answer has come."""

from minitest import equal
from mqtt import MQTTError
from mqtt_window import Window
from scripted import CONNACK, Session, begin, puback, settle

SUBACK_1 = b"\x90\x03\x00\x01\x01"


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
        await session.says(CONNACK, SUBACK_1, puback(2), puback(3), puback(4))
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
        one = begin(session.client.subscribe([("a", 1)]))
        two = begin(session.client.subscribe([("b", 0)]))
        await settle()
        await session.says(b"\x90\x03\x00\x02\x00", b"\x90\x03\x00\x01\x01")
        equal((await one, await two), (b"\x01", b"\x00"))


def test_the_window_frees_what_is_acknowledged_and_nothing_else():
    window = Window(2)
    equal([window.begin("a"), window.begin("b"), window.full()], [1, 2, True])
    equal([window.waits(number) for number in (1, 2, 3)], [True, True, False])
    equal(window.end(1), "a")
    equal((window.full(), window.waits(1), window.tokens()), (False, False, ["b"]))


def test_the_window_counts_how_long_each_has_waited():
    window = Window(2)
    equal(window.age(), 0)
    one = window.begin("a")
    equal([window.age(), window.age()], [1, 2])
    window.begin("b")
    equal(window.age(), 3)
    window.end(one)
    equal(window.age(), 2)
    window.begin("c")
    equal(window.age(), 3)


def test_packet_ids_wrap_past_zero_and_keep_their_order():
    window = Window(4)
    for _ in range(65_533):
        window.take_id()
    equal([window.begin(token) for token in "abc"], [65_534, 65_535, 1])
    equal(window.tokens(), ["a", "b", "c"])
    assert window.full(), "the next would take the place of the first"
