"""`mote fleet`: real nodes in several processes against a real broker, and an audit that finds what is missing."""

import argparse
import json

import pytest

from tools import __main__, brokers
from tools.verbs import fleet


def test_a_fleet_in_two_processes_loses_nothing_and_says_goodbye(capsys):
    with brokers.Broker() as broker:
        status = __main__.main(["fleet", "--nodes", "12", "--interval-s", "1", "--seconds", "4", "--processes", "2",
                                "--broker", f"{broker.host}:{broker.port}", "--json"])
    verdict = json.loads(capsys.readouterr().out)
    assert (status, verdict["ok"], verdict["missing"], verdict["dropped"]) == (0, True, 0, 0)
    assert verdict["nodes"] == verdict["left"] == 12
    assert verdict["received"] == verdict["acknowledged"] >= 12


def test_a_reading_that_nobody_got_is_missing():
    args = argparse.Namespace(nodes=2)
    heard = {"received": 5, "duplicates": 1, "status": "offline"}
    counted = {"f00000": [5, 5, 0, 0], "f00001": [5, 4, 1, 0]}
    verdict = fleet.judge(args, {"nodes": {"f00000": heard, "f00001": heard}}, counted, 0)
    assert (verdict["missing"], verdict["ok"]) == (1, False)
    assert "1 missing" in fleet.text(verdict) and "NOT ok" in fleet.text(verdict)
    counted["f00000"][1] = 4
    assert fleet.judge(args, {"nodes": {"f00000": heard, "f00001": heard}}, counted, 0)["ok"]
    assert not fleet.judge(args, {"nodes": {"f00000": heard}}, {"f00000": [4, 4, 0, 0]}, 0)["ok"], "a node did not come"
    assert not fleet.judge(args, {"nodes": {"f00000": heard, "f00001": heard}}, counted, 7)["ok"], "the audit was slow"


def test_all_is_heard_when_every_reading_and_every_goodbye_has_come():
    counted = {"f00000": [5, 5, 0, 0]}
    heard = {"received": 5, "duplicates": 0, "status": "offline"}
    assert fleet._settled({"nodes": {"f00000": heard}}, counted)
    for late in ({**heard, "status": "online"}, {**heard, "received": 4}):
        assert not fleet._settled({"nodes": {"f00000": late}}, counted), late
    assert not fleet._settled({"nodes": {}}, counted)


@pytest.mark.parametrize("wrong", [("--nodes", "0"), ("--interval-s", "x"), ("--qos", "2")])
def test_what_cannot_be_is_a_usage_error(wrong):
    with pytest.raises(SystemExit) as caught:
        __main__.main(["fleet", *wrong])
    assert caught.value.code == 2


def test_no_broker_is_no_answer(capsys):
    assert __main__.main(["fleet", "--nodes", "1", "--seconds", "1", "--broker", "127.0.0.1:1"]) == 3
    assert "127.0.0.1:1" in capsys.readouterr().err
