"""`mote audit` against a real broker; its arithmetic is tested in test_accounting.py."""

import json

import pytest

from tests.host.fake_node import FakeNode
from tools import brokers, errors

LIMIT_S = 20


class Audit:
    """A running `mote audit --json`."""

    def __init__(self, process):
        self._process = process

    def wait_says(self, words):
        """Wait for a line of progress."""
        while words not in (line := self._process.stderr.readline()):
            assert line, f"it ended without saying {words!r}"

    def finish(self):
        """Its exit status, its report, the rest of its progress."""
        stdout, stderr = self._process.communicate(timeout=LIMIT_S)
        return self._process.returncode, json.loads(stdout), stderr


@pytest.fixture
def audit(mote_process, broker, base):
    """Starts an audit that has subscribed."""
    def start(*argv, port=broker.port):
        running = Audit(mote_process("audit", "--broker", f"127.0.0.1:{port}", "--base", base, "--json", *argv))
        running.wait_says("subscribed")
        return running

    return start


def test_all_arrived(audit, broker, base):
    with FakeNode(broker.port, base) as node:
        running = audit("--seconds", 1)
        for _ in range(3):
            node.live(temperature=20.5)
        node.say("event/door", {"ts": None, "boot": 7, "seq": 4, "event_type": "press"})
        node.say("backlog", [{"sensor": "air", "ts": 1, "boot": 7, "seq": 5}])
        status, report, _ = running.finish()
    assert status == errors.DONE
    assert report == {
        "nodes": {"fake-1": {"received": 5, "duplicates": 0, "gaps": [], "tail_unknown": 0, "counted_dropped": 0,
                             "status": "online", "malformed": 0}},
        "ok": True, "interruptions": 0, "overflow": 0}


def test_a_gap_is_told_and_makes_the_status_1(audit, broker, base):
    with FakeNode(broker.port, base) as node:
        running = audit("--seconds", 1, "--settle", 0.1)
        node.live()
        node.reading()
        node.live()
        node.live()
        status, report, _ = running.finish()
    assert status == errors.FAILED
    assert report["nodes"]["fake-1"]["gaps"] == [[7, 2, 2]]
    assert not report["ok"]


def test_it_waits_a_little_for_what_is_on_its_way_and_no_longer_than_needed(audit, broker, base):
    with FakeNode(broker.port, base) as node:
        running = audit("--seconds", 0.3, "--settle", LIMIT_S)
        node.live()
        late = node.reading()
        node.live()
        node.diagnostics(queued=1)
        running.wait_says("waiting")
        node.say("backlog", [late])
        status, report, _ = running.finish()
    assert status == errors.DONE
    assert report["nodes"]["fake-1"]["tail_unknown"] == 0


def test_messages_that_are_none_are_counted(audit, broker, base):
    with FakeNode(broker.port, base) as node:
        running = audit("--seconds", 1)
        node.live()
        for payload in ("", "{", "[" * 100_000, b"\xff", '{"boot": 1, "seq": NaN}'):
            node.say("telemetry/air", payload)
        status, report, _ = running.finish()
    assert status == errors.FAILED
    assert report["nodes"]["fake-1"]["malformed"] == 5


def test_nothing_heard_is_no_answer(audit):
    status, report, stderr = audit("--seconds", 0.2).finish()
    assert (status, report["nodes"], report["ok"]) == (errors.UNREACHABLE, {}, False)
    assert "mote watch" in stderr


def test_its_own_losses_are_told(audit):
    with brokers.Broker() as broker:
        running = audit("--seconds", 2, port=broker.port)
        broker.kill()
        running.wait_says("lost the connection")
        broker.start()
        running.wait_says("subscribed again")
        _, report, _ = running.finish()
    assert report["interruptions"] == 1


def test_text_for_people(mote, broker, base):
    with FakeNode(broker.port, base) as node:
        node.live()
        status, stdout, stderr = mote("audit", "--broker", f"127.0.0.1:{broker.port}", "--base", base,
                                      "--seconds", 0.2)
    assert status == errors.UNREACHABLE  # what was sent before is not heard
    assert "fake-1" in stdout and "online" in stdout and "NOT ok" in stdout
    assert "no readings at all" in stderr
