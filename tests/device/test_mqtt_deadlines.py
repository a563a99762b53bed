"""The client's deadlines: nothing is waited for without an end, and what is slow but alive lives on.

Everything scales with the keepalive, so a tick is 12 ms here. Ticks are counted, as the client counts them, rather than
times compared: a machine that stops for a moment changes nothing.
"""

import asyncio

from minitest import equal
from mqtt import MQTTError
from scripted import PINGREQ, PINGRESP, Session, begin, field, packet, puback, publish, results, settle

TICK_S = 0.012
ANSWER_TICKS = 5  # a deadline passes one tick after these, looked at once a tick
PING_TICKS = 2  # of silence; 4 are the keepalive

PARTIAL = publish("t", b"x" * 100)[:50]
LONG = publish("t", b"y" * 3_000)


class Timed(Session):
    """A session with short deadlines whose ticks are counted; `broker(self)`, if any, is called twice a tick."""

    def __init__(self, broker=None, answer_ticks=ANSWER_TICKS, **options):
        super().__init__(keepalive_s=4 * TICK_S, answer_s=answer_ticks * TICK_S, **options)
        self.ticks = 0
        self.pings = []  # ticks at which one was heard
        self._broker = broker

    async def __aenter__(self):
        await super().__aenter__()
        self._tasks = [asyncio.create_task(self._count()), asyncio.create_task(self._serve())]
        return self

    async def __aexit__(self, *error):
        for task in self._tasks:
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                pass  # ours
        await super().__aexit__(*error)

    async def _count(self):
        while not self.over.is_set():
            await asyncio.sleep(TICK_S)  # once a tick, as the client: a slow machine delays both alike
            self.ticks += 1

    async def _serve(self):
        while not self.over.is_set():
            await asyncio.sleep(TICK_S / 2)
            for write in self.stream.writes:
                self.pings += [self.ticks] * (write == PINGREQ)
            if self._broker:
                self._broker(self)
            else:
                self.stream.writes.clear()

    async def lives(self, ticks):
        """Assert that nothing ends it for as long."""
        while self.ticks < ticks:
            assert not self.over.is_set(), "ended after %d ticks: %r" % (self.ticks, self.error)
            await asyncio.sleep(TICK_S / 2)

    async def ends_after(self, least, most):
        """Assert that it ends with MQTTError, and when."""
        error = await self.ended()
        assert isinstance(error, MQTTError), error
        assert least <= self.ticks <= most, "ended after %d ticks, not %d to %d" % (self.ticks, least, most)


def answers(session):
    """A good broker: answers what it gets."""
    for first, body in session.stream.heard():
        if first == 0xC0:
            session.stream.say(PINGRESP)
        elif first == 0x32:
            session.stream.say(puback(body[3] << 8 | body[4]))


def only_pongs(session):
    """A broker that has lost every PUBLISH."""
    for first, _ in session.stream.heard():
        if first == 0xC0:
            session.stream.say(PINGRESP)


async def test_a_ping_goes_out_after_half_a_keepalive_of_silence():
    async with Timed(answers) as session:
        await session.lives(30)
        gaps = [after - before for before, after in zip(session.pings, session.pings[1:])]
        assert PING_TICKS - 1 <= session.pings[0] <= PING_TICKS + 1, session.pings
        assert min(gaps) >= 2 and max(gaps) <= 4, "between pings: %s" % gaps
        assert 8 <= len(session.pings) <= 11, "half a keepalive after each answer: %s" % session.pings


async def test_traffic_both_ways_makes_pings_needless():
    def busy(session):
        session.stream.writes.clear()
        session.stream.say(publish("t", b"news"))
        session.client.put("t", "report")
        session.client.flush()

    async with Timed(busy) as session:
        await session.lives(20)
        equal(session.pings, [])


async def test_traffic_one_way_does_not():
    def talks(session):
        only_pongs(session)
        session.stream.say(publish("t", b"news"))

    def listens(session):
        answers(session)
        session.client.put("t", "report")
        session.client.flush()

    for broker in (talks, listens):
        async with Timed(broker) as session:
            await session.lives(20)
            assert len(session.pings) >= 3, session.pings


async def test_a_broker_that_is_silent_is_given_up():
    async with Timed() as session:
        await session.ends_after(PING_TICKS + ANSWER_TICKS - 1, PING_TICKS + ANSWER_TICKS + 1)
        equal(len(session.pings), 1)


async def test_a_broker_that_talks_but_answers_no_ping_is_given_up():
    async with Timed(lambda session: session.stream.say(publish("t", b"news"))) as session:
        await session.ends_after(PING_TICKS + ANSWER_TICKS - 1, PING_TICKS + ANSWER_TICKS + 1)


async def test_a_publish_that_is_never_acknowledged_ends_the_connection():
    async with Timed(only_pongs) as session:
        task = begin(session.client.publish("t", "x", qos=1))
        await session.ends_after(ANSWER_TICKS, ANSWER_TICKS + 2)
        assert isinstance(await task, MQTTError)


async def test_one_acknowledgement_lost_among_many_ends_it_as_well():
    def forgets_one(session):
        for first, body in session.stream.heard():
            if first == 0xC0:
                session.stream.say(PINGRESP)
            elif body[4] != 3:
                session.stream.say(puback(body[4]))
        session.client.put("t", "", qos=1, token=session.ticks)
        session.client.flush()

    async with Timed(forgets_one) as session:
        await session.ends_after(ANSWER_TICKS, ANSWER_TICKS + 5)  # since it is the oldest that waits
        assert len(session.client.unacknowledged()) >= 1


async def test_what_a_slow_link_has_under_way_is_not_late():
    ticks = 3 * ANSWER_TICKS  # 8 KB on a link that carries 4 KB in a deadline, and then the answer's own
    document = b"x" * 8_192
    async with Timed(only_pongs) as session:
        task = begin(session.client.publish("t", document, qos=1))
        await session.lives(ticks - 2)
        session.stream.say(puback(1))
        equal(await task, None)
        await session.lives(ticks + 2)
    async with Timed(only_pongs) as session:
        begin(session.client.publish("t", document, qos=1))
        await session.ends_after(ticks - 1, ticks + 1)


async def test_what_is_under_way_is_believed_up_to_a_bound():
    """Or a program that publishes without an end would never learn that nobody answers."""
    def floods(session):
        only_pongs(session)
        session.client.put("t", b"x" * 2_000)
        session.client.flush()

    async with Timed(floods) as session:
        for _ in range(30):
            session.client.put("t", b"x" * 2_000)
        begin(session.client.publish("t", "x", qos=1))
        await session.ends_after(8 * ANSWER_TICKS, 9 * ANSWER_TICKS + 1)  # 32 KB, and the answer's own


async def test_the_oldest_of_those_in_flight_counts():
    async with Timed(only_pongs) as session:
        session.client.put("t", "", qos=1)
        await session.lives(3)
        session.client.put("t", "", qos=1)
        await session.ends_after(ANSWER_TICKS, ANSWER_TICKS + 2)


async def test_acknowledgements_in_time_keep_it_alive():
    def publishes(session):
        answers(session)
        while session.client.put("t", "", qos=1):
            pass
        session.client.flush()

    async with Timed(publishes) as session:
        await session.lives(30)


async def test_a_packet_that_stands_still_ends_the_connection():
    for said in (PARTIAL, b"\x30", b"\x30\x80", publish("t", b"whole") + PARTIAL, LONG[:300], LONG[:2_999],
                 publish("t", b"whole") + LONG[:300], publish("t", b"z" * 9_000)[:5_000]):
        async with Timed(answers) as session:
            await session.says(said)
            await session.ends_after(ANSWER_TICKS, ANSWER_TICKS + 2)


async def test_reads_that_always_end_within_a_packet_are_no_standstill():
    whole = publish("t", b"x" * 40)

    def streams(session):
        session.stream.writes.clear()
        session.stream.say(whole[20:], PINGRESP, whole[:20])

    async with Timed(streams) as session:
        await session.says(whole[:20])
        await session.lives(25)
        assert len(session.messages) > 20, len(session.messages)


async def test_silence_after_a_long_packet_is_no_standstill():
    async with Timed(answers, answer_ticks=1) as session:
        await session.says(LONG)
        await session.lives(8)


async def test_a_packet_that_drips_ends_the_connection():
    def drips(session):
        session.stream.writes.clear()
        session.stream.say(b"x")

    for begins in (PARTIAL[:5], LONG[:300]):
        async with Timed(drips) as session:
            await session.says(begins)
            await session.ends_after(ANSWER_TICKS, ANSWER_TICKS + 2)


async def test_a_long_packet_that_moves_lives_and_so_does_what_waits_behind_it():
    whole = publish("t", b"z" * 20_000) + puback(1) + PINGRESP
    rest = []

    def sends_slowly(session):
        if rest:
            session.stream.writes.clear()
            session.stream.say(rest.pop(0))
        else:
            answers(session)

    for limit_bytes in (100, 20_000):
        rest += [whole[at : at + 600] for at in range(0, len(whole), 600)]
        async with Timed(sends_slowly, limit_bytes=limit_bytes) as session:
            task = begin(session.client.publish("t", "x", qos=1))
            await session.lives(40)
            equal(await task, None)
            equal(len(session.messages), 1)


async def test_deadlines_run_again_after_a_long_packet():
    async with Timed() as session:
        begin(session.client.publish("t", "x", qos=1))
        await session.says(LONG, PARTIAL)
        await settle()
        await session.says(publish("t", b"x" * 100)[50:])
        await session.ends_after(ANSWER_TICKS, ANSWER_TICKS + 2)


async def test_a_question_without_an_answer_ends_the_connection():
    for name, arguments in (("connect", ("me",)), ("subscribe", ((("a", 1),),)), ("unsubscribe", (("a",),))):
        async with Session(answer_s=0.05) as session:
            task = begin(getattr(session.client, name)(*arguments))
            assert isinstance(await session.ended(), MQTTError), name
            assert isinstance(await task, MQTTError), name


async def test_a_question_has_its_deadline_also_when_the_line_takes_nothing():
    async with Timed(only_pongs) as session:
        session.stream.hold()
        task = begin(session.client.subscribe((("a", 1),)))
        await session.ends_after(ANSWER_TICKS, ANSWER_TICKS + 2)
        session.stream.let_go()
        assert isinstance(await task, MQTTError)


async def test_questions_that_are_answered_or_given_up_have_no_deadline():
    def grants(session):
        for first, body in session.stream.heard():
            session.stream.say(PINGRESP if first == 0xC0 else packet(0x90, body[:2], b"\1"))
        if len(asked) < 20:
            asked.append(begin(session.client.subscribe((("a", 1),))))

    asked = []
    async with Timed(grants) as session:
        await session.lives(2 * ANSWER_TICKS)
        equal(await results(asked[:5]), [b"\1"] * 5)
    async with Timed(only_pongs) as session:
        task = begin(session.client.unsubscribe(("a",)))
        await session.lives(2)
        task.cancel()
        await session.lives(2 * ANSWER_TICKS)


async def test_silence_after_a_ping_is_noticed_in_its_deadline_and_no_later():
    async with Timed() as session:
        await session.ends_after(0, 20)
        waited = session.ticks - session.pings[0]
        assert ANSWER_TICKS - 1 <= waited <= ANSWER_TICKS + 1, waited


async def test_a_line_that_takes_nothing_is_given_up():
    async with Timed() as session:
        session.stream.hold()
        stuck = begin(session.client.publish("t", "QoS 0"))
        await settle()
        behind = begin(session.client.publish("t", "QoS 0"))
        await session.ends_after(PING_TICKS + ANSWER_TICKS - 1, PING_TICKS + ANSWER_TICKS + 1)
        assert isinstance(await behind, MQTTError)
        session.stream.let_go()
        await stuck


async def test_a_body_of_no_meaning_is_slow_as_well():
    # A packet of another kind than PUBLISH, far beyond every limit, is drained or given up like any other.
    async with Timed(answers) as session:
        await session.says(packet(0x90, field("x" * 10_000))[:600])
        await session.ends_after(ANSWER_TICKS, ANSWER_TICKS + 2)


async def test_a_packet_that_never_ends_is_no_packet():
    rest = [b"\x30\x80\x89\x7a\0\1t"]  # of two million bytes

    def trickles(session):
        session.stream.writes.clear()
        session.stream.say(rest.pop() if rest else b"z" * 9_000)

    async with Timed(trickles) as session:
        await session.ends_after(ANSWER_TICKS, 16_384 // 9_000 + 2 * ANSWER_TICKS)


async def test_without_a_keepalive_nothing_is_pinged():
    async with Session(keepalive_s=0) as session:
        await settle()
        assert not session.over.is_set(), session.error
