"""A node that sleeps, as Home Assistant sees it: there all the time, and away only when it stays silent too long."""

import json
import time

from .houses import LOOK_S
from .test_home_assistant import AIR, LIMIT_S, UNAVAILABLE, lives, state

CYCLES = 3


def test_a_sleeping_node_is_there_through_three_cycles_and_a_restart(home):
    node = home.start("hive", sensors={"air": AIR}, power={"mode": "deepsleep", "awake_s": 2})
    home.house.wait(lives(node, "air_temperature"), LIMIT_S, "reading")
    document = json.loads(home.auditor.wait_message(f"homeassistant/device/{node.id}/config", LIMIT_S).payload)
    assert "avty_t" not in document and document["cmps"]["air_temperature"]["exp_aft"] == 64
    since = time.monotonic()

    def cycles():
        return len([m for m in home.auditor.since(since, node.topic("status")) if m.payload == b"sleeping"])

    seen = set()
    while cycles() < CYCLES:
        assert time.monotonic() < since + LIMIT_S, cycles()
        seen.add(state(home.house.entities(), node, "air_temperature"))
        time.sleep(LOOK_S)
    assert UNAVAILABLE not in seen and "unknown" not in seen
    node.kill()  # asleep for long: what it said last is kept
    home.house.restart()
    home.house.wait(lives(node, "air_temperature", "air_pressure"), LIMIT_S, "kept readings after a restart")
