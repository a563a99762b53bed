"""Desired configuration: what is right is applied and kept, what is wrong is refused whole, with every reason."""

import json
import time

import pytest

from . import nodes
from .audit import strict
from .proxy import UP

START_LIMIT_S = 30
APPLY_S = 5
THREE_PROBLEMS = {"telemetry": {"interval_s": "often"}, "nonsense": 1, "mqtt": {"port": 99999}}


class Desk:
    """Starts a node behind the proxy, sends documents to it and reads what it reports."""

    def __init__(self, world):
        self.auditor = world.auditor
        self.node = world.start_node(world.proxy.port)
        self.auditor.wait_message(self.node.topic("telemetry/air"), START_LIMIT_S)
        self.reported = strict(self.auditor.since(0, self.node.topic("config"))[-1].payload)

    def send(self, document, state):
        """Publish on config/set; returns the next report, which must have this state."""
        if isinstance(document, dict):
            document = json.dumps(document)
        return self.answer("config/set", document, state)

    def answer(self, topic, payload, state):
        """Publish on a topic below the node; returns the next report that is final, which must have this state."""
        since = self.auditor.publish(self.node.topic(topic), payload)
        report = self.auditor.wait_json(self.node.topic("config"), APPLY_S, since, final)
        assert report["state"] == state, report
        return report

    def still_reports(self):
        """Fresh readings come after whatever was done to it."""
        since = self.auditor.publish(self.node.topic("command/sample"), "")
        self.auditor.wait_message(self.node.topic("telemetry/air"), APPLY_S, since)

    def stored(self):
        """The files of the flash that hold configuration."""
        return {name: data for name, data in self.node.flash().items() if "config" in name}


def final(report):
    """Whether it is no word in between: a change that could strand the node is on trial first."""
    return report["state"] != "trial"


def test_valid_patch_is_applied_reported_and_kept(world):
    desk = Desk(world)
    node = desk.node
    assert (desk.reported["revision"], desk.reported["state"], desk.reported["patch"]) == (0, "applied", {})
    report = desk.send({"revision": 1, "patch": {"telemetry": {"diagnostics_s": 2}}}, "applied")
    assert (report["revision"], report["patch"], report["errors"]) == (1, {"telemetry": {"diagnostics_s": 2}}, [])
    assert report["config"]["telemetry"] == {"interval_s": 1, "qos": 1, "diagnostics_s": 2, "log": "off"}
    assert report["config"]["mqtt"]["password"] == "***"
    desk.still_reports()
    assert len(world.proxy.attempts) == 1, "a change of telemetry needs no new connection"
    boot = strict(world.auditor.since(0, node.topic("info"))[-1].payload)["boot"]

    assert node.terminate() == 0
    since = time.monotonic()
    node.start()
    again = world.auditor.wait_json(node.topic("config"), START_LIMIT_S, since)
    assert (again["revision"], again["patch"], again["state"]) == (1, report["patch"], "applied")
    assert world.auditor.wait_json(node.topic("info"), APPLY_S, since)["boot"] == boot + 1


def test_three_problems_are_all_reported_and_nothing_is_applied(world):
    desk = Desk(world)
    desk.send({"revision": 1, "patch": {"telemetry": {"interval_s": 1}}}, "applied")
    before = desk.stored()
    assert before
    report = desk.send({"revision": 2, "patch": THREE_PROBLEMS}, "rejected")
    assert report["reason"] and report["revision"] == 1
    assert {error["key"]: error["found"] for error in report["errors"]} == {
        "telemetry.interval_s": "often", "nonsense": 1, "mqtt.port": 99999}
    assert len(report["errors"]) == 3 and all(error["allowed"] for error in report["errors"])
    assert desk.stored() == before, "the stored configuration has changed"
    desk.still_reports()


def padded(size):
    """A valid document of exactly `size` bytes."""
    text = json.dumps({"revision": 2, "patch": {"telemetry": {"interval_s": 1}}})
    return text + " " * (size - len(text))


def bad_documents():
    """What no node may obey: name -> payload."""
    huge = '{"revision": 2, "patch": {"telemetry": {"interval_s": 1e999}}}'
    return {
        "4,097 bytes": padded(4097),
        "200,000 bytes": padded(200_000),
        "100,000 brackets": "[" * 100_000,
        "4,000 brackets": '{"revision": 2, "patch": ' + "[" * 4_000,
        "depth 7": '{"revision": 2, "patch": ' + '{"a":' * 6 + "1" + "}" * 7,
        "invalid UTF-8": b'{"revision": 2, "patch": {"node": {"name": "\xff\xfe"}}}',
        "1e999": huge,
        "-1e999": huge.replace("1e999", "-1e999"),
        "NaN": huge.replace("1e999", "NaN"),
        "50 digits": huge.replace("1e999", "9" * 50),
        "true for 1": huge.replace("1e999", "true"),
        "1.5 for an integer": huge.replace("1e999", "1.5"),
        "0 s": huge.replace("1e999", "0"),
        "not JSON": "{",
        "two documents": "{}{}",
        "an array": "[]",
        "no patch": '{"revision": 2}',
        "a patch that is no object": '{"revision": 2, "patch": 7}',
        "revision far ahead": '{"revision": 2000, "patch": {}}',
        "revision of 50 digits": '{"revision": ' + "9" * 50 + ', "patch": {}}',
        "revision that is no number": '{"revision": "2", "patch": {}}',
        "a class attribute": '{"revision": 2, "patch": {"__class__": {"a": 1}}}',
        "host removed": '{"revision": 2, "patch": {"mqtt": {"host": ""}}}',
        "base with a wildcard": '{"revision": 2, "patch": {"mqtt": {"base": "a/#"}}}',
        "id with a slash": '{"revision": 2, "patch": {"node": {"id": "a/b"}}}',
        "half a surrogate": '{"revision": 2, "patch": {"node": {"name": "\\ud800"}}}',
    }


def test_bad_documents_are_refused_with_a_reason(world):
    desk = Desk(world)
    desk.send({"revision": 1, "patch": {"telemetry": {"interval_s": 1}}}, "applied")
    before = desk.stored()
    for name, document in bad_documents().items():
        report = desk.send(document, "rejected")
        assert report["reason"], name
        assert report["revision"] == 1 and desk.stored() == before, name
    desk.still_reports()


MEAN = {
    "more RAM than there is": {"outbox": {"ram_readings": 4096}},
    "sensor without its pin": {"sensors": {"door": {"driver": "digital"}}},
    "driver that is no driver": {"sensors": {"door": {"driver": "__init__"}}},
    "driver that does not exist": {"sensors": {"door": {"driver": "no-such-driver"}}},
    "bus without a chip": {"sensors": {"door": {"driver": "bme280", "address": 119}}},
    "sixteen sensors": {"sensors": {f"s{number}": {"driver": "host"} for number in range(16)}},
    "name of a module": {"sensors": {"door": {"driver": "os"}}},
}


@pytest.mark.parametrize("what", MEAN)
def test_what_the_table_accepts_never_bricks_the_node(world, what):
    """Applied or rejected: the node reports on, and does so again after a restart."""
    desk = Desk(world)
    since = desk.auditor.publish(desk.node.topic("config/set"), {"revision": 1, "patch": MEAN[what]})
    report = desk.auditor.wait_json(desk.node.topic("config"), APPLY_S, since)
    world.say(f"{what}: {report['state']} {report['reason']} {report['errors']}")
    since = time.monotonic() + 1
    desk.auditor.wait_message(desk.node.topic("telemetry/air"), START_LIMIT_S, since)
    desk.node.terminate()
    since = time.monotonic()
    desk.node.start()
    desk.auditor.wait_message(desk.node.topic("telemetry/air"), START_LIMIT_S, since)


def test_a_document_at_the_edge_of_memory_is_answered(world):
    """Much to look at, little heap: applied or refused, but never without a word, and the node goes on."""
    node = world.start_node(world.broker.port, options=("--heap", "120k"), sensors=nodes.SENSORS)
    world.auditor.wait_message(node.topic("telemetry/computer"), START_LIMIT_S)
    networks = {f"network-number-{number}": {"password": "x" * 20} for number in range(60)}
    since = world.auditor.publish(node.topic("config/set"), {"revision": 1, "patch": {"wifi": networks}})
    report = world.auditor.wait_json(node.topic("config"), APPLY_S, since, final)
    world.say(f"60 networks with little heap: {report['state']}, {report['reason']}")
    assert (report["state"], report["revision"]) == ("applied", 1) or report["reason"]
    world.auditor.wait_message(node.topic("telemetry/air"), APPLY_S, time.monotonic())


def test_a_document_of_4096_bytes_is_read(world):
    desk = Desk(world)
    assert desk.send(padded(4096), "applied")["revision"] == 2


def test_an_old_revision_changes_nothing(world):
    desk = Desk(world)
    desk.send({"revision": 5, "patch": {"telemetry": {"interval_s": 1}}}, "applied")
    for revision in (5, 4, 0, -1):
        desk.auditor.publish(desk.node.topic("config/set"),
                             json.dumps({"revision": revision, "patch": {"telemetry": {"interval_s": 9}}}))
    since = desk.auditor.publish(desk.node.topic("config/set"), {"revision": 6, "patch": {}})
    report = desk.auditor.wait_json(desk.node.topic("config"), APPLY_S, since, lambda r: r["revision"] == 6)
    assert report["config"]["telemetry"]["interval_s"] == 1 and report["patch"] == {}
    reports = [strict(m.payload)["revision"] for m in desk.auditor.since(0, desk.node.topic("config"))]
    assert reports[0] == 0 and set(reports) == {0, 5, 6}


def test_retained_desired_document_reaches_a_node_that_was_away(world):
    desired = {"revision": 3, "patch": {"telemetry": {"diagnostics_s": 3}}}
    world.auditor.publish("mote/node-a/config/set", desired, retain=True)
    world.start_node(world.broker.port)
    report = world.auditor.wait_json("mote/node-a/config", START_LIMIT_S, accept=lambda r: r["revision"] == 3)
    assert report["config"]["telemetry"]["diagnostics_s"] == 3


def test_single_key_is_set_and_retained_ones_are_ignored(world):
    desk = Desk(world)
    report = desk.answer("config/set/telemetry.diagnostics_s", "3", "applied")
    assert (report["revision"], report["patch"]) == (1, {"telemetry": {"diagnostics_s": 3}})
    report = desk.answer("config/set/telemetry.diagnostics_s", "often", "rejected")
    assert [(error["key"], error["found"]) for error in report["errors"]] == [("telemetry.diagnostics_s", "often")]
    report = desk.answer("config/set/no.such.key", "1", "rejected")
    assert report["revision"] == 1 and report["reason"]


def test_keepalive_change_makes_a_new_connection(world):
    desk = Desk(world)
    since = desk.auditor.publish(desk.node.topic("config/set"), {"revision": 1, "patch": {"mqtt": {"keepalive_s": 7}}})
    assert world.proxy.wait_attempt(APPLY_S, since).connect.keepalive_s == 7
    world.proxy.wait_frame("DISCONNECT", UP, APPLY_S, since)
    report = desk.auditor.wait_json(desk.node.topic("config"), APPLY_S, since, lambda r: r["revision"] == 1)
    assert report["state"] == "applied" and report["config"]["mqtt"]["keepalive_s"] == 7
    desk.still_reports()


def test_a_planted_secret_stays_hidden_and_is_kept_by_a_document_without_it(world):
    desk = Desk(world)
    report = desk.send({"revision": 1, "patch": {"wifi": {"attic": {"password": "attic-secret-11"}}}}, "applied")
    assert "attic-secret-11" not in json.dumps(report)
    desk.send({"revision": 2, "patch": {"wifi": {"attic": {}}, "telemetry": {"interval_s": 1}}}, "applied")
    assert any(b"attic-secret-11" in data for data in desk.stored().values())
    spoken = [m for m in desk.auditor.messages if not m.topic.endswith("config/set")]
    assert not any(b"attic-secret" in m.payload for m in spoken) and "attic-secret" not in desk.node.log()
