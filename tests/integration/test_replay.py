"""A real node's flight recorder, after a real broker was down, lived through once more by a simulated one."""

import json
import subprocess
import sys
import tempfile

from tools import ROOT

from .test_outages import START_LIMIT_S, kill_and_restart

LIMIT_S = 60


def mote(*arguments):
    """What a verb prints; it has to end well."""
    done = subprocess.run([sys.executable, "-m", "tools", *arguments], cwd=ROOT, text=True, timeout=LIMIT_S,
                          capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_report_of_a_real_node_is_replayed(world):
    node = world.start_node(world.proxy.port)
    world.auditor.wait_message(node.topic("telemetry/air"), START_LIMIT_S)
    kill_and_restart(world, down_s=2)
    world.auditor.wait_json(node.topic("diagnostics"), START_LIMIT_S, 0, lambda report: report["reconnects"])
    report = mote("command", "--broker", f"127.0.0.1:{world.broker.port}", node.id, "report")
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(report)
        file.flush()
        verdict = json.loads(mote("sim", "--json", "--replay", file.name))
    replayed = verdict["replayed"]
    assert verdict["ok"] and {fault["fault"] for fault in replayed["carried"]} & {
        "broker-restart", "broker-hangs-up", "blocked"}, report
    assert replayed["events"] >= 8 and replayed["again"], (replayed, report)  # how many is a matter of time
