"""A node that Home Assistant knows from classic discovery, entity by entity, moves to its one document."""

import json
import subprocess
import sys

import pytest

from tools import ROOT, migration

from .test_home_assistant import AIR, LIMIT_S, lives, of

CONFLICT = "conflicting MQTT discovery message"
OLD = {"air_temperature": "\N{DEGREE SIGN}C", "air_humidity": "%"}


def announce_the_old_way(home, name):
    """As an older firmware would, and a household that has made itself at home with it."""
    topics = []
    for key, unit in OLD.items():
        topics.append(f"homeassistant/sensor/{name}/{key}/config")
        home.auditor.publish(topics[-1], {
            "name": key, "unique_id": f"{name}_{key}", "unit_of_measurement": unit, "state_topic": f"old/{name}/{key}",
            "device": {"identifiers": [name], "name": "Old " + name}}, retain=True)
    entities = home.house.wait(lambda found: all(f"{name}_{key}" in found for key in OLD), LIMIT_S, "old entities")
    for key in OLD:
        home.house.ask("rename", entity_id=entities[f"{name}_{key}"]["entity_id"], new=f"sensor.my_{key}",
                       label="My " + key)
    return topics


def migrate(home, name):
    return subprocess.Popen(
        [sys.executable, "-m", "tools", "ha", "migrate", name, "--broker", f"127.0.0.1:{home.broker.port}", "--json"],
        cwd=ROOT, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("running", [False, True], ids=["before the new firmware", "after it"])
def test_entity_ids_and_names_are_kept(home, running):
    name = "barn-late" if running else "barn"
    topics = announce_the_old_way(home, name)
    if running:
        node = home.start(name, sensors={"air": AIR})
        home.house.wait(lambda found: f"{name}_air_pressure" in found, LIMIT_S, "what was not there before")
        said = []
        home.house.wait(lambda _: said.extend(home.house.problems()) or len(said) >= len(OLD), LIMIT_S, "complaints")
        assert all(CONFLICT in line and "received on topic homeassistant/device/" in line for line in said), said
    moving = migrate(home, name)
    if not running:
        home.auditor.wait_message(topics[-1], LIMIT_S, accept=lambda message: message.payload == migration.MIGRATE)
        node = home.start(name, sensors={"air": AIR})
    told = json.loads(moving.communicate(timeout=LIMIT_S)[0])
    assert (moving.returncode, told["migrated"], told["left"]) == (0, sorted(topics), [])
    entities = home.house.wait(lives(node, *OLD, "air_pressure"), LIMIT_S, "readings of the new firmware")
    for key in OLD:
        entity = of(entities, node, key)
        assert entity["entity_id"] == f"sensor.my_{key}" and entity["device"]["manufacturer"] == "Mote"
        assert entity["attributes"]["friendly_name"].endswith("My " + key)
    said = home.house.problems()  # it says so itself of each old topic that is cleared, as its own page tells to do
    assert len(said) == len(topics) and all(CONFLICT in line and "received on topic homeassistant/sensor/" in line
                                            for line in said), said
    if not running:
        return
    home.house.restart()
    after = home.house.wait(lives(node, *OLD), LIMIT_S, "readings after a restart")
    assert {key: of(after, node, key)["entity_id"] for key in OLD} == {key: f"sensor.my_{key}" for key in OLD}
