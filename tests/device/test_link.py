"""The link: sessions that begin and end properly, every deadline, backoff, and readings that survive a break."""

from firmware import slots
from firmware.dialects.mote import Dialect
from firmware.link import Link
from firmware.outbox import Outbox
from minitest import equal
from ring import Ring
from stage import Stage
from uptime import Uptime

CONFIG = {
    "node": {"id": None, "name": None, "area": None, "groups": []},
    "wifi": {"home": {"password": "correct horse"}},
    "mqtt": {"host": "broker.test", "port": 1883, "user": "u", "password": "p", "base": "mote", "keepalive_s": 60,
             "version": 4,             "path": None, "tls": None, "reconnect_window_s": 5, "reconnect_cap_s": 60},
    "telemetry": {"interval_s": 60, "qos": 1},
    "homeassistant": {"discovery": False, "prefix": "homeassistant", "controls": True},
    "power": {"mode": "always"},
    "time": {"servers": ["time.test"]},
}
LEVEL = (("level", "m", "%", 0, None, 0, 1000),)
TOP = "mote/n-1/"
LEGAL = {"down": ("joining",), "joining": ("connecting", "down"), "connecting": ("online", "down"),
         "online": ("leaving", "down"), "leaving": ("down",)}
MINUTE_MS = 60_000


class Rig(Stage):
    """A link with its outbox on a stage, as a node has them."""

    def __init__(self, **mqtt):
        super().__init__()
        self.uptime = Uptime(self.board)
        self.outbox = Outbox(self.board, self.uptime, Ring)
        slots.declare(self.outbox, "tank", LEVEL)
        slots.resize(self.outbox, Ring, 64)
        self.heard = []
        self.births = [(TOP + "info", "{}", True, 1), (TOP + "status", "online", True, 1)]
        self.link = Link(self.board, self.uptime, self.outbox, self._hear, lambda: list(self.births))
        self.build(**mqtt)

    def _hear(self, *message):
        self.heard.append(message)

    def build(self, node_id="n-1", qos=1, **mqtt):
        config = dict(CONFIG, mqtt=dict(CONFIG["mqtt"], **mqtt), telemetry={"interval_s": 60, "qos": qos})
        self.link.build(config, Dialect(config, {"id": node_id, "boot": 7}, []))

    @property
    def line(self):
        return self.broker.line

    async def go(self, ms=0):
        """Start, and let time pass."""
        self.start(self.link.run())
        self.start(self._turns())
        await self.pass_ms(ms)

    async def _turns(self):
        while True:
            wait = self.outbox.turn(self.uptime.ms())
            await self.board.sleep_ms(max(1, min(100, wait)))

    def add(self, *levels):
        for level in levels:
            self.outbox.add(0, [level])

    def states(self):
        """The states that it went through, by its log."""
        words = [line[6:] for line in self.board.said if line.startswith("link: ")]
        return [word for word in words if word in LEGAL]

    def attempts_ms(self):
        """The pauses between attempts to open a connection."""
        times = [opened[0] for opened in self.board.opened]
        return [times[index] - times[index - 1] for index in range(1, len(times))]

    def check(self):
        """What holds at every moment."""
        box = self.outbox
        equal(box.seq, box.acknowledged + box.queued + sum(box.dropped.values()), "produced:")
        before = "down"
        for state in self.states():
            assert state in LEGAL[before], self.states()
            before = state
        equal(before, self.link.state)


def live(line):
    return [message.json()["seq"] for message in line.on(TOP + "telemetry/tank")]


def backlog(*lines):
    return [reading["seq"] for line in lines for message in line.on(TOP + "backlog") for reading in message.json()]


async def test_a_session_is_introduced_in_order():
    async with Rig() as rig:
        await rig.go()
        equal(rig.board.opened, [(0, "broker.test", 1883, None)])
        equal(rig.line.hello, {"id": "n-1", "keepalive_s": 60, "clean": True, "user": "u", "password": "p",
                               "will": (TOP + "status", b"offline", True, 1)})
        equal(sorted(rig.line.filters), sorted([(TOP + "config/set", 1), (TOP + "config/set/+", 1), (TOP + "probe", 1),
                                                (TOP + "command/+", 1), ("mote/all/command/+", 1)]))
        equal([(message.topic, message.payload, message.retain, message.qos) for message in rig.line.messages],
              [(TOP + "info", b"{}", True, 1), (TOP + "status", b"online", True, 1)])
        equal(rig.states(), ["joining", "connecting", "online"])
        equal((rig.link.state, rig.link.sessions, rig.link.promise_ms), ("online", 1, None))
        rig.check()


async def test_live_readings_leave_at_once_and_are_acknowledged():
    async with Rig() as rig:
        await rig.go()
        rig.add(5, 6)
        equal(rig.outbox.queued, 2)
        await rig.pass_ms(0)
        equal(live(rig.line), [1, 2])
        message = rig.line.on(TOP + "telemetry/tank")[1]
        equal((message.qos, message.retain), (1, False))
        equal(message.json(), {"ts": 1_800_000_000, "boot": 7, "seq": 2, "level": 6})
        equal((rig.outbox.acknowledged, rig.outbox.queued), (2, 0))
        equal(rig.line.owed, [])


async def test_at_qos_0_written_is_acknowledged():
    async with Rig() as rig:
        rig.build(qos=0)
        rig.broker.acknowledges = False
        await rig.go()
        rig.line.acknowledge()
        rig.add(1, 2, 3)
        await rig.pass_ms(0)
        equal([message.qos for message in rig.line.on(TOP + "telemetry/tank")], [0, 0, 0])
        equal((rig.outbox.acknowledged, rig.outbox.queued), (3, 0))


async def test_messages_that_come_in_are_handed_on_and_acknowledged():
    async with Rig() as rig:
        await rig.go()
        rig.line.deliver(TOP + "command/sample", "word")
        rig.line.deliver(TOP + "config/set", "{}", retain=True)
        rig.line.deliver(TOP + "config/set", "x" * 5000)
        await rig.pass_ms(0)
        equal([(topic, payload and bytes(payload), retained) for topic, payload, retained in rig.heard],
              [(TOP + "command/sample", b"word", False), (TOP + "config/set", b"{}", True),
               (TOP + "config/set", None, False)])


async def test_what_was_not_acknowledged_becomes_backlog():
    async with Rig() as rig:
        await rig.go()
        rig.broker.acknowledges = False
        rig.add(*range(12))
        await rig.pass_ms(100)
        first = rig.line
        equal(live(first), [1, 2, 3, 4, 5, 6, 7, 8], "as many as the window has places:")
        first.acknowledge(3)
        await rig.pass_ms(0)
        equal(rig.outbox.acknowledged, 3)
        rig.line.hang_up()
        await rig.pass_ms(0)
        equal((rig.outbox.queued, rig.link.state), (9, "down"))
        rig.check()
        rig.add(100)
        rig.broker.acknowledges = True
        await rig.pass_ms(MINUTE_MS)
        equal(live(rig.line), [], "nothing stale is live:")
        equal(backlog(rig.line), list(range(4, 14)))
        equal((rig.outbox.queued, rig.outbox.acknowledged), (0, 13))
        rig.add(101)
        await rig.pass_ms(0)
        equal(live(rig.line), [14])
        rig.check()


async def test_a_batch_that_was_not_acknowledged_is_sent_again():
    async with Rig() as rig:
        rig.board.open_fails = OSError(111)
        await rig.go()
        rig.add(*range(20))
        rig.broker.acknowledges = False
        rig.board.open_fails = None
        await rig.pass_ms(3_000)
        rig.line.acknowledge(2)  # the birth; the batch is in flight
        await rig.pass_ms(2_000)
        assert backlog(rig.line)
        rig.line.hang_up()
        rig.broker.acknowledges = True
        await rig.pass_ms(MINUTE_MS)
        equal(backlog(rig.line), list(range(1, 21)))
        equal((rig.outbox.queued, rig.outbox.acknowledged), (0, 20))
        rig.check()


async def test_the_backlog_is_rate_limited_and_live_readings_go_first():
    async with Rig() as rig:
        rig.add(*range(40))
        await rig.go(100)
        equal(backlog(rig.line), list(range(1, 9)))
        for count in range(1, 4):
            await rig.pass_ms(250)
            rig.add(100 + count)
            await rig.pass_ms(0)
            equal(live(rig.line), list(range(41, 41 + count)), "at once, whatever waits:")
            await rig.pass_ms(250)
            assert len(rig.line.on(TOP + "backlog")) <= count + 1, "more than two a second"
        await rig.pass_ms(3_000)
        equal(backlog(rig.line), list(range(1, 41)))


async def test_readings_that_the_network_did_not_take_at_qos_0_become_backlog():
    async with Rig() as rig:
        rig.build(qos=0)
        await rig.go()
        rig.line.hold()
        rig.add(1, 2, 3)
        await rig.pass_ms(0)
        equal((rig.outbox.acknowledged, rig.outbox.queued), (0, 3))
        rig.line.hang_up()
        await rig.pass_ms(MINUTE_MS)
        equal(backlog(rig.line), [1, 2, 3])
        equal((rig.outbox.queued, rig.outbox.acknowledged), (0, 3))
        rig.check()


async def test_no_batch_is_lost_while_the_window_is_full():
    async with Rig() as rig:
        rig.build(qos=0)
        rig.add(*range(64))
        rig.broker.acknowledges = False
        await rig.go(6_000)
        equal(backlog(rig.line), list(range(1, 49)), "two places of the window are taken by the birth:")
        rig.check()
        rig.broker.acknowledges = True
        rig.line.acknowledge()
        await rig.pass_ms(3_000)
        equal(backlog(rig.line), list(range(1, 65)))
        equal((rig.outbox.queued, rig.outbox.acknowledged), (0, 64))


async def breaks_in_write(qos, number):
    """The socket dies in the `number`-th write after fifteen readings came: none may be lost."""
    async with Rig() as rig:
        rig.build(qos=qos)
        await rig.go()
        first = rig.line
        first.breaks_at = number
        rig.add(*range(15))
        await rig.pass_ms(MINUTE_MS)
        assert len(rig.broker.lines) == 2 or first.breaks_at >= 0
        rig.check()
        equal(rig.outbox.queued, 0)
        found = live(first) + backlog(*rig.broker.lines)
        equal(sorted(set(found)), list(range(1, 16)), "QoS %d, write %d:" % (qos, number))
        equal(live(rig.line) if rig.line is not first else [], [])


async def test_a_write_that_fails_loses_no_reading():
    for qos in (0, 1):
        for number in range(4):
            await breaks_in_write(qos, number)


async def test_leaving_says_goodbye():
    async with Rig() as rig:
        await rig.go()
        rig.link.leave()
        await rig.pass_ms(0)
        last = rig.line.messages[-1]
        equal((last.topic, last.payload, last.retain, last.qos), (TOP + "status", b"offline", True, 1))
        equal((rig.line.goodbye, rig.line.closed, rig.ended), (True, True, True))
        equal(rig.states(), ["joining", "connecting", "online", "leaving", "down"])
        await rig.pass_ms(MINUTE_MS)
        equal(len(rig.board.opened), 1)
        rig.check()


async def test_leaving_sends_what_was_posted_before():
    async with Rig() as rig:
        await rig.go()
        rig.link.leave()
        rig.link.post((TOP + "reply", "bye", False, 1))
        await rig.pass_ms(0)
        equal([message.payload for message in rig.line.messages[-2:]], [b"bye", b"offline"])


async def test_leaving_does_not_wait_for_ever_for_an_answer():
    async with Rig() as rig:
        await rig.go()
        rig.broker.acknowledges = False
        rig.link.leave()
        await rig.pass_ms(4_900)
        equal(rig.link.state, "leaving")
        await rig.pass_ms(200)
        equal((rig.link.state, rig.line.closed, rig.line.goodbye, rig.ended), ("down", True, False, True))
        await rig.pass_ms(MINUTE_MS)
        equal(len(rig.board.opened), 1)


async def test_leaving_while_waiting_ends_at_once():
    async with Rig(reconnect_window_s=60) as rig:
        rig.board.open_fails = OSError(111)
        await rig.go(1_000)
        rig.link.leave()
        await rig.pass_ms(0)
        equal((rig.ended, len(rig.board.opened)), (True, 1))


async def test_leaving_during_an_attempt_says_goodbye_when_it_succeeded():
    async with Rig() as rig:
        rig.broker.code = None
        await rig.go(1_000)
        rig.link.leave()
        rig.line.say(b"\x20\x02\x00\x00")
        await rig.pass_ms(0)
        equal(rig.line.messages[-1].payload, b"offline")
        equal((rig.line.goodbye, rig.link.state), (True, "down"))


async def test_reconnecting_takes_the_new_settings():
    async with Rig() as rig:
        await rig.go(1_000)
        first = rig.line
        rig.build(node_id="n-2", host="other.test", port=8883, keepalive_s=7, user=None)
        rig.link.reconnect()
        await rig.pass_ms(0)
        equal((first.messages[-1].topic, first.messages[-1].payload), (TOP + "status", b"offline"))
        assert first.goodbye
        equal(rig.board.opened[1], (1_000, "other.test", 8883, None), "at once:")
        hello = rig.line.hello
        equal((hello["id"], hello["keepalive_s"], hello["user"], hello["password"]), ("n-2", 7, None, None))
        equal(hello["will"][0], "mote/n-2/status")
        equal((rig.link.state, rig.link.sessions), ("online", 2))
        assert not [line for line in rig.board.said if "next attempt" in line], "this was no failure"
        rig.check()


async def test_reconnecting_after_failures_is_immediate_and_forgets_them():
    async with Rig() as rig:
        rig.board.open_fails = OSError(111)
        await rig.go(50_000)
        count = len(rig.board.opened)
        rig.link.reconnect()
        await rig.pass_ms(0)
        equal(len(rig.board.opened), count + 1)
        await rig.pass_ms(2_500)
        equal(len(rig.board.opened), count + 2, "the first window again:")


async def test_what_would_be_old_by_then_is_dropped_at_a_break_and_counted():
    async with Rig() as rig:
        await rig.go(1_000)
        rig.line.breaks_at = 0
        for payload, qos in (("old", 0), ("old", 0), ("kept", 1)):
            rig.link.post((TOP + "reply", payload, False, qos))
        await rig.pass_ms(10_000)
        equal(rig.link.state, "online")
        said = [message.payload for line in rig.broker.lines for message in line.messages]
        assert b"old" not in said and b"kept" in said, said
        equal(rig.link.dropped, 2, "one at the write, one that waited:")


async def test_a_reply_that_the_broker_has_not_acknowledged_is_sent_again():
    async with Rig() as rig:
        await rig.go(1_000)
        rig.broker.acknowledges = False
        for payload in ("one", "two"):
            rig.link.post((TOP + "reply", payload, False, 1))
        rig.link.post((TOP + "config", "as it was", True, 1))
        rig.add(5)
        await rig.pass_ms(100)
        rig.line.acknowledge(1)
        await rig.pass_ms(100)
        rig.line.hang_up()
        await rig.pass_ms(0)
        rig.broker.acknowledges = True
        await rig.pass_ms(10_000)
        equal([message.payload for message in rig.line.on(TOP + "reply")], [b"two"])
        equal(rig.line.on(TOP + "config"), [], "the birth has told it as it is now:")
        rig.line.hang_up()
        await rig.pass_ms(10_000)
        equal((len(rig.broker.lines), rig.line.on(TOP + "reply"), rig.link.dropped), (3, [], 0))
        rig.check()


async def test_replies_that_are_never_acknowledged_do_not_pile_up():
    async with Rig() as rig:
        await rig.go(1_000)
        rig.broker.acknowledges = False
        for number in range(40):
            rig.link.post((TOP + "reply", str(number), False, 1))
            if number % 5 == 4:
                await rig.pass_ms(100)
                rig.line.hang_up()
                await rig.pass_ms(0)
        rig.broker.acknowledges = True
        await rig.pass_ms(60_000)
        last = [int(message.payload) for message in rig.line.on(TOP + "reply")]
        equal(last, list(range(40 - len(last), 40)), "the newest, in order:")
        equal(rig.link.dropped, 40 - len(last))
        assert last, "some are kept"


async def test_what_a_broker_of_mqtt_5_refuses_is_not_sent_again():
    async with Rig(version=5) as rig:
        rig.broker.newest = 5
        rig.broker.denies = TOP + "reply"
        await rig.go(1_000)
        rig.link.post((TOP + "reply", "no", False, 1))
        await rig.pass_ms(100)
        equal(rig.link.dropped, 1)
        rig.line.hang_up()
        await rig.pass_ms(10_000)
        equal((len(rig.broker.lines), rig.line.on(TOP + "reply"), rig.link.dropped), (2, [], 1))


async def test_what_is_posted_waits_for_a_session_within_bounds():
    async with Rig() as rig:
        rig.board.open_fails = OSError(111)
        await rig.go()
        for number in range(16):
            rig.link.post((TOP + "reply", str(number), False, 1))
        equal(rig.link.dropped, 3)
        rig.board.open_fails = None
        await rig.pass_ms(5_000)
        equal([message.payload for message in rig.line.on(TOP + "reply")], [b"%d" % number for number in range(3, 16)])
        rig.link.post((TOP + "diagnostics", "{}", False, 0))
        await rig.pass_ms(0)
        last = rig.line.messages[-1]
        equal((last.topic, last.qos, last.retain), (TOP + "diagnostics", 0, False))
        equal(rig.link.dropped, 3)


async def pauses(rig, seconds):
    """The first pauses between attempts, in seconds, when every chance is a half."""
    await rig.go(1000 * seconds)
    return [ms / 1000 for ms in rig.attempts_ms()]


async def test_the_window_is_wide_when_the_broker_is_away():
    async with Rig() as rig:
        rig.board.open_fails = OSError(111)
        equal((await pauses(rig, 200))[:12], [2.5, 2.5, 5, 5, 5, 10, 10, 10, 20, 20, 20, 30],
              "half of 5, 5, 10, 10, 10, 20, 20, 20, 40, 40, 40, 60 s:")
        rig.check()
    async with Rig(reconnect_window_s=60, reconnect_cap_s=300) as rig:
        rig.board.open_fails = OSError(111)
        equal((await pauses(rig, 700))[:7], [30, 30, 60, 60, 60, 120, 120], "a fleet:")
    for chance, first in ((0.001, 0.005), (0.999, 4.995)):
        async with Rig() as rig:
            rig.board.open_fails = OSError(111)
            rig.board.chance = chance
            equal((await pauses(rig, 6))[0], first)


async def test_the_window_is_wide_when_the_broker_hung_up_or_refused():
    for end in ("hang up", "reset", "refuse"):
        async with Rig() as rig:
            rig.broker.code = 5 if end == "refuse" else 0
            await rig.go(100)
            if end != "refuse":
                rig.line.hang_up(0 if end == "hang up" else OSError(104))
            await rig.pass_ms(0)
            equal(rig.link.state, "down", end)
            await rig.pass_ms(2_390)
            equal(len(rig.board.opened), 1, end)
            await rig.pass_ms(120)
            equal(len(rig.board.opened), 2, end)


async def test_the_window_is_narrow_when_only_our_wifi_fell():
    async with Rig(reconnect_window_s=60) as rig:
        await rig.go(1_000)
        rig.board.network = False
        rig.board.join_fails = OSError("no such network")
        rig.line.hang_up(OSError(113))
        await rig.pass_ms(40_000)
        equal(len(rig.board.joins), 10, "half of 2, 2, 4, 4, 4, 8, 8, 8, 16 and 16 s:")
        equal(rig.board.joins[0], CONFIG["wifi"])
        equal(len(rig.board.opened), 1, "no connection without a network:")
        rig.board.join_fails = None
        await rig.pass_ms(31_000)
        equal(rig.link.state, "online")
        assert "! link: no such network while joining" in rig.board.said
        rig.check()


async def test_short_sessions_do_not_reset_the_backoff():
    async with Rig() as rig:
        await rig.go()
        waits = []
        for _ in range(6):
            await rig.pass_ms(20_000)
            rig.line.hang_up()
            await rig.pass_ms(0)
            waits.append(rig.board.said[-1])
            await rig.pass_ms(31_000)
            equal(rig.link.state, "online")
        equal(waits, ["link: next attempt in %d ms" % ms for ms in (2500, 2500, 5000, 5000, 5000, 10_000)])


async def test_a_session_that_lasted_resets_the_backoff():
    async with Rig() as rig:
        await rig.go()
        for lasts_ms, wait in ((20_000, 2500), (20_000, 2500), (20_000, 5000), (61_000, 2500), (20_000, 2500)):
            await rig.pass_ms(lasts_ms)
            rig.line.hang_up()
            await rig.pass_ms(0)
            equal(rig.board.said[-1], "link: next attempt in %d ms" % wait)
            await rig.pass_ms(wait)
            equal(rig.link.state, "online")


async def test_attempts_after_a_session_that_lasted_back_off_too():
    async with Rig() as rig:
        await rig.go(5 * MINUTE_MS)
        rig.board.open_fails = OSError(111)
        rig.line.hang_up()
        await rig.pass_ms(30_000)
        equal(rig.attempts_ms()[1:4], [2_500, 5_000, 5_000])


async def test_an_attempt_that_takes_long_is_no_session_that_lasted():
    async with Rig(reconnect_window_s=1, reconnect_cap_s=10) as rig:
        rig.board.hangs = True
        await rig.go(120_000)
        waits = [line for line in rig.board.said if "next attempt" in line]
        equal(waits[:5], ["link: next attempt in %d ms" % ms for ms in (500, 500, 1000, 1000, 1000)])


async def test_every_step_of_an_attempt_has_a_deadline():
    for what, limit_s, late_ms in (("join", 30, 100), ("open", 15, 100), ("CONNACK", 8, 1_100), ("SUBACK", 8, 1_100)):
        async with Rig() as rig:
            rig.board.hangs = what in ("join", "open")
            rig.board.network = what != "join"
            rig.broker.code = None if what == "CONNACK" else 0
            rig.broker.grants = what != "SUBACK"
            await rig.go(1000 * limit_s - 100)
            equal(rig.link.state, "joining" if what == "join" else "connecting", what)
            assert rig.link.promise_ms > rig.board.now_ms, what
            await rig.pass_ms(100 + late_ms)  # for answers the deadline is looked at every 0.8 s
            equal(rig.link.state, "down", what)
            assert [line for line in rig.board.said if line.startswith("! link: no answer in time while ")], what
            rig.board.hangs = False
            rig.broker.code = 0
            rig.broker.grants = True
            await rig.pass_ms(10_000)
            equal(rig.link.state, "online", what)
            assert all([line.closed for line in rig.broker.lines[:-1]]), what
            rig.check()


async def test_a_silent_broker_is_noticed():
    async with Rig(keepalive_s=20) as rig:
        await rig.go(5_000)
        rig.broker.pongs = False
        await rig.pass_ms(30_000)
        assert rig.line.pings or len(rig.broker.lines) > 1
        assert "down" in rig.states(), "keepalive + 10 s"
    async with Rig() as rig:
        await rig.go(5_000)
        rig.broker.acknowledges = False
        rig.add(1)
        await rig.pass_ms(13_000)
        assert "down" in rig.states(), "a publish that nobody acknowledges"
        equal(rig.outbox.queued, 1)


async def test_a_quiet_session_is_kept_alive():
    async with Rig(keepalive_s=20) as rig:
        await rig.go(10 * MINUTE_MS)
        equal((rig.link.state, rig.link.sessions), ("online", 1))
        assert 20 <= rig.line.pings <= 70, rig.line.pings


async def test_the_keepalive_that_a_broker_of_mqtt_5_demands_is_kept():
    for keepalive_s in (2, 3, 5, 20):
        async with Rig(version=5) as rig:
            rig.broker.newest = 5
            rig.broker.properties = b"\x03\x13\0" + bytes((keepalive_s,))
            await rig.go(MINUTE_MS)
            times_ms = [0] + rig.line.pinged_ms + [MINUTE_MS]
            gaps_ms = [after - before for before, after in zip(times_ms, times_ms[1:])]
            assert max(gaps_ms) <= 1_500 * keepalive_s, (keepalive_s, gaps_ms)  # 3.1.2.10: then the broker may close
            equal(rig.link.sessions, 1)


async def test_a_quiet_session_lets_the_processor_sleep():
    async with Rig() as rig:
        await rig.go(5_000)
        looks = []
        sleep_ms = rig.board.sleep_ms
        rig.board.sleep_ms = lambda ms: (ms > 100 and looks.append(ms), sleep_ms(ms))[1]  # the outbox has turns, too
        await rig.pass_ms(MINUTE_MS)
        assert len(looks) <= 20, "every 4 s, sooner only while a ping waits for its answer: %s" % looks
        assert rig.line.pings, "and yet it is kept alive"


async def test_what_begins_while_nothing_was_waited_for_has_its_deadline_too():
    for late_ms in range(0, 4_000, 500):  # wherever in the rest between two looks
        async with Rig() as rig:
            await rig.go(5_000 + late_ms)
            rig.broker.acknowledges = False
            rig.add(1)
            await rig.pass_ms(8_000)
            equal(rig.link.state, "online")
            await rig.pass_ms(4_900)
            assert rig.link.fault == "no answer in time", rig.link.fault


async def test_a_slow_close_holds_up_nothing_for_long():
    async with Rig() as rig:
        rig.broker.slow_close = True
        await rig.go()
        rig.line.hang_up()
        await rig.pass_ms(2_900)
        equal(len(rig.board.opened), 1)
        await rig.pass_ms(3_000)
        equal(len(rig.board.opened), 2)


async def test_an_address_is_kept_only_where_a_broker_has_accepted():
    for code, kept in ((None, 0), (5, 0), (0, 1)):  # no CONNACK at all; a refusal
        async with Rig() as rig:
            rig.broker.code = code
            await rig.go(5_000)
            equal(rig.board.kept_addresses, kept)


async def test_a_refused_subscription_is_said_and_the_session_goes_on():
    for version, code in ((4, 128), (5, 128), (5, 135), (5, 162)):
        async with Rig(version=version) as rig:
            rig.broker.newest = 5
            rig.broker.refused, rig.broker.refusal = ("mote/all/command/+",), code
            await rig.go()
            equal(rig.link.state, "online")
            assert [line for line in rig.board.said if "refuses a subscription" in line], (code, rig.board.said)
    async with Rig() as rig:
        await rig.go()
        assert not [line for line in rig.board.said if "refuses" in line]


async def test_a_refusal_is_said():
    async with Rig() as rig:
        rig.broker.code = 5
        await rig.go()
        assert [line for line in rig.board.said if line.startswith("! link: refused: not authorized 5 ")]


async def test_a_broker_that_does_not_speak_mqtt_5_is_spoken_to_in_the_older_version():
    for hangs_up in (True, False):
        async with Rig(version=5) as rig:
            rig.broker.newest = 4
            rig.broker.hangs_up = hangs_up
            await rig.go(100)
            equal([line.level for line in rig.broker.lines], [5])
            word = "! link: closed by the broker" if hangs_up else "! link: refused: unacceptable protocol version"
            assert [line for line in rig.board.said if line.startswith(word)], rig.board.said
            await rig.pass_ms(6_000)
            equal(([line.level for line in rig.broker.lines], rig.link.state), ([5, 4], "online"))
            rig.line.hang_up()
            await rig.pass_ms(6_000)
            equal(([line.level for line in rig.broker.lines], rig.link.state), ([5, 4, 4], "online"))
            rig.build(version=5)
            rig.link.reconnect()
            await rig.pass_ms(100)
            equal(rig.broker.lines[-1].level, 5, "what was configured anew is tried first:")


async def test_a_broker_that_is_away_says_nothing_of_its_version():
    async with Rig(version=5) as rig:
        rig.broker.newest = 4
        rig.board.open_fails = OSError(111)
        await rig.go(60_000)
        rig.board.open_fails = None
        await rig.pass_ms(60_000)
        equal([line.level for line in rig.broker.lines], [5, 4])


async def test_the_clock_is_set_at_every_session_and_daily():
    async with Rig() as rig:
        await rig.go(1_000)
        equal(rig.board.syncs, [["time.test"]])
        rig.line.hang_up()
        await rig.pass_ms(3_000)
        equal(len(rig.board.syncs), 2)
        rig.board.sync_fails = OSError("no time server answers")
        rig.line.hang_up()
        await rig.pass_ms(8_000)
        equal((len(rig.board.syncs), rig.link.state), (3, "online"))
        assert "! clock: no time server answers" in rig.board.said
        await rig.pass_ms(2 * MINUTE_MS)
        equal(len(rig.board.syncs), 4, "again in a minute:")
        await rig.pass_ms(2 * MINUTE_MS)
        equal(len(rig.board.syncs), 5, "then in two:")
        equal(rig.link.state, "online")


async def test_without_tls_the_clock_holds_up_nothing():
    async with Rig() as rig:
        rig.board.unix_s = None
        rig.board.sync_fails = OSError("no time server answers")
        await rig.go()
        equal((rig.link.state, len(rig.board.syncs)), ("online", 1))
        rig.add(1)
        rig.board.unix_s = 1_800_000_000
        await rig.pass_ms(0)
        equal(rig.line.on(TOP + "telemetry/tank")[0].json()["ts"], None, "live it stays unknown:")
        rig.board.unix_s = None
        rig.board.open_fails = OSError(111)
        rig.line.hang_up()
        await rig.pass_ms(7_000)
        rig.add(2)
        rig.board.unix_s = 1_800_000_000
        rig.board.open_fails = None
        await rig.pass_ms(MINUTE_MS)
        equal([reading["ts"] for reading in rig.line.on(TOP + "backlog")[0].json()], [1_800_000_007])


async def test_tls_asks_for_the_time_first_and_then_trusts_the_guess():
    tls = {"ca": "ca.der", "cert": None, "key": None, "server_name": None}
    async with Rig(tls=tls, port=8883) as rig:
        rig.board.unix_s = None
        await rig.go()
        equal((len(rig.board.syncs), rig.board.opened[0][1:]), (2, ("broker.test", 8883, tls)))
        equal(rig.link.state, "online")
        rig.check()
    async with Rig(tls=tls) as rig:
        rig.board.unix_s = None
        rig.board.sync_fails = OSError("no time server answers")
        rig.board.open_fails = OSError("certificate not yet valid")
        await rig.go(1_000)
        assert "! clock: no time server answers" in rig.board.said
        assert "! link: clock not set while connecting" in rig.board.said, rig.board.said
        rig.board.open_fails = OSError("certificate expired")
        await rig.pass_ms(30_000)
        assert "! link: certificate expired while connecting" in rig.board.said, "an earlier time would not help:"
        rig.board.open_fails = None
        await rig.pass_ms(60_000)
        equal((rig.link.state, rig.board.time_s()), ("online", None))
        rig.check()
    async with Rig(tls=tls) as rig:
        rig.board.sync_fails = OSError("no time server answers")
        rig.board.open_fails = OSError("certificate not yet valid")
        await rig.go(1_000)
        assert "! link: certificate not yet valid while connecting" in rig.board.said, "by a clock that is known:"
        equal(rig.board.syncs, [])


async def test_the_promise_to_move_holds():
    async with Rig() as rig:
        rig.board.open_fails = OSError(111)
        await rig.go()
        for _ in range(600):
            await rig.pass_ms(500)
            assert rig.link.promise_ms is None or rig.link.promise_ms > rig.board.now_ms + 10_000
        rig.board.open_fails = None
        await rig.pass_ms(MINUTE_MS)
        equal((rig.link.state, rig.link.promise_ms), ("online", None))


async def test_many_breaks_lose_no_reading_and_deliver_none_live_that_is_stale():
    async with Rig() as rig:
        await rig.go()
        for round_ in range(25):
            rig.broker.acknowledges = round_ % 3 != 1
            for level in range(5):
                rig.add(level)
                await rig.pass_ms(700)
                rig.check()
            if round_ % 5 != 4:
                rig.line.hang_up(OSError(104) if round_ % 2 else 0)
            await rig.pass_ms(900 * (round_ % 4))
            rig.check()
        rig.broker.acknowledges = True
        await rig.pass_ms(5 * MINUTE_MS)
        rig.check()
        equal((rig.outbox.queued, rig.outbox.dropped), (0, {"overflow": 0, "flash": 0, "policy": 0}))
        found = [seq for line in rig.broker.lines for seq in live(line)] + backlog(*rig.broker.lines)
        equal(sorted(set(found)), list(range(1, 126)))
        for line in rig.broker.lines:
            for messages in (live(line), backlog(line)):
                equal(messages, sorted(set(messages)), "in order, once a connection:")


async def test_a_birth_in_pieces_arrives_whole():
    async with Rig() as rig:
        rig.births = [(TOP + "config", ['{"a":', '"\u20ac"'] + [" " * 100] * 40 + ["}"], True, 1)]
        await rig.go()
        equal(rig.line.on(TOP + "config")[0].json(), {"a": "\u20ac"})
