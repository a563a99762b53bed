"""How long a battery lasts, by arithmetic that can be done by hand, and by what a node says."""

import json
import threading

import pytest

from tests.host.fake_node import FakeNode
from tools import battery, errors

HIVE = {"revision": 1, "config": {"power": {"mode": "deepsleep", "send_every": 1}, "telemetry": {"interval_s": 300},
                                  "sensors": {"air": {"driver": "bme280", "interval_s": None}}}}


def test_by_hand():
    # 1 s of 100 mA every 100 s is 1 mA, and 0.0099 mA the rest of the time; 85 % of 1,000 mAh are 850.
    found = battery.estimate(1_000, 1_000, 100)
    assert found.mean_ma == pytest.approx(1 + 0.0099)
    assert found.days == pytest.approx(850 / 1.0099 / 24)


def test_a_node_that_never_sleeps_is_awake_all_the_time():
    assert battery.estimate(1_000, 500_000, 100).mean_ma == battery.AWAKE_MA


def test_a_board_that_takes_more_asleep_lives_less():
    assert battery.estimate(2_600, 250, 300, asleep_ua=10_000).days < battery.estimate(2_600, 250, 300).days / 50


def test_the_shortest_interval_is_how_often_it_wakes():
    config = json.loads(json.dumps(HIVE))
    config["config"]["sensors"]["door"] = {"interval_s": 60}
    assert battery.of_node(2_600, config, {"awake_mean_ms": 250}).period_s == 60
    assert battery.of_node(2_600, HIVE, {"awake_mean_ms": 250}).period_s == 300


@pytest.mark.parametrize("config, diagnostics", [
    ({}, {"awake_mean_ms": 250}),
    ({"config": None}, {}),
    ({"config": {"power": {"mode": "always"}}}, {"awake_mean_ms": 9}),
    (HIVE, {}),
    (HIVE, {"awake_mean_ms": 0}),
    (HIVE, {"awake_mean_ms": "250"}),
])
def test_who_does_not_sleep_or_has_not_told_gets_no_figure(config, diagnostics):
    assert battery.of_node(2_600, config, diagnostics) is None


LIGHT = {"revision": 1, "config": {"power": {"mode": "lightsleep"}}}


def test_a_link_that_is_kept_costs_days_not_years():
    found = battery.of_node(2_600, LIGHT, {})
    assert found.days == pytest.approx(0.85 * 2_600 / 25 / 24)
    assert battery.text("hive", found, 2_600) == "hive: 3.7 days on 2,600 mAh (link kept, 25 mA on average)"
    assert battery.of_node(2_600, LIGHT, {}, asleep_ua=5_010).mean_ma == pytest.approx(30), "the board's own 5 mA"


def test_doctor_counts_a_node_in_light_sleep_without_a_wake(mote, broker, base):
    with FakeNode(broker.port, base=base) as node, FakeNode(
            broker.port, base=base, node_id="hive", status="sleeping") as sleeper:
        node.say("config", LIGHT, retain=True)
        sleeper.say("config", HIVE, retain=True)
        wake = threading.Timer(1, sleeper.say, ("diagnostics", {"awake_mean_ms": 250}))
        wake.start()
        status, out, _ = mote("doctor", "--battery", "2600", "--json", "--wait", "20", "--broker",
                              f"127.0.0.1:{broker.port}", "--base", base)
        wake.join()
    found = json.loads(out)
    assert (status, set(found)) == (errors.DONE, {node.id, sleeper.id})
    assert found[node.id]["mean_ma"] == battery.LINKED_MA and found[sleeper.id]["awake_ms"] == 250


def test_doctor_waits_for_the_next_wake(mote, broker, base):
    with FakeNode(broker.port, base=base, status="sleeping") as node:
        node.say("config", HIVE, retain=True)
        node.say("info", {"wake_every_s": 5}, retain=True)
        wake = threading.Timer(3, node.say, ("diagnostics", {"wakes": 9, "awake_mean_ms": 250}))
        wake.start()
        status, out, _ = mote("doctor", "--battery", "2600", "--json", "--broker", f"127.0.0.1:{broker.port}",
                              "--base", base)
        wake.join()
    assert status == errors.DONE
    assert json.loads(out)[node.id]["days"] == pytest.approx(battery.estimate(2_600, 250, 300).days)


def test_doctor_says_when_nobody_sleeps(mote, broker, base):
    status, out, _ = mote("doctor", "--battery", "2600", "--wait", "1", "--broker", f"127.0.0.1:{broker.port}",
                          "--base", base)
    assert status == errors.UNREACHABLE
    assert "No node is in light sleep" in out
