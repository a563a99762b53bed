"""`mote watch`, its lines and its table, and what it makes of payloads that no node would send."""

import json

import pytest

from tests.host.fake_node import FakeNode
from tools import errors, readings, topics

LIMIT_S = 20
INFO = {"name": "Greenhouse", "area": "Garden", "interpreter": "MicroPython 1.29.0", "board": "generic", "boot": 7,
        "chips": "simulated", "sensors": {"air": {"interval_s": 1, "quantities": {"temperature": "°C", "x": None}}}}


class Watch:
    """A running `mote watch --json`."""

    def __init__(self, process):
        self._process = process

    def until(self, kind):
        """The next line of this kind, decoded."""
        while True:
            line = self._process.stdout.readline()
            assert line, f"it ended without a {kind}"
            line = json.loads(line)
            assert set(line) == {"t", "node", "kind", "data", "retained"}
            if line["kind"] == kind:
                return line


@pytest.fixture
def watch(mote_process, broker, base):
    """A watch that has subscribed, as a kept status has shown."""
    with FakeNode(broker.port, base, node_id="herald"):
        watch = Watch(mote_process("watch", "--broker", f"127.0.0.1:{broker.port}", "--base", base, "--json"))
        assert watch.until("status")["node"] == "herald"
        yield watch


def test_every_kind_of_message_is_a_line(watch, broker, base):
    with FakeNode(broker.port, base) as node:
        assert watch.until("status")["data"] == "online"
        node.say("info", INFO, retain=True)
        line = watch.until("info")
        assert (line["node"], line["data"], line["retained"]) == ("fake-1", INFO, False)
        node.live(temperature=20.5)
        assert watch.until("telemetry")["data"] == {
            "sensor": "air", "ts": 1_700_000_000, "boot": 7, "seq": 1, "temperature": 20.5}
        node.say("event/door", {"ts": None, "boot": 7, "seq": 2, "event_type": "press"})
        assert watch.until("event")["data"]["sensor"] == "door"
        node.say("backlog", [node.reading()])
        assert len(watch.until("backlog")["data"]) == 1
        node.diagnostics()
        assert watch.until("diagnostics")["data"]["heap_free"] == 50_000
        node.say("config", {"revision": 3, "state": "applied"}, retain=True)
        assert watch.until("config")["data"]["revision"] == 3
        node.say("reply", {"id": None, "verb": "sample", "ok": True})
        assert watch.until("reply")["data"]["ok"] is True
        node.say("log", "one line")
        assert watch.until("log")["data"] == "one line"
    assert watch.until("status")["data"] == "offline"


def test_what_nodes_are_told_is_not_shown(watch, broker, base):
    with FakeNode(broker.port, base) as node:
        node.say("config/set", {"revision": 1, "patch": {"wifi": {"home": {"password": "planted-secret"}}}})
        node.say("log", "after it")
        watch.until("status")
        assert json.loads(watch._process.stdout.readline())["kind"] == "log"


@pytest.mark.parametrize("payload, data", [
    ("", ""), ("{", "{"), ("NaN", "NaN"), ('{"a": 1e999}', '{"a": 1e999}'), (b"\xff", "\ufffd"),
    ("[" * 100_000, "[" * 100_000)])
def test_what_is_no_json_is_shown_as_text(watch, broker, base, payload, data):
    with FakeNode(broker.port, base) as node:
        node.say("telemetry/air", payload)
        assert watch.until("telemetry")["data"] == data


def test_lines_and_the_table_at_the_end(mote, broker, base):
    with FakeNode(broker.port, base) as node:
        node.say("info", INFO, retain=True)
        node.say("telemetry/air", {"ts": None, "boot": 7, "seq": 1, "temperature": 20.5, "x": None}, retain=True)
        status, stdout, _ = mote("watch", "--broker", f"127.0.0.1:{broker.port}", "--base", base, "--seconds", 0.3)
        node.say("telemetry/air", "", retain=True)
    assert status == errors.DONE
    table = stdout.split("\n\n")[-1].splitlines()
    assert table[0].split() == "fake-1 online Greenhouse, Garden, MicroPython 1.29.0, generic".split()
    assert table[1].split()[0] == "air" and "temperature 20.5 °C, x no value" in table[1]


def test_without_nodes_it_says_so(mote, broker, base):
    status, stdout, _ = mote("watch", "--broker", f"127.0.0.1:{broker.port}", "--base", base, "--seconds", 0.1)
    assert (status, stdout.strip()) == (errors.DONE, "no nodes yet")


@pytest.mark.parametrize("kind, data, words", [
    ("status", "sleeping", "is sleeping"),
    ("info", INFO, "is Greenhouse, Garden, MicroPython 1.29.0, generic, boot 7, chips simulated"),
    ("telemetry", {"sensor": "air", "temperature": 1}, "air           temperature 1"),
    ("info", {"name": "Roof", "rescue": None}, "is Roof, in its recovery program: nobody knows why"),
    ("log", "start: hard\n12:00:00 link: online\n", "log: start: hard | 12:00:00 link: online"),
    ("event", {"sensor": "door", "event_type": "press"}, "door          press"),
    ("backlog", [{}, {}], "2 readings from before"),
    ("diagnostics", {"produced": 3, "dropped": {"overflow": 1}}, "diagnostics: produced 3, dropped overflow 1"),
    ("config", {"revision": 2, "state": "rejected"}, "configuration: revision 2, rejected"),
    ("reply", {"ok": True}, "reply: {'ok': True}"),
    ("backlog", {"no": "list"}, "backlog: {'no': 'list'}"),
    ("info", 5, "info: 5"),
])
def test_a_line_for_people(kind, data, words):
    line = readings.Fleet().take(0, "fake-1", kind, data)
    assert line.startswith(readings.clock(0) + "  fake-1  ")
    assert line.endswith("  " + words)


def test_the_terminal_is_not_at_the_mercy_of_nodes():
    fleet = readings.Fleet()
    evil = "\x1b[2J\r\n\x07"
    lines = [fleet.take(0, "fake-1", "info", {"name": evil, "sensors": {evil: {"quantities": {evil: evil}}}})]
    lines.append(fleet.take(0, "fake-1", "telemetry", {"sensor": evil, evil: evil}))
    lines.append(fleet.take(0, "fake-1", "event", {"sensor": evil, "event_type": evil}))
    lines.append(fleet.take(0, "fake-1", "diagnostics", {"produced": evil, "dropped": {evil: evil}}))
    lines.append(fleet.take(0, "fake-1", "reply", evil))
    lines.append(fleet.take(0, "fake-1", "log", evil))
    lines.append(fleet.take(0, "fake-1", "info", {"rescue": evil}))
    for line in lines + fleet.table(1):
        assert line.isprintable()


@pytest.mark.parametrize("topic, parts", [
    ("mote/esp32-a1/status", ("esp32-a1", "status", "")),
    ("mote/esp32-a1/telemetry/air", ("esp32-a1", "telemetry", "air")),
    ("mote/esp32-a1/config/set/a", ("esp32-a1", "config", "set/a")),
    ("other/esp32-a1/status", None), ("x/mote/a/status", None), ("mote/A/status", None), ("mote/all/command", None),
    ("mote/group/x/command/y", None), ("mote/a", None), ("mote/a/", None), ("mote//status", None)])
def test_topics_come_apart(topic, parts):
    assert topics.split("mote", topic) == parts
