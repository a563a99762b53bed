"""`mote sim`: the shipped node in virtual time, the same from the same seed wherever it runs."""

import glob
import json
import os
import shutil
import subprocess
import sys

import pytest

from tools import ROOT, __main__
from tools.sim import replay
from tools.sim.faults import KINDS, schedule
from tools.sim.run import Run, Setup

SMALL = ("--nodes", "3", "--days", "0.15", "--faults", "all")


def sim(capsys, *arguments):
    """(exit status, what --json printed)."""
    status = __main__.main(["sim", "--json", *arguments])
    return status, json.loads(capsys.readouterr().out)


def elsewhere(python, *arguments, **environment):
    """The verdict of a run in another process."""
    done = subprocess.run([python, "-m", "tools", "sim", "--json", *arguments], cwd=ROOT, check=True, text=True,
                          env={**os.environ, **environment}, stdout=subprocess.PIPE, timeout=120)
    return json.loads(done.stdout)


def test_a_quiet_day_is_all_readings_and_no_violation(capsys):
    status, verdict = sim(capsys, "--seed", "3", "--nodes", "2", "--days", "0.25", "--interval-s", "30", "--plain")
    assert (status, verdict["ok"], verdict["violations"]) == (0, True, [])
    assert verdict["seed"] == 3 and verdict["faults"] == 0
    assert 2 * 0.25 * 2880 - 8 <= verdict["readings"] <= 2 * 0.25 * 2880 + 8


def test_the_same_seed_is_the_same_run_and_another_one_another(capsys):
    first = sim(capsys, "--seed", "5", *SMALL)[1]
    again = elsewhere(sys.executable, "--seed", "5", *SMALL, PYTHONHASHSEED="77")
    other = sim(capsys, "--seed", "6", *SMALL)[1]
    assert first["faults"] > 5 and first["ok"]
    assert (first["digest"], first["readings"]) == (again["digest"], again["readings"])
    assert first["digest"] != other["digest"]


def other_pythons():
    """Interpreters of other versions on this machine."""
    found = {}
    for minor in (10, 12, 13, 14):
        name = f"python3.{minor}"
        installed = glob.glob(os.path.expanduser(f"~/.pyenv/versions/3.{minor}.*/bin/{name}"))
        path = installed[0] if installed else shutil.which(name)
        if path and minor != sys.version_info[1]:
            found[minor] = path
    return found


@pytest.mark.parametrize("minor", (10, 12, 13, 14))
def test_the_digest_is_the_same_on_other_pythons(minor, capsys):
    python = other_pythons().get(minor)
    if not python or subprocess.run([python, "-c", "import asyncio"], capture_output=True).returncode:
        pytest.skip(f"no Python 3.{minor} here")
    ours = sim(capsys, "--seed", "8", *SMALL)[1]
    assert elsewhere(python, "--seed", "8", *SMALL)["digest"] == ours["digest"]


def test_faults_are_a_matter_of_the_seed_their_name_and_their_node():
    windows = [(100.0, 80_000.0)]
    every = schedule(1, tuple(KINDS), windows, 8)
    assert {fault.kind for fault in every} >= {"power-cut", "broker-restart", "blocked", "config"}
    fewer = schedule(1, ("power-cut",), windows, 4)
    wanted = [fault[1:] for fault in every if fault.kind == "power-cut" and fault.node < 4]
    assert [fault[1:] for fault in fewer] == wanted
    assert all(100 < fault.at_s and fault.at_s + fault.lasts_s < 80_000 for fault in every)
    assert [fault[1:] for fault in schedule(2, ("power-cut",), windows, 4)] != wanted


def test_only_some_of_the_faults_can_be_had():
    run = Run(Setup(seed=5, nodes=3, days=0.15, faults=tuple(KINDS), only=frozenset((1, 4))))
    assert [fault.number for fault in run.begun()] == [1, 4]


def test_every_fault_alone_leaves_a_node_well():
    """Two nodes for some hours with each fault many times over: the knobs work one by one, too."""
    failed = {}
    for kind in KINDS:
        if KINDS[kind].per_day < 1:
            continue
        verdict = Run(Setup(seed=2, nodes=1, days=0.2, faults=(kind,))).go()
        if not verdict["ok"]:
            failed[kind] = verdict["violations"]
    assert not failed


def test_the_log_tells_virtual_seconds(capsys):
    assert __main__.main(["sim", "--nodes", "1", "--days", "0.01", "--log"]) == 0
    out, err = capsys.readouterr()
    assert "n00000  link: online" in err and ": ok" in out and "digest" in out


@pytest.mark.parametrize("wrong, hint", [
    (("--faults", "gremlins"), "no fault gremlins; there are: broker-restart"), (("--nodes", "0"), "not 1 or more"),
    (("--days", "0"), "are possible"), (("--seed", "x"), "invalid int")])
def test_what_cannot_be_asked_for_is_a_usage_error(wrong, hint, capsys):
    with pytest.raises(SystemExit) as caught:
        __main__.main(["sim", *wrong])
    assert caught.value.code == 2 and hint in capsys.readouterr().err


def test_faults_and_invariants_are_listed(capsys):
    assert __main__.main(["sim", "--list"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in KINDS) and "wrong-time" in out


def test_a_file_of_measurements_is_what_nodes_measure(capsys, tmp_path):
    path = tmp_path / "attic.csv"
    path.write_text("time,temperature,air.humidity\n2026-01-01T00:00:00,10,40\n2026-01-01T01:00:00,30,60\n"
                    "2026-01-01T02:00:00,10,40\n")
    clock = [1000.0]
    world = replay.load(path)("n00000", lambda: clock[0])("air")
    clock[0] += 1800
    assert (world("temperature"), world("humidity")) == (20, 50)
    clock[0] += 7200 + 900
    assert world("temperature") == 25, "it begins anew"
    assert 900 < world("pressure") < 1100, "what it does not have is invented"
    status, verdict = sim(capsys, "--nodes", "1", "--days", "0.05", "--plain", "--world", str(path))
    assert status == 0 and verdict["ok"]


@pytest.mark.parametrize("text, hint", [
    ("time,a\n1,2\n", "two rows at least"), ("time,a\n1,2\n1,3\n", "line 3: the time does not rise"),
    ("time,a\n1,2\n2,x\n", "line 3: could not convert"), ("time,a\n1,2\nsoon,3\n", "line 3: Invalid isoformat")])
def test_a_file_that_is_no_world_names_its_line(text, hint, tmp_path, capsys):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    assert __main__.main(["sim", "--nodes", "1", "--days", "0.05", "--world", str(path)]) == 2
    assert hint in capsys.readouterr().err
