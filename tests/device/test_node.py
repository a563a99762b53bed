"""A whole node over a broker in memory: its birth, its readings, what it obeys, and what it tells of itself."""

import asyncio
import json
import sys

from firmware import VERSION, config, desired, drivers  # noqa: F401 - the node finds drivers below their package
from firmware.node import Node
from firmware.outbox import Outbox
from lending import lend, load
from minitest import equal, raises
from ring import Ring
from segments import Segments
from stage import Board, Stage

from tools.sim.bus import Buses

BASE = {
    "node": {"name": "Greenhouse", "groups": ["garden"]},
    "mqtt": {"host": "broker.test"},
    "telemetry": {"interval_s": 10},
    "sensors": {"air": {"driver": "fake"}, "door": {"driver": "fake", "kind": "one", "interval_s": 4}},
    "board": {"led_pin": 2},
}
TOP = "mote/fake-a1b2c3/"
PAIR = (("warmth", "m", "\u00b0C", 1, "temperature", -40, 85), ("wet", "m", "%", 0, "humidity", 0, 100))
ONE = (("count", "t", None, 0, None, 0, 1_000_000),)
DIAGNOSTICS = ["acknowledged", "boot", "clock_ppm", "clock_refused", "dropped", "heap_free", "heap_low", "idf_free",
               "idf_largest", "inherited",
               "lost", "produced", "queued", "reconnects", "refused", "rejected", "rssi",
               "unchanged", "uptime_s"]
MINUTE_MS = 60_000


class Driver:
    """What `"driver": "fake"` names. `board.missing` has the kinds that do not answer."""

    def __init__(self, board, options):
        self.options = options
        self.count = 0
        self.quantities = PAIR if options.get("kind") is None else ONE
        self._board = board
        board.made = getattr(board, "made", []) + [self]

    def start(self):
        if self.options.get("kind") in getattr(self._board, "missing", ()):
            raise OSError(19)
        return 30

    def read(self):
        self.count += 1
        return (21.37, 50) if self.quantities == PAIR else (self.count,)


class FakeModule:
    """Stands for the file firmware/drivers/fake.py."""


FakeModule.Driver = Driver
sys.modules["firmware.drivers.fake"] = FakeModule


class Rig(Stage):
    """A node on a stage. `fetch` is how it loads code that it seldom needs."""

    def __init__(self, base=BASE, board=None, fetch=load):
        super().__init__(base)
        if board:
            self.board, board.broker = board, self.broker
        self.node = Node(self.board, fetch)

    @property
    def line(self):
        return self.broker.line

    async def go(self, ms=0):
        self.start(self.node.run())
        await self.pass_ms(ms)

    async def says(self, topic, payload=b"", retain=False, ms=0):
        """The broker delivers a message below the node's topic; returns what the node then published."""
        line, before = self.line, len(self.line.messages)
        line.deliver(TOP + topic, payload, 1, retain)
        await self.pass_ms(ms)
        return line.messages[before:]

    async def command(self, verb, payload=b""):
        """The reply to a command."""
        reply, = [message for message in await self.says("command/" + verb, payload) if message.topic == TOP + "reply"]
        equal((reply.retain, reply.qos), (False, 1))
        return reply.json()

    async def desire(self, revision, patch, retain=False):
        """The report that follows a document, on whatever connection."""
        await self.says("config/set", json.dumps({"revision": revision, "patch": patch}), retain)
        report = self.line.on(TOP + "config")[-1]
        equal((report.retain, report.qos), (True, 1))
        return report.json()

    def readings(self, sensor="air"):
        return [message.json() for line in self.broker.lines for message in line.on(TOP + "telemetry/" + sensor)]

    def backlog(self):
        messages = [message for line in self.broker.lines for message in line.on(TOP + "backlog")]
        return [reading for message in messages for reading in message.json()]


def again(rig, base=None):
    """A board after a restart: the same flash, a new life."""
    board = Board(base or BASE)
    board.files = rig.board.files
    return board


async def test_a_birth_is_in_order():
    async with Rig() as rig:
        await rig.go(100)
        equal(rig.line.hello["id"], "fake-a1b2c3")
        equal(rig.line.hello["will"], (TOP + "status", b"offline", True, 1))
        events = [event for event in rig.line.events if event not in (TOP + "diagnostics", TOP + "log", "PUBACK")]
        equal(events[:6], ["SUBSCRIBE", "homeassistant/device/fake-a1b2c3/config", TOP + "status", TOP + "info",
                           TOP + "update", TOP + "config"])
        equal(sorted(events[6:8]), [TOP + "telemetry/air", TOP + "telemetry/door"], "then fresh readings:")
        for topic in events[1:6]:
            message, = rig.line.on(topic)
            equal((message.retain, message.qos), (True, 1), topic)
        equal(rig.line.on(TOP + "status")[0].payload, b"online")
        filters = dict(rig.line.filters)
        equal(sorted(filters), sorted([TOP + "config/set", TOP + "config/set/+", TOP + "command/+", TOP + "probe",
                                       "mote/all/command/+", "mote/group/garden/command/+", "homeassistant/status"]))


async def test_info_and_discovery_tell_what_is_there():
    async with Rig() as rig:
        await rig.go()
        info = rig.line.on(TOP + "info")[0].json()
        equal(info["sensors"], {
            "air": {"interval_s": 10, "quantities": {"warmth": "\u00b0C", "wet": "%"}},
            "door": {"interval_s": 4, "quantities": {"count": None}}})
        for key, value in (("name", "Greenhouse"), ("area", None), ("firmware", VERSION), ("chips", "simulated"),
                           ("interpreter", "Python 3"), ("board", "Board of a test"), ("mac", "a1:b2:c3:a1:b2:c3"),
                           ("ip", "192.0.2.7"), ("reset_cause", "power-on"), ("revision", 0), ("last_seq", None)):
            equal(info[key], value, key)
        parts = rig.line.on("homeassistant/device/fake-a1b2c3/config")[0].json()["cmps"]
        assert set(parts) >= {"air_warmth", "air_wet", "door_count", "identify", "restart"}, sorted(parts)
        equal((parts["air_wet"]["exp_aft"], parts["door_count"]["exp_aft"]), (100, 76))


async def test_every_sensor_reports_at_its_own_period():
    async with Rig() as rig:
        await rig.go(60_100)
        air, door = rig.readings("air"), rig.readings("door")
        equal([reading["ts"] - 1_800_000_000 for reading in air], [0, 10, 20, 30, 40, 50, 60])
        equal([reading["ts"] - 1_800_000_000 for reading in door], list(range(0, 61, 4)))
        equal(air[0], {"ts": 1_800_000_000, "boot": air[0]["boot"], "seq": air[0]["seq"], "warmth": 21.4, "wet": 50})
        equal([reading["count"] for reading in door], list(range(1, 17)))
        equal(sorted([reading["seq"] for reading in air + door]), list(range(1, 24)), "one seq for each reading:")


async def test_a_boot_is_counted_and_the_first_is_drawn():
    async with Rig() as rig:
        rig.board.chance = 0.75
        await rig.go(100)
        boot = rig.readings()[0]["boot"]
        assert 0 < boot < 2**29
        equal(boot, int(0.75 * 2**29) + 1)
        equal(rig.line.on(TOP + "info")[0].json()["boot"], boot)
    for count in (1, 2):
        async with Rig(board=again(rig)) as rig:
            await rig.go(100)
            equal(rig.readings()[0]["boot"], boot + count)


async def test_restart_is_obeyed_after_it_was_acknowledged():
    async with Rig() as rig:
        await rig.go(1_000)
        reply = await rig.command("restart", '{"id": "r1"}')
        equal(reply, {"id": "r1", "verb": "restart", "ok": True})
        equal((rig.ended, rig.result), (True, "restart"))
        tail = rig.line.events[-4:]
        equal(tail, ["PUBACK", TOP + "reply", TOP + "status", "DISCONNECT"])
        equal(rig.line.messages[-1].payload, b"offline")


async def test_stopping_says_goodbye():
    async with Rig() as rig:
        await rig.go(1_000)
        rig.node.stop()
        await rig.pass_ms(0)
        equal((rig.ended, rig.result, rig.line.goodbye), (True, "stopped", True))
        equal(rig.line.messages[-1].payload, b"offline")


async def test_the_last_readings_before_a_stop_are_on_flash():
    for turns in range(24):  # of the loop, after which every sensor is due: before the end, in it, after it
        async with Rig() as rig:
            rig.board.open_fails = OSError(111)
            await rig.go(10_000)
            rig.board.now_ms += 20_000
            rig.node.stop()
            for _ in range(turns):
                await asyncio.sleep(0)
            rig.node._wake.set()
            await rig.pass_ms(100)
            assert rig.ended
            segments = Segments(rig.board.files.root)
            stored = sum([segments.read(number).total for number in segments.numbers])
            equal((stored, stored > 3), (rig.node._outbox.seq, True), "%d turns:" % turns)


async def test_stopping_without_a_broker():
    async with Rig() as rig:
        rig.board.open_fails = OSError(111)
        await rig.go(10_000)
        rig.node.stop()
        await rig.pass_ms(0)
        equal((rig.ended, rig.result), (True, "stopped"))


async def test_commands_are_answered():
    async with Rig() as rig:
        await rig.go(5_000)
        count = len(rig.readings())
        equal(await rig.command("sample", '{"id": 5}'), {"id": 5, "verb": "sample", "ok": True})
        await rig.pass_ms(100)
        equal(len(rig.readings()), count + 1, "a fresh reading:")
        reply = await rig.command("nonsense")
        known = "factory-reset identify report restart sample"
        equal((reply["ok"], reply["error"]), (False, "unknown verb, allowed: " + known))
        equal((await rig.command("identify"))["ok"], True)
        await rig.pass_ms(6_000)
        led, = rig.board.leds
        equal((led.number, len(led.shown), led.shown[-1][1]), (2, 20, 0))
        rig.line.messages.clear()
        equal((await rig.command("report"))["ok"], True)
        topics = [message.topic for message in rig.line.messages]
        for topic in ("status", "info", "config", "diagnostics"):
            assert TOP + topic in topics, topics
        assert "homeassistant/device/fake-a1b2c3/config" in topics
        assert not rig.ended


async def test_retained_commands_are_not_obeyed():
    async with Rig() as rig:
        await rig.go(1_000)
        for topic in ("command/restart", "config/set/telemetry.interval_s"):
            equal(await rig.says(topic, b"5", retain=True), [], topic)
        rig.line.deliver("mote/all/command/restart", b"", 1, True)
        await rig.pass_ms(15_000)
        assert not rig.ended
        equal(rig.board.files.load("config"), None)


async def test_commands_to_many_are_obeyed_a_little_later():
    async with Rig() as rig:
        await rig.go(1_000)
        rig.board.chance = 0.3
        for topic in ("mote/all/command/identify", "mote/group/garden/command/identify"):
            rig.line.deliver(topic)
        await rig.pass_ms(2_900)
        equal(rig.board.leds, [])
        await rig.pass_ms(200)
        equal(len(rig.board.leds), 2)


async def test_home_assistant_hears_everything_again_after_its_start():
    async with Rig() as rig:
        await rig.go(1_000)
        rig.board.chance = 0.1
        rig.line.deliver("homeassistant/status", b"offline", 0)
        rig.line.deliver("homeassistant/status", b"online", 0)
        before = len(rig.line.events)
        await rig.pass_ms(900)
        equal([event for event in rig.line.events[before:] if event != "PUBACK"], [])
        await rig.pass_ms(300)
        events = [event for event in rig.line.events[before:] if event != TOP + "diagnostics"]
        equal(events[:5], ["homeassistant/device/fake-a1b2c3/config", TOP + "status", TOP + "info", TOP + "update",
                           TOP + "config"])
        equal(sorted(events[5:]), [TOP + "telemetry/air", TOP + "telemetry/door"])


async def test_what_home_assistant_did_not_know_is_read_once_more_when_it_has_subscribed():
    async with Rig(dict(BASE, telemetry={"interval_s": 600, "diagnostics_s": 600})) as rig:
        rig.board.chance = 0.1
        await rig.go(2_700)
        equal([len(rig.line.on(TOP + name)) for name in ("telemetry/air", "diagnostics")], [1, 1])
        await rig.pass_ms(300)
        fresh = [reading["seq"] for reading in rig.readings()]
        equal(len(rig.line.on(TOP + "telemetry/air")), 2)
        equal(len(fresh), len(set(fresh)), "a sample of its own, not the old one:")
        await rig.pass_ms(60_000)
        equal([len(rig.line.on(TOP + name)) for name in ("telemetry/air", "diagnostics")], [2, 2])
        rig.line.hang_up()
        await rig.pass_ms(60_000)
        equal(len(rig.line.on(TOP + "telemetry/air")), 1, "it knows the node by now:")


async def test_a_live_change_needs_no_new_connection():
    async with Rig() as rig:
        await rig.go(3_000)
        report = await rig.desire(1, {"telemetry": {"interval_s": 2, "diagnostics_s": 7}})
        equal((report["state"], report["revision"], report["config"]["telemetry"]["interval_s"]), ("applied", 1, 2))
        await rig.pass_ms(30_000)
        equal((len(rig.broker.lines), rig.line.goodbye), (1, False))
        times = [reading["ts"] - 1_800_000_000 for reading in rig.readings()]
        equal(times[-10:], list(range(times[-1] - 18, times[-1] + 1, 2)))
        equal(rig.line.on(TOP + "info")[-1].json()["sensors"]["air"]["interval_s"], 2, "announced again:")
        parts = rig.line.on("homeassistant/device/fake-a1b2c3/config")[-1].json()["cmps"]
        equal(parts["air_wet"]["exp_aft"], 68)
        uptimes = [message.json()["uptime_s"] for message in rig.line.on(TOP + "diagnostics")]
        equal([uptimes[-1] - uptimes[-2], uptimes[-2] - uptimes[-3]], [7, 7], "the new period counts at once:")


async def test_a_change_that_needs_one_makes_a_new_connection():
    async with Rig() as rig:
        await rig.go(3_000)
        first = rig.line
        patch = {"mqtt": {"base": "site"}, "node": {"id": "n-2"}, "sensors": {"door": None},
                 "telemetry": {"diagnostics_s": 5}}
        await rig.says("config/set", json.dumps({"revision": 1, "patch": patch}))
        equal((first.messages[-1].topic, first.messages[-1].payload), (TOP + "status", b"offline"))
        assert first.goodbye
        equal((len(rig.broker.lines), rig.line.hello["id"], rig.line.hello["will"][0]), (2, "n-2", "site/n-2/status"))
        await rig.pass_ms(20_000)
        reports = [message.json() for message in rig.line.on("site/n-2/config")]
        equal([(report["state"], report["revision"], report["patch"]) for report in reports],
              [("trial", 1, patch), ("applied", 1, patch)])
        equal(rig.line.on("site/n-2/info")[0].json()["revision"], 1)
        assert rig.line.on("site/n-2/telemetry/air")
        assert len(rig.line.on("site/n-2/diagnostics")) >= 4
        equal([message for message in rig.line.messages if "door" in message.topic], [])
        assert all([message.topic.startswith(("site/n-2/", "homeassistant/")) for message in rig.line.messages])


async def test_what_is_refused_changes_nothing():
    async with Rig() as rig:
        await rig.go(3_000)
        await rig.desire(1, {"telemetry": {"interval_s": 5}})
        before = dict(rig.board.files.content)
        report = await rig.desire(2, {"telemetry": {"interval_s": "often"}, "nonsense": 1, "mqtt": {"port": 99_999}})
        equal((report["state"], report["revision"], len(report["errors"])), ("rejected", 1, 3))
        for payload in (b"{", b"[" * 4000, b"\xff", b"x" * 5000, b'{"revision": 2, "patch": {1: {2: 3}}}',
                        b'{"revision": 2, "patch": {"telemetry": {"qos": 1e999}}}'):
            sent = await rig.says("config/set", payload)
            report, = [message.json() for message in sent if message.topic == TOP + "config"]
            equal((report["state"], report["revision"]), ("rejected", 1), payload[:40])
            assert report["reason"]
        equal(rig.board.files.content, before)
        await rig.pass_ms(1_000)
        count = len(rig.readings())
        await rig.pass_ms(10_000)
        equal((len(rig.readings()), len(rig.broker.lines)), (count + 2, 1))


async def test_an_empty_document_only_clears_what_the_broker_kept():
    async with Rig() as rig:
        await rig.go(1_000)
        equal([message.topic for message in await rig.says("config/set", b"")], [])


async def test_a_retained_document_is_obeyed_once():
    async with Rig() as rig:
        await rig.go(1_000)
        desired = {"revision": 4, "patch": {"telemetry": {"interval_s": 3}}}
        await rig.says("config/set", json.dumps(desired), retain=True)
        equal(json.loads(rig.board.files.load("config")), desired)
    async with Rig(board=again(rig)) as later:
        await later.go(1_000)
        equal(later.line.on(TOP + "config")[0].json()["revision"], 4)
        report = await later.desire(4, {"telemetry": {"interval_s": 9}}, retain=True)
        equal((report["revision"], report["config"]["telemetry"]["interval_s"]), (4, 3))
        equal(len(later.broker.lines), 1)
        await later.pass_ms(9_000)
        equal(len(later.readings()), 4)


async def test_a_control_changes_one_key():
    async with Rig() as rig:
        await rig.go(1_000)
        sent = await rig.says("config/set/telemetry.interval_s", b"5")
        report, = [message.json() for message in sent if message.topic == TOP + "config"]
        equal((report["state"], report["revision"], report["patch"]), ("applied", 1, {"telemetry": {"interval_s": 5}}))
        sent = await rig.says("config/set/telemetry.interval_s", b"often")
        report, = [message.json() for message in sent if message.topic == TOP + "config"]
        equal((report["state"], report["revision"], report["errors"][0]["found"]), ("rejected", 1, "often"))


async def test_a_driver_whose_options_stay_is_kept():
    async with Rig() as rig:
        await rig.go(10_000)
        made = len(rig.board.made)
        await rig.desire(1, {"telemetry": {"interval_s": 3}, "sensors": {"more": {"driver": "fake"}}})
        await rig.pass_ms(10_000)
        equal(len(rig.board.made), made + 1)
        counts = [reading["count"] for reading in rig.readings("door")]
        equal(counts, list(range(1, len(counts) + 1)), "the meter did not begin anew:")
        await rig.desire(2, {"sensors": {"door": {"invert": True}}})
        await rig.pass_ms(5_000)
        equal(rig.board.made[-1].options["invert"], True)


async def test_a_config_change_while_a_chip_measures():
    sensors = {"air": {"driver": "bme280"}, "sky": {"driver": "bh1750"}}
    world = {"temperature": 20.0, "humidity": 50.0, "pressure": 1013.0, "illuminance": 500.0}
    base = {"mqtt": {"host": "broker.test"}, "telemetry": {"interval_s": 1}, "sensors": sensors}
    async with Rig(base) as rig:
        buses = Buses(sensors, lambda name: lambda quantity: world[quantity], lambda: rig.board.now_ms)
        rig.board.i2c = buses.i2c
        await rig.go()
        for revision in range(1, 20):
            await rig.desire(revision, {"sensors": {"air": {"kind": "bmp280" if revision % 2 else None}}})
            await rig.pass_ms(7 * revision)
        equal(len(rig.broker.lines), 20)
        count = len(rig.readings("air"))
        await rig.pass_ms(10_000)
        assert len(rig.readings("air")) >= count + 9
        await rig.command("report")
        rejected = rig.line.on(TOP + "diagnostics")[-1].json()["rejected"]
        equal(rejected, {"missing": 0, "bad": 0, "range": 0})


async def test_diagnostics_add_up():
    async with Rig() as rig:
        rig.board.missing = ("one",)
        rig.board.free = 40_000
        await rig.go(5 * MINUTE_MS)
        rig.board.free = 60_000
        rig.broker.acknowledges = False
        await rig.pass_ms(3_000)
        rig.line.hang_up()
        rig.board.open_fails = OSError(111)
        await rig.pass_ms(5 * MINUTE_MS)
        rig.broker.acknowledges = True
        rig.board.open_fails = None
        await rig.pass_ms(3 * MINUTE_MS)
        for message in [message for line in rig.broker.lines for message in line.on(TOP + "diagnostics")]:
            equal((message.retain, message.qos), (False, 0))
            found = message.json()
            equal(sorted(found), DIAGNOSTICS)
            equal(found["produced"], found["acknowledged"] + found["queued"] + sum(found["dropped"].values()), found)
        equal((found["rssi"], found["heap_free"], found["heap_low"]), (-60, 60_000, 40_000))
        equal((found["idf_free"], found["idf_largest"], found["reconnects"]), (None, None, 1))
        equal((found["queued"], found["dropped"]), (0, {"overflow": 0, "flash": 0, "policy": 0}))
        uptimes = [message.json()["uptime_s"] for message in rig.line.on(TOP + "diagnostics")]
        assert uptimes[0] > 600, "what was said offline would only have grown old"
        assert abs(found["uptime_s"] - 783) <= 60, found
        assert found["rejected"]["missing"] > 100 and found["rejected"]["bad"] == 0
        assert 0 < found["produced"] - found["uptime_s"] // 10 <= 3, "one each 10 s, and one for each connection"
        seqs = sorted([reading["seq"] for reading in rig.readings() + rig.backlog()])
        equal(seqs[0], 1)
        equal(sorted(set(seqs)), list(range(1, seqs[-1] + 1)))


async def test_diagnostics_come_at_their_period():
    async with Rig(dict(BASE, telemetry={"diagnostics_s": 20})) as rig:
        await rig.go(101_000)
        told = [message.json()["uptime_s"] for message in rig.line.on(TOP + "diagnostics")]
        equal(told, [0, 3, 23, 43, 63, 83], "once more when Home Assistant has subscribed, then")


async def test_a_flood_of_commands_is_counted():
    async with Rig() as rig:
        await rig.go(1_000)
        for _ in range(20):
            rig.line.deliver(TOP + "command/nonsense", b"")
        await rig.pass_ms(0)
        equal(len(rig.line.on(TOP + "reply")), 8)
        await rig.command("report")
        equal(rig.line.on(TOP + "diagnostics")[-1].json()["lost"], {"commands": 12, "messages": 0})


async def test_readings_of_an_outage_come_as_backlog_with_their_times():
    async with Rig() as rig:
        rig.board.unix_s = None
        rig.board.sync_fails = OSError("no time server answers")
        rig.board.open_fails = OSError(111)
        await rig.go(41_000)
        rig.board.unix_s = 1_800_000_000
        rig.board.open_fails = None
        await rig.pass_ms(MINUTE_MS)
        found = [reading for reading in rig.backlog() if reading["sensor"] == "air"]
        equal([reading["ts"] - 1_800_000_000 for reading in found][:5], [0, 10, 20, 30, 40])
        equal(sorted(found[0]), sorted(["boot", "seq", "sensor", "ts", "warmth", "wet"]))
        seqs = [reading["seq"] for reading in rig.backlog()]
        equal(seqs, list(range(1, len(seqs) + 1)), "oldest first:")
        assert min([reading["seq"] for reading in rig.readings()]) > seqs[-1]


async def test_the_watchdog_is_fed_online_and_off():
    async with Rig() as rig:
        await rig.go(MINUTE_MS)
        rig.board.open_fails = OSError(111)
        rig.line.hang_up()
        await rig.pass_ms(5 * MINUTE_MS)
        fed = rig.board.fed_ms + [rig.board.now_ms]
        for index in range(1, len(fed)):
            assert fed[index] - fed[index - 1] <= 5_000, fed[index]


async def test_the_watchdog_is_not_fed_for_a_link_that_stands_still():
    release = asyncio.Event()

    async def stuck(host, port, tls):  # deaf to its deadline
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                pass  # that is the point

    async with Rig() as rig:
        rig.board.open_stream = stuck
        await rig.go(5 * MINUTE_MS)
        assert 80_000 <= rig.board.fed_ms[-1] <= 95_000, rig.board.fed_ms[-1]
        assert rig.readings() == [] and not rig.ended
        release.set()


async def test_sensors_that_cannot_be_built_cost_only_themselves():
    sensors = dict(BASE["sensors"])
    for name, options in (("none", {"driver": "no_such_driver"}), ("init", {"driver": "__init__"}),
                          ("dash", {"driver": "a-b"}), ("rom", {"driver": "ds18b20", "rom": "x" * 16, "pin": 4})):
        sensors[name] = options
    async with Rig(dict(BASE, sensors=sensors)) as rig:
        await rig.go(21_000)
        equal(len(rig.readings()), 3)
        for name in ("none", "init", "dash"):
            assert [line for line in rig.board.said if line.startswith("! sensor %s: " % name)], (name, rig.board.said)
        sensors = rig.line.on(TOP + "info")[0].json()["sensors"]
        assert "none" not in sensors and "air" in sensors


async def test_no_sensor_that_the_table_allows_ends_the_node():
    names = ("analog", "bh1750", "bme280", "dht22", "digital", "ds18b20", "host", "sht3x", "sht4x", "__init__")
    half = None, "soil", "battery", "contact", "motion"
    for driver, kinds in [(driver, half) for driver in names] + [
            (driver, ("pulse", "press", "bmp280", "nonsense")) for driver in names]:
        sensors = {}
        for index, kind in enumerate(kinds):
            sensors["plain%d" % index] = {"driver": driver, "kind": kind}
            sensors["null%d" % index] = {
                "driver": driver, "kind": kind, "interval_s": None, "bus": None, "address": None, "pin": None,
                "pull": None, "invert": None, "low_mv": None, "high_mv": None, "divider": None, "rom": None}
            sensors["odd%d" % index] = {
                "driver": driver, "kind": kind, "interval_s": 1, "bus": 3, "address": 119, "pin": 48,
                "pull": "sideways", "invert": True, "low_mv": 5, "high_mv": 5, "divider": 0.001, "rom": "z" * 16}
        base = {"mqtt": {"host": "broker.test"}, "sensors": sensors, "telemetry": {"interval_s": 1},
                "homeassistant": {"discovery": False}}
        equal(config.check(base), [])
        async with Rig(base) as rig:
            await rig.go(5_000)
            equal((rig.ended, len(rig.broker.lines)), (False, 1))


async def test_networks_and_sections_that_are_null():
    base = {"mqtt": {"host": "broker.test", "tls": None}, "wifi": {"home": None}, "sensors": {"air": None},
            "node": None, "telemetry": None, "board": None}
    async with Rig(base) as rig:
        rig.board.network = False
        await rig.go(5_000)
        equal((rig.board.joins, len(rig.broker.lines)), ([{}], 1))
    async with Rig(dict(base, wifi=None, sensors=None)) as rig:
        await rig.go(5_000)
        equal(rig.line.on(TOP + "status")[0].payload, b"online")


async def test_a_wrong_base_ends_the_node_with_its_mistakes():
    async with Rig({"mqtt": {"host": "broker.test", "port": 0}}) as rig:
        with raises(ValueError) as caught:
            await rig.go()
        equal(type(caught.value).__name__, "ConfigError")
        equal([problem[0] for problem in caught.value.args[1]], ["mqtt.port"])


async def test_code_that_is_only_lent_does_the_same():
    lent = ("firmware.config", "firmware.desired", "firmware.reported", "firmware.dialects.mote_discovery")
    for name in lent:
        sys.modules.pop(name, None)  # as other tests have loaded them
    async with Rig(fetch=lend) as rig:
        await rig.go(3_000)
        for name in lent:
            assert name not in sys.modules, name
        report = await rig.desire(1, {"telemetry": {"interval_s": 2}})
        equal(report["state"], "applied")
        report = await rig.desire(2, {"telemetry": {"interval_s": 0}})
        equal((report["state"], report["errors"][0]["key"]), ("rejected", "telemetry.interval_s"))
        report = await rig.desire(3, {"node": {"name": "Attic"}})
        equal((report["state"], len(rig.broker.lines)), ("applied", 2))


async def test_a_document_for_which_there_is_no_memory_is_reported_as_refused():
    class Starved:
        """As firmware.desired, when memory ends."""

        @staticmethod
        def obey(board, table, settings, *arguments):
            raise MemoryError

    short = []

    def fetch(name):
        return Starved if short and name == "firmware.desired" else load(name)

    async with Rig(fetch=fetch) as rig:
        await rig.go(3_000)
        short.append(True)
        sent = await rig.says("config/set", b'{"revision": 1, "patch": {}}')
        report = [message for message in sent if message.topic == TOP + "config"][0].json()
        equal((report["state"], report["revision"], report["reason"]), ("rejected", 0, "not enough memory"))
        assert report["config"]["mqtt"]["host"] and report["patch"] == {}, report
        short.clear()
        equal((await rig.desire(1, {}))["state"], "applied")


class Cramped:
    """Loads everything, but firmware.slots only while there is `room`, as when what it builds does not fit."""

    def __init__(self):
        self.room = True

    def __call__(self, name):
        if name == "firmware.slots" and not self.room:
            raise MemoryError
        return load(name)


async def test_a_change_that_finds_no_memory_to_be_built_is_followed_after_a_restart():
    fetch = Cramped()
    async with Rig(fetch=fetch) as rig:
        await rig.go(3_000)
        fetch.room = False
        await rig.says("config/set", b'{"revision": 1, "patch": {"telemetry": {"interval_s": 7}}}', ms=15_000)
        equal(rig.ended, True)
        equal(rig.result, "restart")
        assert "! config: not enough memory to follow it" in rig.board.said, rig.board.said
        equal(rig.line.on(TOP + "status")[-1].payload, b"offline", "a proper goodbye:")
    async with Rig(board=again(rig)) as second:
        await second.go(3_000)
        report = second.line.on(TOP + "config")[-1].json()
        equal((report["state"], report["revision"], report["config"]["telemetry"]["interval_s"]), ("applied", 1, 7))


async def test_a_trial_that_finds_no_memory_to_be_built_goes_back_and_says_why():
    fetch = Cramped()
    async with Rig(fetch=fetch) as rig:
        await rig.go(3_000)
        fetch.room = False
        await rig.says("config/set", b'{"revision": 1, "patch": {"outbox": {"ram_readings": 500}}}', ms=15_000)
        equal((rig.ended, rig.result), (True, "restart"))
    async with Rig(board=again(rig)) as second:
        await second.go(3_000)
        report = second.line.on(TOP + "config")[-1].json()
        equal((report["state"], report["revision"], report["reason"]), ("rolled-back", 1, "not enough memory"))
        equal((report["patch"], report["config"]["outbox"]["ram_readings"]), ({}, 64))


async def test_a_trial_that_cannot_be_left_for_lack_of_memory_ends_in_a_restart():
    fetch = Cramped()
    async with Rig(fetch=fetch) as rig:
        await rig.go(3_000)
        await rig.says("config/set", b'{"revision": 1, "patch": {"mqtt": {"host": "elsewhere.test"}}}', ms=1_000)
        fetch.room = False
        await rig.pass_ms(140_000)
        equal((rig.ended, rig.result), (True, "restart"))
    async with Rig(board=again(rig)) as second:
        await second.go(3_000)
        report = second.line.on(TOP + "config")[-1].json()
        equal((report["state"], report["config"]["mqtt"]["host"]), ("rolled-back", "broker.test"))


async def test_without_memory_for_a_document_and_for_the_report_the_node_lives_on():
    short = []

    def fetch(name):
        if short:
            raise MemoryError
        return load(name)

    async with Rig(fetch=fetch) as rig:
        await rig.go(3_000)
        short.append(True)
        sent = await rig.says("config/set", b'{"revision": 1, "patch": {}}')
        equal([message.payload for message in sent if message.topic == TOP + "config"], [])
        assert "! config: not enough memory to report" in rig.board.said
        short.clear()
        equal((await rig.desire(1, {}))["state"], "applied")
        equal(rig.ended, False)


async def test_a_start_proves_itself_after_a_minute_and_a_half_and_says_what_was_well():
    async with Rig() as rig:
        rig.board.files.content["starts"] = b"3"
        await rig.go(89_000)
        equal(rig.board.files.content["starts"], b"3")
        assert "good" not in rig.board.files.content
        await rig.pass_ms(10_000)
        equal(rig.board.files.content["starts"], b"0")
        equal(json.loads(rig.board.files.content["good"])["patch"], {})
        await rig.says("config/set", b'{"revision": 1, "patch": {"node": {"name": "Attic"}}}', ms=80_000)
        equal(json.loads(rig.board.files.content["good"])["patch"], {}, "not yet:")
        await rig.pass_ms(20_000)
        equal(json.loads(rig.board.files.content["good"])["patch"], {"node": {"name": "Attic"}})


async def test_a_start_without_a_broker_proves_itself_too():
    async with Rig() as rig:
        rig.board.open_fails = OSError("no route")
        rig.board.files.content["starts"] = b"3"
        await rig.go(100_000)
        equal(rig.board.files.content["starts"], b"0")
        assert "good" not in rig.board.files.content
        rig.board.open_fails = None
        await rig.pass_ms(300_000)
        equal(json.loads(rig.board.files.content["good"])["patch"], {}, "once the broker is back:")


async def test_a_session_that_is_stuck_gets_no_food_for_the_watchdog():
    async with Rig() as rig:
        await rig.go(5_000)

        async def hang(client, dialect):
            await asyncio.Event().wait()

        rig.node._link._send_backlog = hang
        await rig.pass_ms(600_000)
        equal(len(rig.broker.lines), 1, "the connection itself is well:")
        assert 180_000 <= rig.board.fed_ms[-1] <= 200_000, rig.board.fed_ms[-1]


def test_a_session_that_brings_what_earlier_boots_left_is_not_stuck():
    outbox = Outbox(Board(), None, Ring)
    before = outbox.settled
    outbox.inherited["acknowledged"] += 8
    outbox.dropped["policy"] += 1
    equal(outbox.settled - before, 9)


async def test_a_quiet_session_is_not_stuck():
    hour = {"interval_s": 3_600, "diagnostics_s": 3_600}
    async with Rig({"mqtt": {"host": "broker.test"}, "telemetry": hour, "sensors": {}}) as rig:
        await rig.go(3_000_000)
        assert rig.board.fed_ms[-1] >= 2_990_000


async def test_no_timer_is_early_late_or_lost_where_ticks_wrap():
    for first in (2**30 - 5_000, 2**29 - 5_000):
        board = Board(BASE)
        board.first_ticks = first
        async with Rig(board=board) as rig:
            await rig.go(60_000)
            beat = [message.json()["ts"] for message in rig.line.on(TOP + "telemetry/door")]
            equal(beat, [beat[0] + 4 * number for number in range(15)], "ticks from %d:" % first)
            rig.line.messages.clear()
            board.now_ms += 7 * 86_400_000  # the processor stood still, as in a debugger
            await rig.pass_ms(60_000)
            times = [message.json()["ts"] for line in rig.broker.lines for message in line.on(TOP + "telemetry/door")]
            beat = {after - before for before, after in zip(times, times[1:])} - {0}  # 0: the one of a new connection
            assert times[0] <= board.unix_s + 60 + 7 * 86_400 + 4 and beat == {4} and len(times) >= 15, times
            fields = rig.line.on(TOP + "diagnostics")[-1].json()
            assert fields["uptime_s"] >= 7 * 86_400 + 60, fields["uptime_s"]


async def test_readings_across_the_wrap_before_the_clock_is_known_get_their_own_time():
    for first in (2**30 - 5_000, 2**29 - 5_000):
        board = Board(BASE)
        board.first_ticks, board.unix_s, board.open_fails = first, None, OSError(111)
        board.sync_fails = OSError("no time server answers")
        async with Rig(board=board) as rig:
            await rig.go(30_000)
            board.unix_s, board.open_fails = 1_800_000_000, None
            await rig.pass_ms(60_000)
            late = [reading for message in rig.line.on(TOP + "backlog") for reading in message.json()]
            times = sorted({reading["ts"] for reading in late if reading["sensor"] == "door"})
            equal(times[:7], [1_800_000_000 + 4 * number for number in range(7)], "ticks from %d:" % first)
