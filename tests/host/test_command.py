"""`mote command` against a real broker, with a node that answers as the test wants."""

import json

import pytest

from tests.host.fake_node import FakeNode
from tools import errors

LIMIT_S = 20


@pytest.fixture
def command(mote, broker, base):
    """Calls `mote command`."""
    def call(*argv):
        return mote("command", *argv, "--broker", f"127.0.0.1:{broker.port}", "--base", base)

    return call


def obey(there, payload):
    request = json.loads(payload)
    there.say("reply", {"id": "somebody else's", "verb": "sample", "ok": False, "error": "not yours"}, wait=False)
    there.say("reply", "{", wait=False)
    there.say("reply", {"id": request["id"], "verb": "sample", "ok": True, "error": None, "uptime_s": 5}, wait=False)


def refuse(there, payload):
    there.say("reply", {"id": json.loads(payload)["id"], "verb": "fly", "ok": False,
                        "error": "unknown verb, allowed: sample"}, wait=False)


def test_the_reply_of_its_own_id_is_taken(command, broker, base):
    with FakeNode(broker.port, base, answers={"command/sample": obey}) as node:
        assert command("fake-1", "sample")[:2] == (errors.DONE, "fake-1: sample done\n  uptime_s = 5\n")
        topic, payload, kept = node.heard.get(timeout=LIMIT_S)
        assert (topic, kept) == ("command/sample", False)
        assert list(json.loads(payload)) == ["id"]


def test_the_reply_as_json(command, broker, base):
    with FakeNode(broker.port, base, answers={"command/sample": obey}):
        reply = json.loads(command("fake-1", "sample", "--json")[1])
    assert (reply["ok"], reply["uptime_s"]) == (True, 5)


def test_report_prints_what_the_recorder_has(command, broker, base):
    def report(there, payload):
        there.say("log", b"start: watchdog\n12:00:00 link: \x1b[2Jonline\n", wait=False)
        there.say("reply", {"id": json.loads(payload)["id"], "verb": "report", "ok": True}, wait=False)

    with FakeNode(broker.port, base, answers={"command/report": report}):
        said = command("fake-1", "report")[1]
        assert said.startswith("fake-1: report done\n  start: watchdog\n  12:00:00 link: ") and "\x1b" not in said
        assert json.loads(command("fake-1", "report", "--json")[1])["log"][0] == "start: watchdog"


def test_ids_differ(command, broker, base):
    with FakeNode(broker.port, base, answers={"command/sample": obey}) as node:
        for _ in range(2):
            command("fake-1", "sample")
        first, second = (json.loads(node.heard.get(timeout=LIMIT_S)[1])["id"] for _ in range(2))
    assert first != second


@pytest.mark.parametrize("word, fields", [
    ("soft", {"word": "soft"}), ("5", {"word": "5"}), ('{"word": "x", "n": 3}', {"word": "x", "n": 3})])
def test_a_word_or_an_object_goes_along(command, broker, base, word, fields):
    with FakeNode(broker.port, base, answers={"command/sample": obey}) as node:
        assert command("fake-1", "sample", word)[0] == errors.DONE
        request = json.loads(node.heard.get(timeout=LIMIT_S)[1])
    assert request.pop("id")
    assert request == fields


def test_a_refusal_is_told(command, broker, base):
    with FakeNode(broker.port, base, answers={"command/fly": refuse}):
        assert command("fake-1", "fly")[:2] == (errors.FAILED, "fake-1: refused: unknown verb, allowed: sample\n")


@pytest.mark.parametrize("status, words", [("online", "did not answer"), ("sleeping", "it is sleeping")])
def test_no_reply(command, broker, base, status, words):
    with FakeNode(broker.port, base, status=status):
        done = command("fake-1", "sample", "--wait", 0.2)
    assert (done[0], done[1]) == (errors.UNREACHABLE, "")
    assert words in done[2]


def test_nobody_of_that_name(command):
    done = command("nobody", "sample", "--wait", 0.2)
    assert done[0] == errors.UNREACHABLE
    assert "no node of this name" in done[2]


@pytest.mark.parametrize("argv", [("all", "restart"), ("fake-1", "a/b"), ("fake-1", "+"), ("fake-1", "sample", "{"),
                                  ("fake-1", "sample", '{"a": NaN}'), ("fake-1",)])
def test_usage_errors(command, argv):
    status, stdout, stderr = command(*argv)
    assert (status, stdout) == (errors.USAGE, "")
    assert stderr
