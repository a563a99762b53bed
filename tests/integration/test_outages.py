"""A broker that dies, and one that falls silent: every reading arrives all the same, and the node says so itself."""

import time

import pytest

from . import audit
from .proxy import DOWN, UP

START_LIMIT_S = 30
BACK_LIMIT_S = 30  # reconnect window 1 s, cap 2 s, then a backlog of a minute in batches of eight
ACK_DELAY_S = 0.05  # see below
KEEPALIVE_S = 5
NOTICED_S = KEEPALIVE_S + 10
MOST_REPEATS = 10  # for each reconnect: a batch of eight and what was live, all sent and not acknowledged
PAUSE_S = 3  # readings come each second: sampling that paused would show as a gap of the length of the outage


def kill_and_restart(world, down_s):
    """SIGKILL the broker, start it again, and let the node in only when the auditor has subscribed again.

    A broker acknowledges what it then hands to nobody, so while nobody listens nobody may publish.
    """
    subscribed = world.auditor.subscriptions
    world.proxy.close_gate()
    world.broker.kill()
    time.sleep(down_s)
    world.broker.start()
    world.auditor.wait_subscribed(subscribed + 1)
    world.proxy.open_gate()


def survive_kills(world, times, down_s, up_s):
    """Kill the broker `times` times; returns the node's diagnostics after the last reading has arrived."""
    # An acknowledgement that reaches the node must mean that the auditor has the reading. A broker killed between
    # the two would break that: so acknowledgements travel slowly, and die with the broker.
    world.proxy.delay(ACK_DELAY_S, DOWN)
    node, auditor = world.start_node(world.proxy.port), world.auditor
    auditor.wait_message(node.topic("telemetry/air"), START_LIMIT_S)
    for _ in range(times):
        kill_and_restart(world, down_s)
        healed = time.monotonic()
        auditor.wait_message(node.topic("status"), BACK_LIMIT_S, healed, lambda m: m.payload == b"online")
        time.sleep(up_s)
    report = audit.wait_complete(auditor, node.id, BACK_LIMIT_S, time.monotonic())
    assert audit.stale_live(world.proxy.frames("PUBLISH", UP), limit_s=3) == []
    assert audit.stale_diagnostics_s(world.proxy.frames("PUBLISH", UP)) <= 3
    assert not any(report["dropped"].values()) and report["reconnects"] >= times
    assert audit.longest_gap_s(auditor.messages, node.id) <= PAUSE_S
    ways = [how for how, _, _ in audit.readings(auditor.messages, node.id)]
    assert len(ways) - report["produced"] <= MOST_REPEATS * report["reconnects"]
    world.say(f"{times} kills: {report['produced']} produced, {len(ways)} received, {ways.count('backlog')} by the "
          f"backlog, 0 lost, dropped {report['dropped']}, {report['reconnects']} reconnects")
    return report


@pytest.mark.parametrize("engine", ["mosquitto", "iotcore"], indirect=True)
def test_broker_killed_three_times_loses_nothing(world):
    report = survive_kills(world, times=3, down_s=1, up_s=1.5)
    assert report["produced"] >= 8


def test_counters_add_up_at_qos_0_though_readings_may_be_lost(world):
    """Acknowledged means written at QoS 0: what was in the network is lost, what was not is kept."""
    node = world.start_node(world.proxy.port, telemetry={"qos": 0})
    world.auditor.wait_message(node.topic("telemetry/air"), START_LIMIT_S)
    kill_and_restart(world, down_s=4)
    report = world.auditor.wait_json(node.topic("diagnostics"), BACK_LIMIT_S, time.monotonic(),
                                     lambda report: report["reconnects"] and not report["queued"])
    arrived = audit.numbers(world.auditor.messages, node.id)[report["boot"]]
    lost = sorted(set(range(1, report["produced"] + 1)) - arrived)
    world.say(f"QoS 0: {len(lost)} of {report['produced']} lost in the network: {lost}")
    assert len(lost) <= 2, "readings made while there was no connection are kept"


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["mosquitto", "iotcore"], indirect=True)
def test_broker_killed_five_times_in_a_minute_loses_nothing(world):
    report = survive_kills(world, times=5, down_s=4, up_s=5)
    assert report["produced"] >= 50


def survive_silence(world, node, silent_s):
    """Stop the broker for `silent_s`: a half-open link. Returns the node's diagnostics at the end."""
    auditor = world.auditor
    auditor.wait_message(node.topic("telemetry/air"), START_LIMIT_S)
    began = time.monotonic()
    world.broker.pause()
    try:
        def left():
            return [t for t, direction in world.proxy.ended if direction == UP and t >= began]
        noticed_s = world.proxy.wait(left, NOTICED_S, "end of the half-open link by the node")[0] - began
        time.sleep(max(0.0, silent_s - (time.monotonic() - began)))
    finally:
        world.broker.resume()
    healed = time.monotonic()
    # What the stopped broker had in its buffers comes first, old wills among it: the truth comes last.
    auditor.wait(lambda: auditor.since(healed, node.topic("telemetry/air")), BACK_LIMIT_S, "live reading")
    assert auditor.subscriptions == 1, "the auditor was away: what was acknowledged meanwhile reached nobody"
    report = audit.wait_complete(auditor, node.id, BACK_LIMIT_S, time.monotonic())
    auditor.wait(lambda: auditor.since(0, node.topic("status"))[-1].payload == b"online", BACK_LIMIT_S, "last word")
    assert not any(report["dropped"].values())
    gap_s = audit.longest_gap_s(auditor.messages, node.id)
    assert gap_s <= PAUSE_S
    world.say(f"silent for {silent_s} s: noticed after {noticed_s:.1f} s, {report['produced']} produced, 0 lost, "
              f"longest pause of sampling {gap_s} s")
    return report


def test_stopped_broker_is_noticed_and_nothing_is_lost(world):
    survive_silence(world, world.start_node(world.proxy.port), silent_s=12)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["mosquitto", "iotcore"], indirect=True)
def test_broker_stopped_for_90_s_loses_nothing(world):
    # 90 s at one reading a second do not fit into the default of 64 readings in RAM.
    node = world.start_node(world.proxy.port, outbox={"ram_readings": 128})
    survive_silence(world, node, silent_s=90)


def test_more_readings_than_the_link_takes_come_oldest_first(world):
    """Ten sensors and a link that stops: window, live slots and backlog are all in use when the session ends."""
    sensors = {f"s{number}": {"driver": "host"} for number in range(10)}
    node = world.start_node(world.proxy.port, options=("--heap", "256k"), sensors=sensors,
                            outbox={"ram_readings": 256})
    world.auditor.wait_message(node.topic("telemetry/s9"), START_LIMIT_S)
    since = time.monotonic()
    world.proxy.freeze()
    world.proxy.wait_attempt(BACK_LIMIT_S, since)
    world.proxy.heal()
    report = audit.wait_complete(world.auditor, node.id, 2 * BACK_LIMIT_S, time.monotonic())
    assert not any(report["dropped"].values())


def more_than_fits(world, **outbox):
    """A node with 16 places in RAM, away for 32 readings and back."""
    node = world.start_node(world.proxy.port, outbox={"ram_readings": 16, **outbox},
                            sensors={name: {"driver": "host"} for name in ("one", "two", "three", "four")})
    world.auditor.wait_message(node.topic("telemetry/four"), START_LIMIT_S)
    world.proxy.close_gate()
    world.proxy.reset()
    time.sleep(8)
    world.proxy.open_gate()
    return node


def test_more_readings_than_ram_holds_wait_on_flash(world):
    node = more_than_fits(world)
    report = audit.wait_complete(world.auditor, node.id, 2 * BACK_LIMIT_S, time.monotonic())
    assert not any(report["dropped"].values()), report
    ways = [how for how, _, _ in audit.readings(world.auditor.messages, node.id)]
    assert ways.count("backlog") >= 28
    world.auditor.wait(lambda: not [name for name in node.flash() if name[0] == "q"], BACK_LIMIT_S, "empty flash")


def test_outbox_that_overflows_counts_what_it_drops(world):
    """More readings than fit, and no flash: the oldest go, each of them counted, and the sum still holds."""
    node = more_than_fits(world, flash_bytes=0)
    report = world.auditor.wait_json(node.topic("diagnostics"), BACK_LIMIT_S, time.monotonic(),
                               lambda d: d["dropped"]["overflow"] > 0 and d["queued"] <= 4)

    def all_but_dropped():
        return len(audit.numbers(world.auditor.messages, node.id)[report["boot"]]) >= (
            report["produced"] - report["dropped"]["overflow"] - report["queued"])
    world.auditor.wait(all_but_dropped, BACK_LIMIT_S, "reading that was not dropped")
    world.say(f"overflow: {report['dropped']['overflow']} of {report['produced']} dropped and counted")
