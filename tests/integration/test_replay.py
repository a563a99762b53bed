"""A real node's flight recorder, after a real broker was down, lived through once more by a simulated one."""

import json

from tools import __main__

from .test_outages import START_LIMIT_S, kill_and_restart


def test_the_report_of_a_real_node_is_replayed(world, capsys, tmp_path):
    node = world.start_node(world.proxy.port)
    world.auditor.wait_message(node.topic("telemetry/air"), START_LIMIT_S)
    kill_and_restart(world, down_s=2)
    world.auditor.wait_json(node.topic("diagnostics"), START_LIMIT_S, 0, lambda report: report["reconnects"])
    capsys.readouterr()
    assert __main__.main(["command", "--broker", f"127.0.0.1:{world.broker.port}", node.id, "report"]) == 0
    path = tmp_path / "report.txt"
    path.write_text(capsys.readouterr().out)
    status = __main__.main(["sim", "--json", "--replay", str(path)])
    verdict = json.loads(capsys.readouterr().out)
    assert status == 0 and verdict["ok"], verdict["violations"]
    replayed = verdict["replayed"]
    kinds = {fault["fault"] for fault in replayed["carried"]}
    assert kinds & {"broker-restart", "broker-hangs-up"}, path.read_text()
    assert replayed["again"] >= replayed["comparable"] / 2, (replayed, path.read_text())
