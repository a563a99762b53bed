"""Bugs planted in the node: the simulator finds each by the invariant that it breaks. `make soak` looks for all."""

import json
import os

import pytest

from tests.host import planted  # isort: skip, it puts lib/ on the path

import mqtt
from firmware import link, outbox
from tools import __main__
from tools.sim.faults import KINDS
from tools.sim.invariants import NAMES
from tools.sim.run import Run, Setup

# Found within the first seed's first hours, so that every change of the tree looks for them.
QUICK = (
    "acknowledges what broke", "counts a batch as one", "sends everything twice", "is always live", "forgets its key",
    "obeys kept commands", "shows its secrets", "saves in place", "retries at once", "lets errors through",
    "feeds its watchdog once", "numbers its readings anew", "publishes to a wildcard",
    "leaves a will that nobody keeps", "reports what it does not do",
)


@pytest.mark.timeout(1_800 if os.environ.get("MOTE_SOAK") else 60)
@pytest.mark.parametrize("name", planted.BUGS)
def test_a_planted_bug_is_found(name):
    if name not in QUICK and not os.environ.get("MOTE_SOAK"):
        pytest.skip("takes a while: make soak")
    seeds = planted.SEEDS if os.environ.get("MOTE_SOAK") else 2
    count, found = planted.seeds_until_found(name, Setup(nodes=8, days=1, faults=tuple(KINDS)), seeds)
    assert count, f"not found in {seeds} seeds; other violations: {found}"


def takes_another(self, index, values, when):
    """Written when a reading came with its time."""


def calls_what_is_gone(self, index, values):
    self.no_such_method(values)


def keeps_nonsense(self, index, values):
    self.fresh = None


async def awaits_what_is_gone(self):
    await self.no_such_method()


@pytest.mark.parametrize("place, attribute, bug, hint", [
    (outbox.Outbox, "no_such", takes_another, "no place there any more"),
    (outbox.Outbox, "add", takes_another, "takes (self, index, values, when) where the node takes"),
    (link, "LINK_ERRORS", [OSError], "puts a list in the place of a tuple"),
    (outbox.Outbox, "add", calls_what_is_gone, "no_such_method"),
    (mqtt.Client, "watch", awaits_what_is_gone, "no_such_method"),
    (outbox.Outbox, "add", keeps_nonsense, "makes the node slip")])
def test_a_planted_bug_that_no_longer_fits_says_so_at_once(place, attribute, bug, hint, monkeypatch):
    monkeypatch.setitem(planted.BUGS, "stale", (("lost",), (place, attribute, bug)))
    with pytest.raises(planted.Stale) as caught:
        planted.seeds_until_found("stale", Setup(nodes=1, days=0.02), 1)
    assert "'stale'" in str(caught.value) and hint in str(caught.value)


def test_every_invariant_is_broken_by_a_planted_bug():
    assert {invariant for names, *_ in planted.BUGS.values() for invariant in names} == set(NAMES)


def test_without_a_bug_the_same_run_is_well():
    assert Run(Setup(seed=1, nodes=8, days=0.4, faults=tuple(KINDS))).go()["violations"] == []


def test_a_search_for_a_leak_does_not_take_itself_for_one():
    assert Run(Setup(seed=1, nodes=1, days=0.02), until=("leak", "memory")).go()["violations"] == []


def test_a_failing_run_names_its_seed_and_a_shorter_schedule_that_fails_again(capsys):
    arguments = ["sim", "--seed", "1", "--nodes", "4", "--days", "0.3", "--faults", "reset,blocked,power-cut", "--json"]
    with planted.planted("acknowledges what broke"):
        assert __main__.main(arguments) == 1
        verdict = json.loads(capsys.readouterr().out)
        assert verdict["seed"] == 1 and verdict["violations"][0]["invariant"] == "lost"
        shrunk = verdict["shrunk"]
        assert 1 <= len(shrunk) <= 2 < verdict["faults"], shrunk
        only = ",".join(str(fault["number"]) for fault in shrunk)
        assert __main__.main([*arguments, "--only", only, "--no-shrink"]) == 1
        assert json.loads(capsys.readouterr().out)["faults"] == len(shrunk)
    assert __main__.main([*arguments, "--only", only]) == 0
    capsys.readouterr()


def test_many_seeds_are_a_line_each_in_their_order(capsys):
    assert __main__.main(["sim", "--seed", "4", "--seeds", "3", "--jobs", "2", "--nodes", "1", "--days", "0.02"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["seed 4", "seed 5", "seed 6"]
    assert all(line.endswith("ok") for line in lines)
