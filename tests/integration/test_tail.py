"""A node that loses its power while nobody hears it: what was on flash comes, and the audit bounds what was not."""

import json
import subprocess
import sys
import time

from tools import ROOT, errors

from . import audit

START_LIMIT_S = 30
LIMIT_S = 60
SPILLED_S = 6


def start_audit(world):
    """`mote audit` until it is told to stop."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tools", "audit", "--broker", f"127.0.0.1:{world.broker.port}", "--seconds", "20"],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if "subscribed" in line:
            return process
    raise AssertionError("the audit ended")


def test_power_lost_in_an_outage(world):
    node = world.start_node(world.proxy.port, outbox={"spill_after_s": 2})
    first = world.auditor.wait_json(node.topic("telemetry/air"), START_LIMIT_S)
    process = start_audit(world)
    world.auditor.wait_json(node.topic("telemetry/air"), START_LIMIT_S, time.monotonic())
    world.proxy.close_gate()
    world.proxy.reset()
    deadline = time.monotonic() + LIMIT_S
    while not [name for name in node.flash() if name[0] == "q"]:
        assert time.monotonic() < deadline, "nothing was spilled"
        time.sleep(0.1)
    time.sleep(SPILLED_S)
    node.kill()
    restarted = time.monotonic()
    node.start()
    world.proxy.open_gate()
    info = world.auditor.wait_json(
        node.topic("info"), START_LIMIT_S, restarted, lambda info: info["boot"] > first["boot"])
    boot, last_seq, most, dropped = info["past"][-1]
    assert (boot, last_seq, dropped) == (first["boot"], info["last_seq"], 0) and last_seq > first["seq"]

    def drained():
        numbers = audit.numbers(world.auditor.messages, node.id)[boot]
        return set(range(first["seq"], last_seq + 1)) <= numbers

    world.auditor.wait(drained, LIMIT_S, "all that was on flash, under its own boot")
    late = [reading for how, _, reading in audit.readings(world.auditor.messages, node.id) if how == "backlog"]
    ts = {reading["seq"]: reading["ts"] for reading in late if reading["boot"] == boot}
    assert all(abs(later - ts[seq - 1] - 1) <= 1 for seq, later in ts.items() if seq - 1 in ts), "their own times"
    said, _ = process.communicate(timeout=LIMIT_S)
    assert process.returncode == errors.DONE, said
    assert f"tail unknown, at most {most}" in said
    told = world.auditor.wait_json(node.topic("diagnostics"), START_LIMIT_S, time.monotonic())
    assert told["inherited"]["found"] == told["inherited"]["acknowledged"] >= 2
    world.say(json.dumps(told))


def test_a_clean_restart_leaves_no_tail(world):
    node = world.start_node(world.proxy.port)
    first = world.auditor.wait_json(node.topic("telemetry/air"), START_LIMIT_S)
    world.proxy.close_gate()
    world.proxy.reset()
    time.sleep(5)
    assert node.terminate() == 0
    restarted = time.monotonic()
    node.start()
    world.proxy.open_gate()
    info = world.auditor.wait_json(
        node.topic("info"), START_LIMIT_S, restarted, lambda info: info["boot"] > first["boot"])
    boot, last_seq, most, dropped = info["past"][-1]
    assert (boot, most, dropped) == (first["boot"], 0, 0) and last_seq >= first["seq"] + 3

    def whole():
        return audit.numbers(world.auditor.messages, node.id)[boot] == set(range(1, last_seq + 1))

    world.auditor.wait(whole, LIMIT_S, "every reading of the boot")
