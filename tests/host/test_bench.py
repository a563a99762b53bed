"""`mote bench` measures something, on every interpreter that is here."""

import json
import os

from tools import ROOT, __main__, micropython


def test_publish_reports_a_rate_per_interpreter(capsys):
    assert __main__.main(["bench", "publish", "--count", "50", "--json"]) == 0
    rows = {row["interpreter"]: row for row in json.loads(capsys.readouterr().out)["publish"]}
    peers = ["MicroPython", *(["umqtt.simple"] if os.path.exists(f"{ROOT}/build/umqtt/simple.py") else [])]
    assert set(rows) == {"CPython", *(peers if micropython.available() else [])}
    for row in rows.values():
        assert row["qos0_per_s"] > 0 and row["qos1_per_s"] > 0
