"""`mote demo` as a newcomer runs it, and that its verdict sees each thing that may be wrong."""

import json
import os
import signal
import sys

import pytest

from tests.host.test_broker import engines, gone
from tools import accounting, errors, micropython
from tools.verbs import demo

LIMIT_S = 120  # three nodes start, one of them after its bytecode was compiled
PLAN = demo.Plan("demo-attic", "Attic", "House", "micropython", {})


def offspring(pid):
    """The processes below one, in a list."""
    found = []
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/children") as file:
            found += [int(word) for word in file.read().split()]
    return found + [below for child in found for below in offspring(child)]


@pytest.fixture
def running(mote_process):
    """A demo without an end, all of whose nodes have been heard; and the processes below it."""
    process = mote_process("demo")
    waiting = {plan.node for plan in demo.PLANS}
    while waiting:
        line = process.stdout.readline()
        assert line, process.communicate(timeout=LIMIT_S)
        waiting -= {node for node in waiting if node in line and "is online" not in line and "--broker" not in line}
    return process, offspring(process.pid)


@engines("mosquitto", "iotcore")
def test_it_ends_by_itself_with_a_summary(mote_process, engine):
    process = mote_process("demo", "--seconds", 2, "--engine", engine)
    stdout, stderr = process.communicate(timeout=LIMIT_S)
    assert (process.returncode, stderr) == (errors.DONE, ""), stdout
    summary = stdout.partition("What the subscriber saw:")[2]
    assert "All as it should be." in summary
    for plan in demo.PLANS:
        assert f"  {plan.node} " in summary
    assert summary.count("CPython") == (2 if micropython.available() else 3)
    assert "°C" in stdout and engine in stdout


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_the_summary_and_nothing_is_left(running, number):
    process, below = running
    assert len(below) >= 4
    process.send_signal(number)
    stdout, _ = process.communicate(timeout=LIMIT_S)
    assert process.returncode == errors.DONE, stdout
    assert "All as it should be." in stdout
    assert all(gone(pid) for pid in below)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_killed_it_leaves_nothing_either(running):
    process, below = running
    process.kill()
    assert all(gone(pid) for pid in below)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_node_that_dies_makes_it_fail(running):
    process, _ = running
    for pid in offspring(process.pid):
        with open(f"/proc/{pid}/cmdline") as file:
            if "demo-garden" in file.read():
                os.kill(pid, signal.SIGKILL)
                break
    stdout, _ = process.communicate(timeout=LIMIT_S)
    assert process.returncode == errors.FAILED
    assert "demo-garden: it ended with status -9" in stdout and "All as it should be." not in stdout


def facts(**changes):
    """What judged() is asked about a node with which all is well, with changes."""
    report = accounting.Node().report()[0]
    before = {
        "mote/demo-attic/status": b"online",
        "mote/demo-attic/info": json.dumps({"interpreter": "MicroPython 1.29.0"}).encode(),
        "homeassistant/device/demo-attic/config": b'{"cmps": {"a": {}, "b": {}}}'}
    good = {"plan": PLAN, "report": {**report, "received": 3, "status": "offline"}, "end": 0,
            "before": before, "after": {"mote/demo-attic/status": b"offline"}}
    for name, change in changes.items():
        good[name] = {**good[name], **change} if isinstance(change, dict) else change
    return good


def test_all_is_well():
    line, problems = demo.judged(**facts())
    assert problems == []
    assert "MicroPython 1.29.0" in line and "3 readings, 0 missing" in line and "2 entities" in line


@pytest.mark.parametrize("changes, words", [
    ({"report": {"received": 0}}, "no reading"),
    ({"report": {"gaps": [[1, 4, 5]]}}, "2 readings are missing"),
    ({"report": {"malformed": 1}}, "not of the form"),
    ({"report": {"status": "online"}}, "did not arrive"),
    ({"plan": PLAN._replace(interpreter="cpython")}, "should run on cpython"),
    ({"before": {"mote/demo-attic/status": b"offline"}}, "no `online`"),
    ({"before": {"mote/demo-attic/info": b"{"}}, "should run on micropython"),
    ({"before": {"homeassistant/device/demo-attic/config": b""}}, "Home Assistant"),
    ({"after": {"mote/demo-attic/status": b"online"}}, "keeps no `offline`"),
    ({"end": -9}, "status -9"),
])
def test_each_thing_that_may_be_wrong_is_seen(changes, words):
    problems = demo.judged(**facts(**changes))[1]
    assert len(problems) == 1 and words in problems[0]


def test_without_micropython_it_says_so_and_goes_on(monkeypatch, capsys):
    monkeypatch.setattr(micropython, "available", lambda: False)
    assert {plan.interpreter for plan in demo.plans()} == {"cpython"}
    assert "no MicroPython interpreter" in capsys.readouterr().out
