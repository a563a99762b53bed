"""The sleeping node, wake after wake, over a broker in memory: what it says, in which order, and what it keeps."""

import gc
import json
import sys

import retained
from firmware import config, desired, drivers, start  # noqa: F401 - the node finds drivers below their package
from lending import lend, load
from minitest import equal
from stage import Board, Stage

BASE = {
    "node": {"name": "Hive"},
    "mqtt": {"host": "broker.test"},
    "telemetry": {"interval_s": 60},
    "sensors": {"air": {"driver": "nap"}, "door": {"driver": "nap", "interval_s": 180}},
    "power": {"mode": "deepsleep"},
}
TOP = "mote/fake-a1b2c3/"
PERIOD_MS = 60_000
QUANTITIES = (("warmth", "m", "\u00b0C", 1, "temperature", -40, 85),)


class Driver:
    """What `"driver": "nap"` names: takes 30 ms, and counts in `board.measured`."""

    quantities = QUANTITIES

    def __init__(self, board, options):
        self._board = board

    def start(self):
        return 30

    def read(self):
        self._board.measured += 1
        return (20.0 + self._board.measured % 50,)


class FakeModule:
    """Stands for the file firmware/drivers/nap.py."""


FakeModule.Driver = Driver
sys.modules["firmware.drivers.nap"] = FakeModule


class Naps(Stage):
    """A sleeping node: `wake()` is one start of it, with all the time it takes; then the board sleeps."""

    def __init__(self, base=BASE, fetch=load, interval_s=60, qos=1, **power):
        base = dict(base, telemetry={"interval_s": interval_s, "qos": qos})
        base["power"] = dict(base["power"], **power)
        super().__init__(base)
        self.board.measured = 0
        self.fetch = fetch
        self.rest = None
        self.awake_ms = []

    @property
    def line(self):
        return self.broker.line

    async def wake(self, ms=20_000, during=None):
        """Start, live, and sleep until the next wake is due; returns how `run` ended."""
        board = self.board
        board.woken_ms = board.now_ms
        board.said.clear()
        del board.opened[:-1]
        gc.collect()
        node = start.chosen(board, self.fetch)
        self.ended = False
        self.start(self.timed(node.run()))
        for _ in range(ms // 100):
            if not self.ended:
                await self.pass_ms(100)
                if during:
                    during()
        assert self.ended, "still awake after %d ms" % ms
        self.awake_ms.append(self.over_ms - board.woken_ms)
        if self.result == "asleep":
            self.rest = node.rest
            await self.pass_ms(max(0, self.over_ms + node.rest[0] - board.now_ms))
        board.reset_cause = "deep-sleep" if self.result == "asleep" else "hard"
        board.woken_by_pin = False
        return self.result

    async def timed(self, coroutine):
        result = await coroutine
        self.over_ms = self.board.now_ms
        return result

    def kept(self):
        return load("firmware.kept").Kept(retained.load(self.board, retained.SLEEP))


def said(line):
    """What was said on a connection, without the topics' beginning, up to the end."""
    return [name[len(TOP) :] if name.startswith(TOP) else name for name in line.events]


async def settled(naps):
    """Two wakes: then the node has introduced itself, and knows the broker's order."""
    naps.broker.kept[TOP + "status"] = b"sleeping"
    equal(await naps.wake(), "asleep")
    equal(await naps.wake(), "asleep")


async def test_a_wake_is_one_flight_in_the_order_of_the_design():
    async with Naps() as naps:
        await settled(naps)
        await naps.wake()
        line = naps.line
        equal(said(line), ["SUBSCRIBE", "telemetry/air", "diagnostics", "status", "DISCONNECT"])
        equal([(message.payload, message.retain, message.qos) for message in line.on(TOP + "status")],
              [(b"sleeping", True, 1)])
        reading = line.on(TOP + "telemetry/air")[0]
        equal((reading.retain, reading.qos, reading.json()["seq"]), (True, 1, 4))
        equal(line.hello["will"], (TOP + "status", b"offline", True, 1))
        assert line.goodbye and line.closed
        equal(line.filters, [(TOP + "config/set", 1)], "the order of the broker is known:")


def newer(newest, hangs_up=False):
    """A sleeping node that is to speak MQTT 5, to a broker that speaks up to `newest`."""
    naps = Naps(dict(BASE, mqtt={"host": "broker.test", "version": 5}))
    naps.broker.newest, naps.broker.hangs_up = newest, hangs_up
    return naps


async def test_with_mqtt_5_the_broker_forgets_a_reading_after_four_sleeps_and_a_minute():
    async with newer(5) as naps:
        await naps.wake()
        line = naps.line
        equal([(message.retain, message.properties) for message in line.on(TOP + "telemetry/air")],
              [(True, b"\x02\0\0\x01\x2c")])  # 3.3.2.3.3: 300 s
        equal(line.on(TOP + "telemetry/door")[0].properties, b"\x02\0\0\x03\x0c", "every third wake: 780 s")
        others = {message.topic: message.properties for message in line.messages if "telemetry" not in message.topic}
        assert len(others) > 3 and not any(others.values()), others
        equal((naps.kept().readings, naps.kept().acknowledged, line.goodbye), ([], 2, True))


async def test_a_broker_that_speaks_3_1_1_alone_costs_one_attempt_a_day():
    for hangs_up in (False, True):
        async with newer(4, hangs_up) as naps:
            await naps.wake()
            equal([line.level for line in naps.broker.lines], [5, 4], "both in the same wake:")
            equal((naps.kept().failed, naps.kept().readings, naps.line.goodbye), (0, [], True))
            await naps.wake()
            equal([line.level for line in naps.broker.lines[2:]], [4])
            naps.broker.newest = 5
            await naps.pass_ms(86_400_000)
            await naps.wake()
            equal([line.level for line in naps.broker.lines[3:]], [5], "a day later:")


async def test_a_broker_that_says_nothing_to_mqtt_5_is_met_with_3_1_1_in_the_next_wake():
    async with newer(5) as naps:
        naps.broker.code = None
        await naps.wake()
        equal([line.level for line in naps.broker.lines], [5, 4], "answers are waited for 8 of 15 s:")
        naps.broker.code = 0
        for _ in range(3):
            await naps.wake()
        equal([line.level for line in naps.broker.lines[2:]], [4] * (len(naps.broker.lines) - 2))
        equal((naps.kept().readings, naps.line.goodbye), ([], True))


async def test_what_a_broker_of_mqtt_5_refuses_is_dropped_and_counted():
    async with newer(5) as naps:
        await naps.wake()
        naps.broker.denies = TOP + "telemetry/air"
        await naps.wake()
        kept = naps.kept()
        equal((kept.readings, kept.dropped, kept.acknowledged), ([], 1, 2))
        equal(naps.result, "asleep")


async def test_a_refused_subscription_is_said():
    async with newer(5) as naps:
        naps.broker.refused, naps.broker.refusal = (TOP + "config/set",), 135
        await naps.wake()
        equal(naps.result, "asleep")
        assert [line for line in naps.board.said if "refuses a subscription" in line], naps.board.said


async def test_readings_at_qos_0_count_once_the_broker_has_answered_what_is_behind_them():
    async with Naps(qos=0) as naps:
        await settled(naps)
        before = naps.kept()
        naps.broker.acknowledges = False
        await naps.wake()
        equal((naps.line.on(TOP + "telemetry/air")[0].qos, naps.kept().acknowledged), (0, before.acknowledged))
        equal(len(naps.kept().readings), 1, "nobody has answered, so that it is said again:")
        naps.broker.acknowledges = True
        for _ in range(4):
            await naps.wake()
        kept = naps.kept()
        equal((kept.acknowledged, len(kept.readings)), (kept.seq, 0))
        equal([len(message.json()) for line in naps.broker.lines for message in line.on(TOP + "backlog")], [3],
              "what is late has an answer of its own:")


async def answers(naps):
    """Wake; how many packets the broker answers with, and (sensor, QoS, seq) of all that is live."""
    await naps.wake()
    line = naps.line
    live = [message for message in line.messages if message.topic.startswith(TOP + "telemetry/")]
    asked = 2 + len([message for message in line.messages if message.qos])  # those to CONNECT and SUBSCRIBE
    return asked, [(message.topic[len(TOP) + 10 :], message.qos, message.json()["seq"]) for message in live]


async def test_many_sensors_want_no_more_answers_than_tcp_lets_out_at_once():
    for count, answered in ((7, 10), (8, 10), (10, 10), (40, 10)):
        sensors = {"s%02d" % number: {"driver": "nap"} for number in range(count)}
        async with Naps(dict(BASE, sensors=sensors)) as naps:
            await settled(naps)
            asked, live = await answers(naps)
            equal(len(live), count, "everyone who looks sees each sensor:")
            assert asked <= answered, (count, asked)
            fresh = [reading["seq"] for message in naps.line.on(TOP + "backlog") for reading in message.json()]
            equal(fresh, [seq for _, qos, seq in live if not qos], "what has no answer of its own has that of a batch:")
            equal(len(fresh) > 0, count > 7)
            kept = naps.kept()
            equal((kept.acknowledged, len(kept.readings)), (kept.seq, 0))
            naps.broker.acknowledges = False
            await naps.wake()
            equal(len(naps.kept().readings) + naps.kept().stored, count, "nobody has answered:")
            naps.broker.acknowledges = True
            while naps.kept().readings or naps.kept().stored:
                await naps.wake()
            kept = naps.kept()
            equal((kept.acknowledged, kept.dropped), (kept.seq, 0))


async def test_all_of_it_is_said_before_the_broker_says_a_word():
    async with Naps() as naps:
        await settled(naps)
        naps.broker.code, naps.broker.grants, naps.broker.acknowledges = None, False, False
        kept = naps.board.kept_addresses
        await naps.wake()
        equal(said(naps.line), ["SUBSCRIBE", "telemetry/air", "diagnostics", "status"])
        equal(naps.board.kept_addresses, kept, "no broker is known to be there:")
        naps.broker.code, naps.broker.grants, naps.broker.acknowledges = 0, True, True
        while naps.board.kept_addresses == kept:
            await naps.wake()
        equal(naps.board.kept_addresses, kept + 1)


async def test_the_first_wake_introduces_the_node_and_a_day_later_again():
    async with Naps(interval_s=600, send_every=3) as naps:
        await naps.wake()
        names = said(naps.line)
        assert names.index("telemetry/air") < names.index("homeassistant/device/fake-a1b2c3/config"), names
        for name in ("info", "config", "update"):
            assert name in names, name
        equal(names[-2:], ["status", "DISCONNECT"])
        info = naps.line.on(TOP + "info")[0].json()
        equal(info["wake_every_s"], 540, "the door is read each 180 s:")
        wake_s = naps.board.unix_s + (naps.board.now_ms + 2 * 180_000) // 1000
        assert abs(info["wake_at"] - wake_s) <= 1, (info["wake_at"], wake_s)
        connections = told = 0
        for _ in range(20 * 25):
            naps.broker.lines.clear()
            await naps.wake(2_000)
            for line in naps.broker.lines:
                connections, told = connections + 1, told + len(line.on(TOP + "info"))
        equal((connections, told), (166, 1), "connections, and those that introduced:")


async def test_the_beat_is_kept_and_each_sensor_has_its_own():
    async with Naps() as naps:
        starts = []
        for _ in range(7):
            starts.append(naps.board.now_ms)
            await naps.wake()
        equal([after - before for before, after in zip(starts[1:], starts[2:])], [PERIOD_MS] * 5)
        counts = [len(naps.line.on(TOP + "telemetry/" + name)) for name in ("air", "door")]
        equal(counts, [1, 1])
        sent = [[len(line.on(TOP + "telemetry/" + name)) for name in ("air", "door")] for line in naps.broker.lines]
        equal(sent, [[1, 1], [1, 0], [1, 0]] * 2 + [[1, 1]])


async def test_several_readings_in_one_transmission():
    async with Naps(send_every=5) as naps:
        for _ in range(11):
            await naps.wake()
        equal(len(naps.broker.lines), 3, "wakes 1, 6 and 11 connect:")
        late = naps.line.on(TOP + "backlog")
        live = naps.line.on(TOP + "telemetry/air")
        readings = late[0].json()
        equal(len(late), 1)
        equal([reading["seq"] for reading in readings], sorted([reading["seq"] for reading in readings]))
        air = [reading["ts"] for reading in readings if reading["sensor"] == "air"] + [live[0].json()["ts"]]
        equal([after - before for before, after in zip(air, air[1:])], [60] * 4, "each with its own time:")
        fields = naps.line.on(TOP + "diagnostics")[0].json()
        equal(fields["produced"], fields["acknowledged"] + fields["queued"] + sum(fields["dropped"].values()))


async def test_a_broker_that_is_gone_costs_no_reading_and_ever_fewer_attempts():
    async with Naps(awake_s=5) as naps:
        await settled(naps)
        naps.board.open_fails = OSError(111)
        attempts = []
        for _ in range(30):
            naps.board.opened.clear()
            await naps.wake()
            attempts.append(len(naps.board.opened))
        tried = [at for at, count in enumerate(attempts) if count]
        pauses = [after - before for before, after in zip(tried, tried[1:])]
        equal(pauses, [2, 4, 8, 16][: len(pauses)])
        assert len(pauses) >= 3, tried
        kept = naps.kept()
        equal(len(kept.readings) + kept.stored + kept.dropped, kept.seq - kept.acknowledged)
        equal(kept.dropped, 0)
        naps.board.open_fails = None
        seqs = set()
        before = len(naps.broker.lines)
        for _ in range(40):
            await naps.wake()
        for line in naps.broker.lines[before:]:
            seqs |= {reading["seq"] for message in line.on(TOP + "backlog") for reading in message.json()}
            for name in ("air", "door"):
                seqs |= {message.json()["seq"] for message in line.on(TOP + "telemetry/" + name)}
        equal(seqs & set(range(kept.acknowledged + 1, kept.seq + 1)), set(range(kept.acknowledged + 1, kept.seq + 1)))


async def test_a_silent_network_never_outlasts_the_budget():
    async with Naps(awake_s=5) as naps:
        await settled(naps)
        for knob in ("hangs", "silence", "deaf"):
            naps.board.hangs = knob == "hangs"
            naps.broker.code = None if knob == "silence" else 0
            naps.broker.acknowledges = knob != "deaf"
            naps.awake_ms.clear()
            for _ in range(40):
                await naps.wake()
            assert max(naps.awake_ms) <= 5_000 + 3_100, (knob, max(naps.awake_ms))
            assert [ms for ms in naps.awake_ms if ms > 4_000], "%s: it never tried" % knob
            short = [ms for ms in naps.awake_ms if ms < 200]
            assert len(short) > 30, (knob, "most wakes only measure", naps.awake_ms)
            naps.board.hangs, naps.broker.code, naps.broker.acknowledges = False, 0, True
            while naps.kept().readings:
                await naps.wake()


async def pauses_of_a_silent_time_server(naps, wakes):
    """Seconds between two questions to it."""
    board, asked = naps.board, []

    async def silent(servers):
        asked.append(board.now_ms // 1000)
        await board.sleep_ms(2_000)
        raise OSError("no time server answers")

    board.sync_time = silent
    for _ in range(wakes):
        naps.broker.lines.clear()
        await naps.wake(5_000)
    short = [ms for ms in naps.awake_ms[-wakes:] if ms < 500]
    equal(len(short), wakes - len(asked), "all the others cost nothing for it:")
    return [after - before for before, after in zip(asked, asked[1:])]


async def test_a_time_server_that_is_silent_is_asked_ever_more_seldom():
    alone = dict(BASE, sensors={"air": BASE["sensors"]["air"]})
    async with Naps(alone, interval_s=300) as naps:
        naps.board.unix_s = None
        pauses = await pauses_of_a_silent_time_server(naps, 200)
        equal(pauses[1:], [600, 1_200, 2_400, 4_800, 9_600] + [14_400] * 2)
    async with Naps(alone, interval_s=1_800) as naps:
        async def answers(servers):
            naps.board.drift = naps.board.time_s(), 0

        naps.board.sync_time = answers
        await settled(naps)
        halves = [round(pause / 1_800) for pause in await pauses_of_a_silent_time_server(naps, 180)]
        equal(halves, [2, 4, 8, 16, 32, 48, 48])


async def test_a_clock_that_has_lost_the_time_delays_nothing():
    async with Naps() as naps:
        await settled(naps)
        naps.board.open_fails = OSError(111)
        await naps.wake()
        naps.board.open_fails = naps.board.unix_s = None
        before = len(naps.broker.lines), len(naps.board.syncs)
        await naps.wake()
        equal((len(naps.broker.lines), len(naps.board.syncs)), (before[0] + 1, before[1] + 1))


class Steady(Driver):
    """What `"driver": "steady"` names: gives `board.shows`."""

    def read(self):
        self._board.measured += 1
        return (self._board.shows,)


class SteadyModule:
    """Stands for the file firmware/drivers/steady.py."""


SteadyModule.Driver = Steady
sys.modules["firmware.drivers.steady"] = SteadyModule


def steady(**options):
    """A configuration whose one sensor has a deadband of half a degree."""
    return dict(BASE, sensors={"air": dict({"driver": "steady", "deadband": 0.5}, **options)})


async def shown(naps, *values):
    """Wake once for each value: what went out in that wake, None where nobody was asked to listen."""
    found = []
    for value in values:
        naps.board.shows = value
        before = len(naps.broker.lines)
        await naps.wake()
        live = naps.line.on(TOP + "telemetry/air") if len(naps.broker.lines) > before else None
        found.append(live and [message.json()["warmth"] for message in live])
    return found


async def test_a_steady_sensor_costs_no_connection():
    async with Naps(steady(heartbeat_s=600)) as naps:
        naps.board.shows = 20.3
        await settled(naps)
        equal(await shown(naps, 20.3, 20.0, 20.7, 20.8, 20.9), [None, None, None, [20.8], None])
        equal(await shown(naps, 20.4, 20.3, 20.2, 19.8, 20.3), [None, [20.3], None, [19.8], [20.3]])
        equal(await shown(naps, *[20.4] * 20), ([None] * 9 + [[20.4]]) * 2, "a sign of life each ten minutes:")
        equal(await shown(naps, 20.5), [None])
        naps.board.woken_by_pin = True
        equal(await shown(naps, 20.5), [[20.5]], "whoever wakes it gets a reading:")
        info = [line.on(TOP + "info") for line in naps.broker.lines]
        equal(info[0][0].json()["wake_every_s"], 600)
        fields = naps.line.on(TOP + "diagnostics")[-1].json()
        equal(fields["produced"], fields["acknowledged"] + fields["queued"] + sum(fields["dropped"].values()))
        equal(fields["unchanged"] + fields["produced"], naps.board.measured)


async def test_a_deadband_of_zero_and_a_value_that_is_no_32_bit_float():
    async with Naps(steady(deadband=0, heartbeat_s=86_400)) as naps:
        naps.board.shows = 20.3
        await settled(naps)
        equal(await shown(naps, 20.3, 20.3, 20.4, 20.4), [None, None, [20.4], None])


async def test_what_a_steady_sensor_has_said_in_an_outage_comes_later():
    async with Naps(steady(heartbeat_s=3_600)) as naps:
        naps.board.shows = 20.3
        await settled(naps)
        naps.board.open_fails = OSError(111)
        equal(await shown(naps, 21, 21, 22), [None] * 3)
        naps.board.open_fails = None
        await shown(naps, *[22] * 20)
        late = [reading["warmth"] for line in naps.broker.lines for message in line.on(TOP + "backlog")
                for reading in message.json()]
        equal(late, [21, 22])
        equal(await shown(naps, *[22] * 20), [None] * 20)


async def test_more_steady_sensors_than_there_is_room_for_report_each_time():
    sensors = {"s%02d" % number: {"driver": "steady", "deadband": 1} for number in range(20)}
    async with Naps(dict(BASE, sensors=sensors)) as naps:
        naps.board.shows = 20.3
        await settled(naps)
        await naps.wake()
        live = [name for name in said(naps.line) if name.startswith("telemetry/")]
        assert 0 < len(live) < 10, live


async def test_what_is_not_to_wait_for_the_end_of_an_outage_is_dropped_and_counted():
    base = dict(BASE, sensors={"air": {"driver": "nap", "keep": "none"}, "door": {"driver": "nap", "keep": "latest"},
                               "soil": {"driver": "nap"}})
    async with Naps(base) as naps:
        await settled(naps)
        before = naps.kept()
        naps.board.open_fails = OSError(111)
        for _ in range(10):
            await naps.wake()
        kept = naps.kept()
        equal([reading[8] for reading in kept.readings].count(0), 0, "none of the first:")
        equal([reading[8] for reading in kept.readings].count(1), 1, "the latest of the second:")
        equal([reading[8] for reading in kept.readings].count(2) + kept.stored, 10, "all of the third:")
        equal((kept.policy, kept.dropped), (19, 0))
        equal(kept.seq - before.acknowledged, len(kept.readings) + kept.stored + kept.policy)
        naps.board.open_fails = None
        for _ in range(12):
            await naps.wake()
        fields = naps.line.on(TOP + "diagnostics")[-1].json()
        equal(fields["produced"], fields["acknowledged"] + fields["queued"] + sum(fields["dropped"].values()))


async def test_what_memory_cannot_hold_goes_to_flash_and_comes_in_later_wakes():
    async with Naps() as naps:
        naps.board.open_fails = OSError(111)
        for _ in range(200):
            await naps.wake()
        kept = naps.kept()
        assert kept.stored > 150, (kept.stored, len(kept.readings))
        equal((kept.seq, kept.dropped), (kept.stored + len(kept.readings), 0))
        naps.board.open_fails = None
        seqs = []
        while naps.kept().stored or naps.kept().readings:
            naps.broker.lines.clear()
            await naps.wake()
            for line in naps.broker.lines:
                for message in line.on(TOP + "backlog"):
                    seqs += [(reading["seq"], reading["sensor"], reading["ts"]) for reading in message.json()]
                for name in ("air", "door"):
                    seqs += [(m.json()["seq"], name, m.json()["ts"]) for m in line.on(TOP + "telemetry/" + name)]
        kept = naps.kept()
        equal(sorted([seq[0] for seq in seqs]), list(range(1, kept.seq + 1)), "each, and once:")
        times = [ts for _, name, ts in sorted(seqs) if name == "air"]
        equal(set([after - before for before, after in zip(times[1:], times[2:])]), {60}, "each with its own time:")
        fields = naps.line.on(TOP + "diagnostics")[-1].json()
        equal(fields["produced"], fields["acknowledged"] + fields["queued"] + sum(fields["dropped"].values()))


async def test_what_finds_no_room_on_flash_either_is_dropped_oldest_first_and_counted():
    base = dict(BASE, outbox={"flash_bytes": 0})
    async with Naps(base) as naps:
        naps.board.open_fails = OSError(111)
        for _ in range(200):
            await naps.wake()
        kept = naps.kept()
        assert len(retained.load(naps.board, retained.SLEEP)) <= 1_006
        assert kept.dropped > 100 and len(kept.readings) > 30, (kept.dropped, len(kept.readings))
        equal(kept.seq, kept.acknowledged + kept.dropped + len(kept.readings))
        seqs = [int.from_bytes(reading[:4], "big") for reading in kept.readings]
        equal(seqs, list(range(kept.seq - len(seqs) + 1, kept.seq + 1)))


async def test_what_waits_is_handed_to_the_node_that_stays_awake():
    async with Naps() as naps:
        await settled(naps)
        naps.board.open_fails = OSError(111)
        for _ in range(3):
            await naps.wake()
        waiting = len(naps.kept().readings)
        assert waiting >= 3
        config = json.loads(naps.board.config)
        config["power"] = {"mode": "always"}  # provisioned anew, while nobody could be told
        naps.board.config = json.dumps(config).encode()
        equal(await naps.wake(), "restart")
        naps.board.open_fails = None
        node = start.chosen(naps.board, naps.fetch)
        naps.ended = False
        naps.start(node.run())
        await naps.pass_ms(10_000)
        found = [reading["boot"] for message in naps.line.on(TOP + "backlog") for reading in message.json()]
        assert len(found) >= waiting, found


async def test_a_thousand_wakes_without_a_broker_are_no_failed_starts():
    async with Naps() as naps:
        naps.board.open_fails = OSError(111)
        await naps.wake()
        before = dict(naps.board.files.content)
        for _ in range(1_000):
            equal(await naps.wake(), "asleep")
        equal(naps.board.files.content, before, "the flash is not written by a wake:")
        equal(naps.kept().wakes, 1_001)


async def test_a_desired_configuration_is_obeyed_and_reported_in_the_same_wake():
    async with Naps() as naps:
        await settled(naps)
        naps.broker.kept[TOP + "config/set"] = b'{"revision":1,"patch":{"power":{"awake_until":1}}}'
        await naps.wake()
        equal(said(naps.line)[-5:], ["status", "PUBACK", "status", "config", "status", "DISCONNECT"][-5:])
        words = [message.payload for message in naps.line.on(TOP + "status")]
        equal(words, [b"sleeping", b"online", b"sleeping"])
        report = naps.line.on(TOP + "config")[-1].json()
        equal((report["revision"], report["state"]), (1, "applied"))
        await naps.wake()
        equal([message.payload for message in naps.line.on(TOP + "status")], [b"sleeping"], "once is enough:")


async def test_a_document_that_came_on_a_connection_that_then_broke_is_obeyed_in_a_later_wake():
    node = load("firmware.sleeper").Node
    look = node._second

    async def broken(self, visit, client):
        raise OSError("closed by the broker")

    async with Naps() as naps:
        await settled(naps)
        naps.broker.kept[TOP + "config/set"] = b'{"revision":1,"patch":{"power":{"awake_until":1}}}'
        node._second = broken
        try:
            await naps.wake()
        finally:
            node._second = look
        for _ in range(4):  # there is a pause after a wake that failed
            await naps.wake()
        reports = [message.json() for line in naps.broker.lines for message in line.on(TOP + "config")]
        equal((reports[-1]["revision"], reports[-1]["state"]), (1, "applied"))


async def test_what_another_program_left_is_a_new_beginning():
    async with Naps() as naps:
        await settled(naps)
        data = retained.load(naps.board, retained.SLEEP)
        retained.save(naps.board, retained.SLEEP, b"\0\0\0\1" + data[4:])
        equal(naps.kept().boot, 0)
        equal(await naps.wake(), "asleep")
        assert naps.kept().boot


async def test_a_wrong_configuration_is_refused_once():
    async with Naps() as naps:
        await settled(naps)
        naps.broker.kept[TOP + "config/set"] = b'{"revision":1,"patch":{"power":{"send_every":0}}}'
        await naps.wake()
        report = naps.line.on(TOP + "config")[-1].json()
        equal((report["state"], report["errors"][0]["key"]), ("rejected", "power.send_every"))
        await naps.wake()
        equal(naps.line.on(TOP + "config"), [])


async def test_a_change_of_the_interval_moves_the_next_wake():
    async with Naps() as naps:
        await settled(naps)
        naps.broker.kept[TOP + "config/set"] = b'{"revision":1,"patch":{"telemetry":{"interval_s":600}}}'
        await naps.wake()
        assert naps.rest[0] > 60_000 or naps.kept().wakes, naps.rest
        for _ in range(2):
            await naps.wake()
        equal(naps.rest[0] > 100_000, True, "door is read each 180 s:")


async def test_a_change_that_fails_is_taken_back_in_the_same_wake():
    async with Naps() as naps:
        await settled(naps)
        naps.broker.kept[TOP + "config/set"] = b'{"revision":1,"patch":{"mqtt":{"port":2}}}'
        original = naps.board.open_stream

        async def only_1883(host, port, tls):
            if port != 1883:
                raise OSError(111)
            return await original(host, port, tls)

        naps.board.open_stream = only_1883
        await naps.wake(40_000)
        report = naps.line.on(TOP + "config")[-1].json()
        equal((report["revision"], report["state"]), (1, "rolled-back"))
        equal(report["config"]["mqtt"]["port"], 1883)
        await naps.wake()
        equal(naps.line.on(TOP + "telemetry/air")[0].retain, True)


def desire(naps, revision, patch):
    """The broker keeps a document."""
    naps.broker.kept[TOP + "config/set"] = json.dumps({"revision": revision, "patch": patch}).encode()


def states(naps):
    """(state, revision, reason) of every report on whatever connection, from where `lines` begin."""
    reports = [message.json() for line in naps.broker.lines for message in line.on(TOP + "config")]
    return [(report["state"], report["revision"], report["reason"]) for report in reports]


TRIAL_MS = 120_000
LOST = "the document was not there when the node woke: publish it retained, as a node that sleeps hears nothing else"


async def test_a_change_that_works_is_kept_in_the_wake_after_a_sleep_that_is_not_long():
    async with Naps(interval_s=600) as naps:
        await settled(naps)
        desire(naps, 1, {"mqtt": {"port": 2}, "sensors": {"door": {"interval_s": 600}}})
        await naps.wake(40_000)
        equal(naps.board.opened[-1][2], 2)
        equal(states(naps)[-1], ("trial", 1, None))
        assert naps.rest[0] <= TRIAL_MS // 2, naps.rest
        await naps.wake()
        equal(states(naps)[-1], ("applied", 1, None))
        assert naps.rest[0] > TRIAL_MS, naps.rest
        equal(json.loads(naps.board.files.content["config"])["revision"], 1)
        assert "old" not in json.loads(naps.board.files.content["config"])


async def test_a_document_that_is_not_kept_is_no_way_to_tell_a_node_that_sleeps():
    async with Naps() as naps:
        await settled(naps)
        desire(naps, 1, {"mqtt": {"keepalive_s": 61, "user": "else"}})
        await naps.wake()
        equal(states(naps)[-1], ("trial", 1, None))
        naps.broker.kept.clear()
        await naps.wake()
        equal(states(naps)[-1], ("rolled-back", 1, LOST))
        await naps.wake()
        equal(naps.line.hello["user"], None)


async def test_a_wake_that_crashes_ends_the_trial():
    async with Naps() as naps:
        await settled(naps)
        desire(naps, 1, {"mqtt": {"user": "else"}})
        await naps.wake()
        naps.board.reset_cause = "hard"
        await naps.wake()
        equal(states(naps)[-1], ("rolled-back", 1, "restarted before the node was online"))


async def test_a_second_wake_that_reaches_nobody_goes_back_and_says_so_soon():
    for old in ({"mode": "deepsleep"}, {"mode": "always"}):
        async with Naps(interval_s=600, send_every=7) as naps:
            await settled(naps)
            base = dict(BASE, telemetry={"interval_s": 600}, power=old)
            naps.board.config = json.dumps(base).encode()
            wanted = {"mqtt": {"port": 2}, "power": {"mode": "deepsleep", "send_every": 70}}
            naps.board.files.content["config"] = json.dumps(
                {"revision": 1, "patch": wanted, "old": {}, "first": True}).encode()
            desire(naps, 1, wanted)
            naps.board.rtc = b""
            equal(await naps.wake(), "asleep")
            equal(states(naps)[-1], ("trial", 1, None))
            original, began_ms = naps.board.open_stream, naps.board.now_ms

            async def only_1883(host, port, tls, original=original):
                if port != 1883:
                    await naps.board.sleep_ms(3_600_000)  # nobody answers, until the time of the wake is up
                return await original(host, port, tls)

            naps.board.open_stream = only_1883
            ending = await naps.wake(40_000)
            if old["mode"] == "always":
                equal(ending, "restart")
                naps.start(start.chosen(naps.board, load).run())
                await naps.pass_ms(3_000)
            else:
                equal(ending, "asleep")
                assert naps.board.now_ms - began_ms <= TRIAL_MS // 2 + 20_000
                await naps.wake()
            equal(states(naps)[-1][:2], ("rolled-back", 1))
            assert "time of this wake" in states(naps)[-1][2], states(naps)[-1]


WEEK = {"power": {"mode": "deepsleep", "send_every": 7}, "telemetry": {"interval_s": 86_400},
        "sensors": {"door": None}}
SILENT = ("it would be silent for 604800 s at a time: if that is meant, send the same patch again as revision 2 "
          "meanwhile")


async def a_week(naps):
    """The first wake with a week of deep sleep."""
    await settled(naps)
    desire(naps, 1, WEEK)
    await naps.wake()
    equal(states(naps)[-1], ("trial", 1, None))
    assert naps.rest[0] <= TRIAL_MS // 2, naps.rest


async def test_a_week_of_silence_is_not_kept_on_one_document_alone():
    async with Naps() as naps:
        await a_week(naps)
        await naps.wake()
        equal(states(naps)[-1], ("rolled-back", 1, SILENT))
        equal(naps.rest[0] <= 60_000, True, naps.rest)


async def test_a_week_of_silence_is_kept_on_the_operators_second_word():
    async with Naps() as naps:
        await a_week(naps)
        desire(naps, 2, WEEK)
        await naps.wake()
        equal(states(naps)[-1], ("applied", 2, None))
        assert naps.rest[0] > 3_600_000, naps.rest
        equal(json.loads(naps.board.files.content["config"]), {"revision": 2, "patch": WEEK})


async def test_a_second_word_that_is_another_one_is_a_new_trial():
    async with Naps() as naps:
        await a_week(naps)
        desire(naps, 2, dict(WEEK, node={"name": "Attic"}))
        await naps.wake()
        equal(states(naps)[-1], ("trial", 2, None))
        assert naps.rest[0] <= TRIAL_MS // 2, naps.rest
        await naps.wake()
        equal(states(naps)[-1][:2], ("rolled-back", 2))


async def test_stay_awake_hands_over_to_the_node_that_does():
    async with Naps() as naps:
        await settled(naps)
        until_s = naps.board.time_s() + 600
        naps.broker.kept[TOP + "config/set"] = b'{"revision":1,"patch":{"power":{"awake_until":%d}}}' % until_s
        equal(await naps.wake(), "restart")
        node = start.chosen(naps.board, naps.fetch)
        naps.ended = False
        naps.start(node.run())
        await naps.pass_ms(5_000)
        equal(naps.line.on(TOP + "status")[-1].payload, b"online")
        await naps.pass_ms(500_000)
        equal(naps.ended, False)
        await naps.pass_ms(110_000)
        equal((naps.ended, naps.result), (True, "restart"))
        equal(naps.line.on(TOP + "status")[-1].payload, b"offline")
        naps.broker.kept.clear()
        equal(await naps.wake(), "asleep")


async def test_a_node_that_never_slept_can_be_told_to():
    async with Naps({"mqtt": {"host": "broker.test"}, "sensors": BASE["sensors"], "power": {}}, mode="always") as naps:
        node = start.chosen(naps.board, load)
        naps.start(node.run())
        await naps.pass_ms(1_000)
        naps.line.deliver(TOP + "config/set", b'{"revision":1,"patch":{"power":{"mode":"deepsleep"}}}', 1, True)
        await naps.pass_ms(15_000)
        equal((naps.ended, naps.result), (True, "restart"))
        naps.board.reset_cause = "hard"
        desire(naps, 1, {"power": {"mode": "deepsleep"}})
        equal(await naps.wake(), "asleep")
        equal(states(naps)[-1], ("trial", 1, None))
        equal(await naps.wake(), "asleep")
        equal(states(naps)[-1], ("applied", 1, None))
        naps.broker.kept[TOP + "config/set"] = b'{"revision":2,"patch":{}}'
        equal(await naps.wake(), "restart", "and not to:")
        equal(naps.line.on(TOP + "config")[-1].json()["config"]["power"], {"mode": "always"})
        node = start.chosen(naps.board, load)
        naps.ended = False
        naps.start(node.run())
        await naps.pass_ms(100_000)
        equal((naps.ended, naps.line.on(TOP + "status")[-1].payload), (False, b"online"))


async def test_a_pin_wakes_all_sensors_and_sends_at_once():
    async with Naps(send_every=10, wake_pin=33) as naps:
        await settled(naps)
        lines = len(naps.broker.lines)
        equal(naps.rest[1:], (33,))
        naps.board.woken_by_pin = True
        await naps.wake()
        equal(len(naps.broker.lines), lines + 1)
        equal([len(naps.line.on(TOP + "telemetry/" + name)) for name in ("air", "door")], [1, 1])


async def test_a_loose_contact_does_not_empty_the_battery():
    async with Naps(wake_pin=33) as naps:
        await settled(naps)
        pins = []
        for _ in range(12):
            naps.board.woken_by_pin = naps.rest[1] is not None
            await naps.wake()
            pins.append(naps.rest[1])
        equal(pins, [33] * 9 + [None] + [33] * 2, "after ten in a row the clock is the next to wake it:")


async def test_readings_before_the_clock_was_known_get_their_time_from_it():
    for tls in (None, {"ca": "ca.der"}):  # with TLS the clock is guessed on the way, and jumps by 26 years
        async with Naps(dict(BASE, mqtt={"host": "broker.test", "tls": tls})) as naps:
            naps.board.unix_s = None
            naps.board.sync_fails = OSError("no answer")
            naps.board.open_fails = OSError(111)
            taken_ms = []
            for _ in range(3):
                taken_ms.append(naps.board.now_ms)
                await naps.wake()
            naps.board.sync_fails = naps.board.open_fails = None
            for _ in range(8):
                await naps.wake()
            first = [message for line in naps.broker.lines for message in line.on(TOP + "backlog")][0].json()
            times = [reading["ts"] for reading in first if reading["sensor"] == "air"][:3]
            equal(times, [1_800_000_000 + ms // 1000 for ms in taken_ms])


async def test_what_is_learned_of_the_clock_goes_from_wake_to_wake():
    async with Naps(dict(BASE, sensors={"air": {"driver": "nap"}}), interval_s=600) as naps:
        board = naps.board
        asked_ms = []

        async def sync_time(servers):
            asked_ms.append(board.now_ms)
            board.drift = board.time_s(), -7_000 if board.drift[0] else 0

        board.sync_time = sync_time
        for _ in range(6 * 27):
            board.drift = 0, 0  # a start knows nothing
            await naps.wake(2_000)
        hours = [round((after - before) / 3_600_000) for before, after in zip(asked_ms, asked_ms[1:])]
        equal(hours, [1, 24], "the second answer comes soon, as it is the one that teaches:")
        equal((naps.kept().slow_ppm, board.drift[1]), (-7_000, -7_000))


async def test_a_time_that_was_only_guessed_is_told_to_nobody():
    async with Naps(dict(BASE, mqtt={"host": "broker.test", "tls": {"ca": "ca.der"}})) as naps:
        naps.board.unix_s = None
        naps.board.sync_fails = OSError("no answer")
        for _ in range(3):
            await naps.wake()
            equal(naps.line.on(TOP + "telemetry/air")[0].json()["ts"], None)


async def test_a_broker_that_sends_what_it_keeps_late_gets_a_grace():
    async with Naps() as naps:
        naps.broker.kept_late = True
        naps.broker.kept[TOP + "status"] = b"sleeping"
        naps.broker.kept[TOP + "config/set"] = b'{"revision":1,"patch":{"power":{"awake_until":1}}}'
        await naps.wake()
        equal(naps.line.on(TOP + "config")[-1].json()["revision"], 1)
        await naps.wake()
        assert (TOP + "status", 0) in naps.line.filters, "the broker has shown nothing"


async def test_memory_that_is_broken_is_a_new_beginning():
    async with Naps() as naps:
        await settled(naps)
        boot = naps.kept().boot
        naps.board.rtc = naps.board.rtc[:1_100] + b"\xff" + naps.board.rtc[1_101:]
        equal(retained.load(naps.board, retained.SLEEP), None)
        naps.board.reset_cause = "hard"
        await naps.wake()
        equal(naps.kept().boot, boot + 1)


async def test_all_of_it_also_with_code_that_is_only_lent():
    async with Naps(fetch=lend) as naps:
        await settled(naps)
        naps.broker.kept[TOP + "config/set"] = b'{"revision":1,"patch":{"mqtt":{"port":2}}}'
        await naps.wake(40_000)
        await naps.wake()
        equal(naps.line.on(TOP + "config")[-1].json()["state"], "applied")


def test_a_new_board_has_nothing_kept():
    equal(retained.load(Board({}), retained.SLEEP), None)


async def test_what_a_sleeper_was_online_with_is_what_rescue_relies_on():
    async with Naps() as naps:
        await settled(naps)
        await naps.wake()
        good = naps.board.files.content["good"]
        equal(json.loads(good)["patch"], {})
        await naps.wake()
        assert naps.board.files.content["good"] is good, "written once"
