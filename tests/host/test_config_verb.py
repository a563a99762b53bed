"""`mote config` against a real broker, with a node that answers as the test wants."""

import io
import json
import time

import pytest

from tests.host.fake_node import FakeNode
from tools import connection, errors
from tools.verbs import config as verb

SECRET = "planted-secret-3e77"
LIMIT_S = 20


def report(revision=4, patch=None, state="applied", groups=(), problems=(), **more):
    return {"revision": revision, "state": state, "reason": None if state == "applied" else "mistakes",
            "errors": list(problems), "patch": patch or {},
            "config": {"node": {"groups": list(groups)}, "telemetry": {"interval_s": 60, "qos": 1},
                       "wifi": {"home": {"password": "***"}}, "config": {"trial_s": 1}}, **more}


def obey(node, payload):
    """Apply whatever is desired."""
    if payload:
        document = json.loads(payload)
        node.say("config", report(document["revision"], document["patch"]), retain=True, wait=False)


@pytest.fixture
def config(mote, broker, base):
    """Calls `mote config`."""
    def call(*argv):
        return mote("config", *argv, "--broker", f"127.0.0.1:{broker.port}", "--base", base)

    return call


@pytest.fixture
def node(broker, base):
    """Makes a node that has reported its configuration, and answers a desired one."""
    started = []

    def start(answer=obey, first=None, **more):
        node = FakeNode(broker.port, base, answers={"config/set": answer} if answer else {}, **more)
        started.append(node.__enter__())
        node.say("config", first or report(), retain=True)
        return node

    yield start
    for node in started:
        node.__exit__()


def kept(broker, base, node="fake-1"):
    """What the broker keeps as the desired configuration; None for nothing."""
    target = connection.Target(broker.host, broker.port, False, None, None, None, base)
    with connection.Connection(target, [f"{base}/{node}/config/set"]) as link:
        message = link.receive(0.3)
        return message and json.loads(message.payload)


def test_get(config, node):
    node()
    status, stdout, _ = config("get", "fake-1")
    assert status == errors.DONE
    assert stdout.splitlines()[0] == "fake-1: revision 4, applied"
    assert "telemetry.interval_s = 60" in stdout.splitlines()
    assert json.loads(config("get", "fake-1", "--json")[1]) == report()


def test_get_of_one_key(config, node):
    node()
    assert config("get", "fake-1", "telemetry.interval_s")[:2] == (errors.DONE, "60\n")
    lines = config("get", "fake-1", "telemetry")[1].splitlines()
    assert lines[1:] == ["telemetry.interval_s = 60", "telemetry.qos = 1"]
    assert config("get", "fake-1", "no.such")[0] == errors.FAILED


def test_a_secret_that_a_node_gives_away_is_not_shown(config, node):
    leaky = report(patch={"mqtt": {"password": SECRET}}, config={"mqtt": {"password": SECRET}})
    node(first=leaky)
    for argv in (("get", "fake-1"), ("get", "fake-1", "--json"), ("get", "fake-1", "mqtt"),
                 ("get", "fake-1", "mqtt.password"), ("diff", "fake-1"), ("diff", "fake-1", "--json")):
        assert SECRET not in config(*argv)[1]


def test_diff(config, node):
    node(first=report(patch={"telemetry": {"interval_s": 60}, "sensors": {"air": None}}))
    assert config("diff", "fake-1")[1].splitlines()[1:] == ["sensors.air = null", "telemetry.interval_s = 60"]
    assert json.loads(config("diff", "fake-1", "--json")[1]) == {
        "node": "fake-1", "revision": 4, "state": "applied",
        "patch": {"telemetry": {"interval_s": 60}, "sensors": {"air": None}}}


def test_set_sends_the_whole_patch_above_the_reported_revision(config, node, broker, base):
    there = node(first=report(9, {"telemetry": {"qos": 0}}))
    status, stdout, _ = config("set", "fake-1", "telemetry.interval_s=10", "node.name=Attic")
    assert (status, stdout) == (errors.DONE, "fake-1: applied as revision 10\n")
    topic, payload, _ = there.heard.get(timeout=LIMIT_S)
    desired = {"revision": 10, "patch": {"telemetry": {"qos": 0, "interval_s": 10}, "node": {"name": "Attic"}}}
    assert (topic, json.loads(payload)) == ("config/set", desired)
    assert kept(broker, base) == desired


def test_unset_takes_a_key_out_of_the_patch(config, node):
    there = node(first=report(9, {"telemetry": {"qos": 0, "interval_s": 3}}))
    assert config("unset", "fake-1", "telemetry.interval_s")[0] == errors.DONE
    assert json.loads(there.heard.get(timeout=LIMIT_S)[1])["patch"] == {"telemetry": {"qos": 0}}


def test_every_problem_is_printed_and_a_refused_document_is_not_kept(config, node, broker, base):
    problems = [{"key": "telemetry.interval_s", "found": "often", "allowed": "a whole number"},
                {"key": "nonsense", "found": 1, "allowed": "no such key"}]

    def refuse(there, payload):
        there.say("config", report(4, state="rejected", problems=problems), wait=False)

    node(refuse)
    status, stdout, _ = config("set", "fake-1", "telemetry.interval_s=often", "nonsense=1")
    assert status == errors.FAILED
    assert stdout.splitlines() == [
        "fake-1: rejected: mistakes", '  telemetry.interval_s: found "often", allowed: a whole number',
        "  nonsense: found 1, allowed: no such key"]
    assert kept(broker, base) is None
    status, stdout, _ = config("set", "fake-1", "nonsense=1", "--json")
    assert (status, json.loads(stdout)) == (
        errors.FAILED, {"node": "fake-1", "state": "rejected", "revision": 4, "errors": problems})


def test_rolled_back_is_a_failure_and_a_trial_is_waited_for(config, node):
    def roll_back(there, payload):
        if payload:
            there.say("config", report(4, state="rolled-back"), wait=False)  # an earlier one
            there.say("config", report(5, state="trial"), wait=False)
            there.say("config", report(5, state="rolled-back"), wait=False)

    node(roll_back)
    status, stdout, stderr = config("set", "fake-1", "mqtt.port=1884")
    assert status == errors.FAILED
    assert "rolled-back" in stdout and "on trial" in stderr


def test_a_trial_may_take_longer_than_the_wait():
    now = time.time()
    told = [connection.Message(now, "t", json.dumps(one).encode(), False)
            for one in (report(5, state="trial"), report(5))]

    class Link:
        def wait_for(self, wanted, seconds):
            self.left_s = seconds
            return told.pop(0)

    link = Link()
    outcome = verb._await_outcome(link, {"revision": 5, "patch": {}}, 0.5, lambda message: True)
    assert outcome.status == errors.DONE
    assert link.left_s > 5


def test_a_silent_node_gets_it_later(config, node, broker, base):
    node(answer=None)
    status, stdout, _ = config("set", "fake-1", "telemetry.qos=0", "--wait", 0.2)
    assert status == errors.UNREACHABLE
    assert "the broker keeps the document" in stdout
    assert kept(broker, base)["revision"] == 5


@pytest.mark.parametrize("answer, status", [(obey, errors.DONE), (None, errors.UNREACHABLE)])
def test_a_document_with_a_secret_is_not_left_with_the_broker(config, node, broker, base, answer, status):
    there = node(answer)
    done = config("set", "fake-1", f"wifi.attic.password={SECRET}", "--wait", 5 if answer else 0.2)
    assert done[0] == status
    assert SECRET not in "".join(done[1:])
    assert json.loads(there.heard.get(timeout=LIMIT_S)[1])["patch"]["wifi"]["attic"]["password"] == SECRET
    assert there.heard.get(timeout=LIMIT_S)[:2] == ("config/set", b"")
    assert kept(broker, base) is None


def test_a_secret_is_read_from_standard_input(config, node, monkeypatch):
    there = node()
    monkeypatch.setattr("sys.stdin", io.StringIO(SECRET + "\n"))
    assert config("set", "fake-1", "mqtt.password")[0] == errors.DONE
    assert json.loads(there.heard.get(timeout=LIMIT_S)[1])["patch"] == {"mqtt": {"password": SECRET}}


def test_who_comes_second_is_told(config, node):
    def obey_another(there, payload):
        there.say("config", report(5, {"telemetry": {"qos": 0}}), wait=False)

    node(obey_another)
    status, stdout, _ = config("set", "fake-1", "telemetry.interval_s=10")
    assert status == errors.FAILED
    assert "somebody else" in stdout


def test_a_new_id_is_followed(config, node, broker, base):
    with FakeNode(broker.port, base, node_id="attic") as renamed:
        def move(there, payload):
            document = json.loads(payload)
            renamed.say("config", report(document["revision"], document["patch"]), wait=False)

        node(move)
        assert config("set", "fake-1", "node.id=attic")[0] == errors.DONE


def test_a_group_is_told_one_after_the_other_those_that_are_online_first(config, node):
    order = []

    def note(there, payload):
        order.append(there.id)
        obey(there, payload)

    node(note, report(1, groups=["lab"]), node_id="a-asleep", status="sleeping")
    node(note, report(7, groups=["lab", "attic"]), node_id="b-online")
    node(note, report(3, groups=["attic"]), node_id="c-other")
    node(note, report(2, groups=["lab"]), node_id="d-online")
    status, stdout, _ = config("set", "--group", "lab", "telemetry.interval_s=10")
    assert status == errors.DONE
    assert order == ["b-online", "d-online", "a-asleep"]
    assert stdout.splitlines() == ["b-online: applied as revision 8", "d-online: applied as revision 3",
                                   "a-asleep: applied as revision 2"]


def test_a_group_stops_at_the_first_failure(config, node):
    def refuse(there, payload):
        if payload:
            there.say("config", report(4, state="rejected"), wait=False)

    node(refuse, report(groups=["lab"]), node_id="canary")
    others = [node(obey, report(groups=["lab"]), node_id=name) for name in ("mine-2", "mine-3")]
    status, stdout, stderr = config("set", "--group", "lab", "telemetry.interval_s=10")
    assert status == errors.FAILED
    assert "not sent to mine-2, mine-3" in stderr
    assert all(other.heard.empty() for other in others)


def test_a_group_goes_on_after_a_failure_when_told_so(config, node):
    def refuse(there, payload):
        if payload:
            there.say("config", report(4, state="rejected"), wait=False)

    node(refuse, report(groups=["lab"]), node_id="canary")
    node(obey, report(groups=["lab"]), node_id="mine-2")
    status, stdout, _ = config("set", "--group", "lab", "--keep-going", "telemetry.interval_s=10")
    assert (status, "mine-2: applied as revision 5" in stdout) == (errors.FAILED, True)


def test_who_was_quicker_before_ours_was_sent_is_seen(broker, base, node):
    there = node(None)
    target = connection.Target(broker.host, broker.port, False, None, None, None, base)
    with connection.Connection(target, [f"{base}/fake-1/config"]) as link:
        first = verb._await_report(link, "fake-1")
        there.say("config", report(5, {"telemetry": {"qos": 0}}), retain=True)
        time.sleep(0.1)  # until it has come, as it does when nobody waits
        outcome = verb.send(link, "fake-1", first, {"telemetry": {"qos": 1}}, 5, {f"{base}/fake-1/config"})
    assert outcome.state == "conflict"


@pytest.mark.parametrize("argv", [
    ("set", "fake-1"), ("set", "fake-1", "telemetry.interval_s"), ("set", "Fake 1", "a=1"), ("set", "all", "a=1"),
    ("set", "--group", "lab", "node.id=x"), ("unset", "fake-1"), ("unset", "fake-1", "mqtt.password"), ("get", "a/b"),
    ("set",), ("frobnicate",), ()])
def test_usage_errors(config, node, argv):
    node()
    status, stdout, stderr = config(*argv)
    assert (status, stdout) == (errors.USAGE, "")
    assert stderr


@pytest.mark.parametrize("group, reason", [
    ("all", "topics give that word another meaning"), ("group", "topics give that word another meaning"),
    ("", "as in node.groups"), ("My Lab", "as in node.groups"), ("lab/+", "as in node.groups"),
    ("g" * 65, "as in node.groups")])
def test_a_group_that_no_node_can_have_is_refused_with_the_reason(config, group, reason):
    for action in (("set", "--group", group, "telemetry.interval_s=10"), ("unset", "--group", group, "telemetry")):
        status, stdout, stderr = config(*action)
        assert (status, stdout) == (errors.USAGE, "")
        assert reason in stderr, stderr


def test_nobody_of_that_name_or_group(config, monkeypatch):
    monkeypatch.setattr(verb, "_READ_S", 0.2)
    monkeypatch.setattr(verb, "_QUIET_S", 0.2)
    assert config("get", "nobody")[0] == errors.UNREACHABLE
    assert config("set", "nobody", "a=1")[0] == errors.UNREACHABLE
    assert config("set", "--group", "nobody", "a=1")[0] == errors.UNREACHABLE


def test_validate(mote, tmp_path):
    path = tmp_path / "config.json"
    path.write_text('{"mqtt": {"host": "h", "port": 99999}, "telemetry": {"interval_s": "often"}, "nonsense": 1}')
    status, stdout, _ = mote("config", "validate", path)
    assert status == errors.FAILED
    assert "3 mistake(s)" in stdout and 'telemetry.interval_s: found "often", allowed: a whole number' in stdout
    status, stdout, _ = mote("config", "validate", path, "--json")
    assert not json.loads(stdout)["ok"]
    assert {error["key"]: error["found"] for error in json.loads(stdout)["errors"]} == {
        "mqtt.port": 99999, "telemetry.interval_s": "often", "nonsense": 1}
    path.write_text('{"mqtt": {"host": "h"}}')
    assert mote("config", "validate", path)[:2] == (errors.DONE, f"{path} is a good configuration\n")
    assert mote("config", "validate", tmp_path / "none.json")[0] == errors.USAGE


def test_a_second_change_to_a_node_that_is_away_keeps_the_first(config, node, broker, base):
    node(answer=None)
    for word in ("telemetry.interval_s=7", "telemetry.qos=0"):
        assert config("set", "fake-1", word, "--wait", "0.3")[0] == errors.UNREACHABLE
    assert kept(broker, base) == {"revision": 6, "patch": {"telemetry": {"interval_s": 7, "qos": 0}}}
