"""Readings that came late reach the long-term statistics of their hours in a real Home Assistant."""

import json
import os
import subprocess
import sys
import time

from tools import ROOT, home, late, statistics

from .test_home_assistant import AIR, LIMIT_S, SENSORS, lives, of


def rows(place, entity_id, first_s):
    """Hour -> row, as Home Assistant tells them."""
    with home.Home(place["url"], place["token"]) as link:
        entry = {one["statistic_id"]: one for one in link.call("recorder/list_statistic_ids")}[entity_id]
        return statistics._rows(link, entry, first_s, time.time())


def backfill(home, place, state):
    done = subprocess.run(
        [sys.executable, "-m", "tools", "ha", "backfill", "--url", place["url"], "--seconds", "4", "--json", "--state",
         state, "--broker", f"127.0.0.1:{home.broker.port}"],
        cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=LIMIT_S,
        env={**os.environ, "MOTE_HA_TOKEN": place["token"]})
    assert done.returncode == 0
    return json.loads(done.stdout)


def test_late_readings_are_in_the_statistics_of_their_hours(home, tmp_path):
    home.house.restart("recorder")
    place = home.house.ask("history")
    state = str(tmp_path / "waiting.json")
    node = home.start("orchard", sensors={"air": AIR, "water": SENSORS["water"]})
    entities = home.house.wait(lives(node, "air_temperature", "water_pulses"), LIMIT_S, "readings")
    assert backfill(home, place, state)["late"] == 0, "a session that hears from now on"
    hour = int(time.time()) // late.HOUR_S * late.HOUR_S
    readings = []
    for number, value in enumerate((10.0, 11.0, 15.0)):
        at_s = hour - 3 * late.HOUR_S + 600 * number
        readings.append({"sensor": "air", "ts": at_s, "boot": 1, "seq": 2 * number + 1, "temperature": value,
                         "pressure": 1000, "humidity": None})
        readings.append({"sensor": "water", "ts": at_s, "boot": 1, "seq": 2 * number + 2, "pulses": 100 + number})
    home.auditor.publish(node.topic("backlog"), readings + [dict(readings[0], ts=hour + 1, seq=9)])
    told = backfill(home, place, state)
    assert (told["late"], told["left"]) == (11, {}), told
    assert (told["hours"], told["waiting"]) == (3, 2), "temperature, pressure, pulses; and what is of this hour"
    found = rows(place, of(entities, node, "air_temperature")["entity_id"], hour - 4 * late.HOUR_S)
    row = found[hour - 3 * late.HOUR_S]
    assert (row["mean"], row["min"], row["max"]) == (12.0, 10.0, 15.0)
    found = rows(place, of(entities, node, "water_pulses")["entity_id"], hour - 4 * late.HOUR_S)
    row = found[hour - 3 * late.HOUR_S]
    assert (row["state"], row["sum"]) == (102.0, 2.0)
