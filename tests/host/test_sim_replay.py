"""`mote sim --replay`: what a flight recorder tells becomes the faults of a simulated node."""

import json
import random

import pytest

from tools import __main__
from tools.sim import flight, repeat
from tools.sim.faults import Fault
from tools.sim.run import Run, Setup

OUTAGE = """\
start: power-on
- boot 7, power-on
- link: joining
- link: attic: wrong password while joining
- link: next attempt in 20000 ms
- link: joining
- link: connecting
10:00:40 link: online
10:05:00 link: 104 while online
10:05:00 link: next attempt in 4000 ms
10:05:04 link: connecting
10:05:04 link: 111 while connecting
10:05:04 link: next attempt in 9000 ms
10:05:13 link: connecting
10:05:13 link: online
10:09:00 command restart: ok
10:09:00 link: leaving
10:09:03 boot 8, soft
10:09:03 link: connecting
10:09:03 link: online
10:20:00 config refused: bad
10:30:00 sensor air: OSError 19
10:40:00 boot 9, watchdog
10:40:05 link: online
"""


def sim(capsys, *arguments):
    """(exit status, what --json printed)."""
    status = __main__.main(["sim", "--json", *arguments])
    return status, json.loads(capsys.readouterr().out)


def test_times_that_were_not_known_are_worked_out_and_midnight_is_a_new_day():
    told, others = flight.events(OUTAGE)
    assert others == 1
    assert [event.at_s for event in told[:7]] == [0, 1, 2, 3, 23, 24, 25]
    assert told[7].text == "link: 104 while online" and told[7].at_s - told[6].at_s == 260
    told, _ = flight.events("23:59:59 link: online\n00:00:09 link: down\n00:00:05 link: joining\n")
    assert [event.at_s for event in told] == [0, 10, 10], "a clock that was set back is no new day"


def test_what_happened_to_a_node_becomes_faults_and_what_it_did_does_not():
    told, _ = flight.events(OUTAGE)
    plan = flight.plan(told)
    assert [(fault.kind, round(fault.at_s), fault.detail) for fault in plan.wanted] == [
        ("wifi-password", 0, "joining"), ("broker-restart", 285, "connecting"), ("command", 525, "restart"),
        ("sensor-missing", 1783, "air"), ("hang", 2263, None)]
    assert [round(fault.lasts_s) for fault in plan.wanted] == [22, 12, 0, 60, 120]
    assert plan.left == [("config refused: bad", "the recorder keeps no more of it than these words")]


LINES = [line[line.index(" ") + 1:] for line in OUTAGE.splitlines()[1:]] + [
    "link: closed by the other side while connec", "link: no answer in time while online", "outbox: OSError 28"]


def any_story(seed):
    """A recording of 30 events that no node ever told."""
    rng = random.Random(seed)
    at_s, told = 0, []
    for _ in range(30):
        at_s += rng.choice((0, 0, 1, 2, 15))
        told.append(flight.Event(at_s, rng.choice(LINES)))
    return told


def test_faults_of_one_kind_never_overlap_whatever_a_node_has_told():
    for seed in range(300):
        ends = {}
        for fault in flight.plan(any_story(seed)).wanted:
            key = fault.kind, fault.detail if fault.kind == "sensor-missing" else None
            assert fault.at_s >= ends.get(key, 0), (seed, fault)
            if fault.lasts_s:
                ends[key] = fault.at_s + fault.lasts_s + 0.001


def test_a_broker_that_hung_up_while_it_came_back_was_down_once():
    told, _ = flight.events(
        "10:00:00 link: online\n10:05:00 link: connecting\n10:05:00 link: 111 while connecting\n"
        "10:05:09 link: connecting\n10:05:02 link: closed by the other side while connec\n10:05:20 link: connecting\n"
        "10:05:20 link: 111 while connecting\n10:05:30 link: connecting\n10:05:30 link: online\n")
    verdict, _ = repeat.verdict(told, None, Setup(seed=4))
    assert verdict["ok"], verdict["violations"]


@pytest.mark.parametrize("line, kind", [
    ("link: cannot resolve broker: -2 while con", "dns-fails"),
    ("link: refused: not authorized while conn", "broker-refuses"),
    ("link: no answer in time while connecting", "blocked"), ("link: 113 no route to host while connect", "blocked"),
    ("link: attic: no address in time while joi", None)])
def test_the_reason_of_a_failed_connection_tells_the_fault(line, kind):
    told = [flight.Event(0, "link: online"), flight.Event(1, "link: connecting"), flight.Event(2, line)]
    if kind is None:
        told[1] = flight.Event(1, "link: joining")
    assert [fault.kind for fault in flight.plan(told).wanted] == [kind or "no-address"]


def test_a_replay_is_judged_and_says_what_it_could_not_carry(capsys, tmp_path):
    path = tmp_path / "report.json"
    path.write_text(json.dumps({"id": "a", "ok": True, "log": OUTAGE.splitlines()}))
    status, verdict = sim(capsys, "--replay", str(path))
    assert (status, verdict["ok"], verdict["violations"], verdict["faults"]) == (0, True, [], 5)
    replayed = verdict["replayed"]
    assert [fault["fault"] for fault in replayed["carried"]][:2] == ["wifi-password", "broker-restart"]
    assert replayed["left"][0]["event"] == "config refused: bad" and replayed["events"] == 23
    assert sim(capsys, "--replay", str(path))[1]["digest"] == verdict["digest"]


def recorded(kind, at_s, lasts_s, chance=0.5, days=0.04):
    """The log of a simulated node that met one fault."""
    lines = []
    run = Run(Setup(seed=3, nodes=1, days=days, faults=(), varied=False),
              say=lambda t_s, node, text: lines.append((t_s, text)))
    run.faults = [Fault(0, kind, 0 if run.kinds[kind].scope == "node" else None, at_s, lasts_s, chance)]
    assert run.go()["ok"]
    return [flight.Event(t_s, text[:40]) for t_s, text in lines if at_s - 100 < t_s < at_s + lasts_s + 200]


@pytest.mark.parametrize("kind, lasts_s", [
    ("wifi-gone", 90), ("wifi-password", 90), ("no-address", 90), ("dns-fails", 60), ("broker-restart", 60),
    ("broker-refuses", 60), ("blocked", 90), ("reset", 0)])
def test_what_the_simulator_itself_recorded_is_met_again(kind, lasts_s):
    told = recorded(kind, 400.0, lasts_s)
    told = [flight.Event(event.at_s - told[0].at_s, event.text) for event in told]
    verdict, run = repeat.verdict(told, None, Setup(seed=4))
    failures = {sign[1:] for _, sign in flight.signs(told) if sign[0] == "failed"}
    again = {sign[1:] for _, sign in flight.signs(run.said) if sign[0] == "failed"}
    assert verdict["ok"], verdict["violations"]
    assert failures and failures <= again, (told, run.said)


def test_a_replay_has_the_configuration_that_is_given_and_none_of_its_secrets(capsys, tmp_path):
    config = tmp_path / "config.json"
    config.write_text(json.dumps({
        "schema": 1, "node": {"id": "cellar"}, "wifi": {"home": {"password": "very secret 1"}},
        "mqtt": {"host": "mqtt.home", "port": 8883, "tls": {"ca": "ca.der"}, "user": "u", "password": "very secret 2"},
        "telemetry": {"interval_s": 20}, "sensors": {"water": {"driver": "ds18b20", "pin": 4}}}))
    path = tmp_path / "report.txt"
    path.write_text("cellar: report done\n  10:00:00 link: online\n  10:04:00 link: 104 while online\n"
                    "  10:04:09 link: online\n  10:05:00 sensor air: OSError 19\n")
    status, verdict = sim(capsys, "--replay", str(path), "--config", str(config))
    assert status == 0 and verdict["readings"] > 3 * 15
    left = {entry["event"] for entry in verdict["replayed"]["left"]}
    assert left == {"mqtt.tls", "sensor air: OSError 19"} and "very secret" not in json.dumps(verdict)


@pytest.mark.parametrize("text, hint", [
    ("nothing\n", "no event of a flight recorder"), ('{"ok":true}', "without `log`"),
    ("".join(f"{hour:02}:00:00 link: online\n" for hour in (20, 10) * 6), "three at most")])
def test_what_is_no_recording_is_a_usage_error(text, hint, tmp_path, capsys):
    path = tmp_path / "bad.txt"
    path.write_text(text)
    assert __main__.main(["sim", "--replay", str(path)]) == 2
    assert hint in capsys.readouterr().err
    assert __main__.main(["sim", "--replay", str(tmp_path / "missing")]) == 2
    assert __main__.main(["sim", "--replay", str(path), "--nodes", "3"]) == 2
