"""What Home Assistant has not known shows a state within seconds, however long the node's interval is.

It subscribes to the topics of a new entity some moments after the document that announces it, and hears nothing that
was said before; a changed document makes it forget the states of those that expire.
"""

import json
import time

from .test_home_assistant import AIR, LIMIT_S, SENSORS, lives, of, patch, state

LONG_S = 600  # ten times the limit of each wait
SLOW = {"telemetry": {"interval_s": LONG_S, "diagnostics_s": LONG_S}}
AIRS = ("air_temperature", "air_humidity", "air_pressure")
CLIMATE = ("climate_temperature", "climate_humidity", "climate_pressure")
HEALTH = ("queued", "dropped", "started")  # of diagnostics


def test_a_new_node_and_a_new_sensor_have_states_at_once(home):
    node = home.start("barrow", "micropython", sensors={"air": AIR, "light": SENSORS["light"]}, **SLOW)
    home.house.wait(lives(node, "air_temperature", "light_illuminance", *HEALTH), LIMIT_S, "states of a new node")
    patch(home, node, {"sensors": {"air": None, "climate": AIR, "light": None}}, 1)
    entities = home.house.wait(lives(node, *CLIMATE, *HEALTH), LIMIT_S, "states of a sensor under another name")
    assert not of(entities, node, "air_temperature") and not of(entities, node, "light_illuminance")
    patch(home, node, {"sensors": {"air": None, "climate": AIR}}, 2)
    home.house.wait(lives(node, *CLIMATE, "light_illuminance", *HEALTH), LIMIT_S, "states with one sensor more")


def test_a_new_name_and_a_restart_leave_no_entity_without_a_state(home):
    node = home.start("byre", "micropython", sensors={"air": AIR}, **SLOW)
    home.house.wait(lives(node, *AIRS), LIMIT_S, "states of a new node")
    patch(home, node, {"node": {"name": "Cowshed"}}, 1)

    def renamed(entities):
        shown = of(entities, node, AIRS[0])["device"]["name"]
        return shown == "Cowshed" and lives(node, *AIRS, *HEALTH)(entities)

    before = home.house.wait(renamed, LIMIT_S, "states under the new name")
    home.house.restart()
    since = time.monotonic()
    home.auditor.wait_message(node.topic("telemetry/air"), LIMIT_S, since)

    def refreshed(entities):
        said = [json.loads(m.payload)["pressure"] for m in home.auditor.since(since, node.topic("telemetry/air"))]
        return lives(node, *AIRS, *HEALTH)(entities) and float(state(entities, node, AIRS[2])) in said

    after = home.house.wait(refreshed, LIMIT_S, "fresh states after the restart")
    assert {name: entity["entity_id"] for name, entity in after.items()} == {
        name: entity["entity_id"] for name, entity in before.items()}
    assert len(home.auditor.since(0, node.topic("telemetry/air"))) < 12, "some readings more, not a stream"
