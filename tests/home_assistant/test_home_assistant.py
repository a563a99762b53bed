"""What a real Home Assistant makes of real nodes."""

import json
import time

LIMIT_S = 60
UNAVAILABLE = "unavailable"

AIR = {"driver": "bme280", "bus": 0, "address": 118}
SENSORS = {
    "air": AIR,
    "room": {"driver": "sht4x", "bus": 0, "address": 68},
    "hall": {"driver": "sht3x", "bus": 0, "address": 69},
    "light": {"driver": "bh1750", "bus": 0, "address": 35},
    "tank": {"driver": "ds18b20", "pin": 4},
    "shed": {"driver": "dht22", "pin": 5},
    "soil": {"driver": "analog", "pin": 32, "kind": "soil", "low_mv": 3000, "high_mv": 1000},
    "cell": {"driver": "analog", "pin": 33, "kind": "battery", "low_mv": 3000, "high_mv": 4200},
    "supply": {"driver": "analog", "pin": 34, "kind": "voltage"},
    "door": {"driver": "digital", "pin": 18, "kind": "contact"},
    "motion": {"driver": "digital", "pin": 19, "kind": "motion"},
    "water": {"driver": "digital", "pin": 21, "kind": "pulse"},
    "bell": {"driver": "digital", "pin": 22, "kind": "press"},
    "computer": {"driver": "host"},
}
# unique id without the node's: domain, device class, unit, state class, category
EXPECTED = {
    "air_temperature": ("sensor", "temperature", "°C", "measurement", None),
    "air_humidity": ("sensor", "humidity", "%", "measurement", None),
    "air_pressure": ("sensor", "atmospheric_pressure", "hPa", "measurement", None),
    "room_temperature": ("sensor", "temperature", "°C", "measurement", None),
    "hall_humidity": ("sensor", "humidity", "%", "measurement", None),
    "light_illuminance": ("sensor", "illuminance", "lx", "measurement", None),
    "tank_temperature": ("sensor", "temperature", "°C", "measurement", None),
    "shed_temperature": ("sensor", "temperature", "°C", "measurement", None),
    "door_open": ("binary_sensor", "opening", None, None, None),
    "motion_motion": ("binary_sensor", "motion", None, None, None),
    "water_pulses": ("sensor", None, None, "total_increasing", None),
    "cell_battery": ("sensor", "battery", "%", "measurement", "diagnostic"),
    "bell_press": ("event", "button", None, None, None),
    "restart": ("button", "restart", None, None, "config"),
    "identify": ("button", "identify", None, None, "diagnostic"),
    "sample": ("button", None, None, None, "diagnostic"),
    "queued": ("sensor", None, None, "measurement", "diagnostic"),
    "dropped": ("sensor", None, None, "total_increasing", "diagnostic"),
    "reset-cause": ("sensor", None, None, None, "diagnostic"),
    "interval": ("number", None, "s", None, "config"),
    "air-interval": ("number", None, "s", None, "config"),
    "acknowledge": ("switch", None, None, None, "config"),
    "started": ("sensor", "timestamp", None, None, "diagnostic"),
    "firmware": ("update", "firmware", None, None, "diagnostic"),
}
# An entity that is the only one of its class has no name of its own: Home Assistant calls it by the class.
LABELS = {
    "air_pressure": "Atmospheric pressure", "light_illuminance": "Illuminance", "door_open": "Opening",
    "motion_motion": "Motion", "bell_press": "Button", "cell_battery": "Battery", "soil_moisture": "Moisture",
    "air_temperature": "Air temperature", "room_humidity": "Room humidity", "water_pulses": "Water pulses",
    "restart": "Restart", "identify": "Identify", "firmware": "Firmware", "started": "Last start",
}
HIDDEN = {"rssi", "heap-free", "reconnects", "log", "log-level", "air-deadband", "air-keep", "power-mode"}


def of(entities, node, key):
    """One entity of a node, None when there is none."""
    return entities.get(f"{node.id}_{key}")


def state(entities, node, key):
    entity = of(entities, node, key)
    return entity and entity["state"]


def lives(node, *keys):
    """Whether each of these has a value."""
    return lambda entities: all(state(entities, node, key) not in (None, "unknown", UNAVAILABLE) for key in keys)


def patch(home, node, document, revision):
    """Send a desired configuration and wait until the node reports it as applied."""
    since = home.auditor.publish(node.topic("config/set"), {"revision": revision, "patch": document})
    return home.auditor.wait_json(node.topic("config"), LIMIT_S, since, lambda found: found["revision"] == revision)


def test_every_entity_is_there_with_class_unit_state_and_category(home):
    node = home.start("green-house", sensors=SENSORS, node={"name": "Green house", "area": "Garden"})
    shown = [key for key in EXPECTED if EXPECTED[key][0] != "button"]
    entities = home.house.wait(lives(node, *shown), LIMIT_S, "state of every entity")
    for key, (domain, device_class, unit, state_class, category) in EXPECTED.items():
        entity = of(entities, node, key)
        attributes = entity["attributes"]
        found = (entity["domain"], attributes.get("device_class"), attributes.get("unit_of_measurement"),
                 attributes.get("state_class"), entity["category"])
        assert found == (domain, device_class, unit, state_class, category), key
        assert attributes["friendly_name"].count("Green house") == 1, key
    for key, label in LABELS.items():
        assert of(entities, node, key)["attributes"]["friendly_name"] == "Green house " + label, key
    assert {key for key in HIDDEN if of(entities, node, key)["disabled"] == "integration"} == HIDDEN
    assert of(entities, node, "air_temperature")["device"] == {
        "name": "Green house", "manufacturer": "Mote", "model": "linux", "firmware": "0.1.0",
        "serial": "02:fc:00:00:00:01", "area": "Garden"}
    assert state(entities, node, "firmware") == "off"
    assert (state(entities, node, "interval"), state(entities, node, "acknowledge")) == ("1", "on")
    assert of(entities, node, "bell_press")["attributes"]["event_type"] == "press"
    found = home.house.understood(node, entities)
    assert len(found) == len([one for one in entities.values() if not one["disabled"]])
    assert {key: one["dropped"] for key, one in found.items() if one["dropped"]} == {}


def test_a_node_on_micropython_and_home_assistant_survive_a_restart_of_the_broker(home):
    node = home.start("attic", "micropython", sensors={"air": AIR})
    before = home.house.wait(lives(node, "air_temperature", "interval"), LIMIT_S, "reading")
    assert home.house.problems() == []
    home.broker.kill()
    home.house.wait(lambda found: state(found, node, "air_temperature") == UNAVAILABLE, LIMIT_S, "loss of the broker")
    home.broker.start()
    after = home.house.wait(lives(node, "air_temperature", "interval"), LIMIT_S, "reading after the broker's restart")
    assert {name: entity["entity_id"] for name, entity in after.items()} == {
        name: entity["entity_id"] for name, entity in before.items()}
    said = home.house.problems()
    assert all("mqtt.client" in line for line in said), said  # that it lost the broker is in its log, rightly


def test_a_node_that_dies_is_unavailable_until_it_returns(home):
    node = home.start("cellar", sensors={"air": AIR})
    home.house.wait(lives(node, "air_temperature"), LIMIT_S, "reading")
    node.kill()
    entities = home.house.wait(lambda found: state(found, node, "air_temperature") == UNAVAILABLE, LIMIT_S, "will")
    assert state(entities, node, "restart") == UNAVAILABLE
    node.start()
    home.house.wait(lives(node, "air_temperature"), LIMIT_S, "return")


def test_a_sensor_that_goes_leaves_no_ghost_and_the_others_stay(home):
    node = home.start("porch", sensors={"air": AIR, "light": SENSORS["light"]})
    before = home.house.wait(lives(node, "air_temperature", "light_illuminance"), LIMIT_S, "readings")
    patch(home, node, {"sensors": {"light": None, "room": SENSORS["room"], "air": AIR}}, 1)
    after = home.house.wait(
        lambda found: of(found, node, "room_temperature") and not of(found, node, "light_illuminance"),
        LIMIT_S, "change of sensors")
    for key in ("air_temperature", "air_pressure", "restart"):
        assert of(after, node, key)["entity_id"] == of(before, node, key)["entity_id"]


def test_a_new_name_changes_labels_only(home):
    node = home.start("kitchen", sensors={"air": AIR})
    before = home.house.wait(lives(node, "air_temperature"), LIMIT_S, "reading")
    patch(home, node, {"node": {"name": "Scullery"}}, 1)
    after = home.house.wait(lambda found: of(found, node, "air_temperature")["device"]["name"] == "Scullery",
                            LIMIT_S, "new name")
    assert {name: entity["entity_id"] for name, entity in after.items()} == {
        name: entity["entity_id"] for name, entity in before.items()}


def test_the_interval_is_turned_from_the_page_and_never_out_of_range(home):
    node = home.start("loft", sensors={"air": AIR})
    number = home.house.wait(lives(node, "interval"), LIMIT_S, "interval")[f"{node.id}_interval"]["entity_id"]
    assert home.house.call("number.set_value", number, value=2) is None
    home.house.wait(lambda found: state(found, node, "interval") == "2", LIMIT_S, "accepted interval")
    document = json.loads(home.auditor.wait_message(
        "homeassistant/device/loft/config", LIMIT_S,
        accept=lambda message: message.payload and
        json.loads(message.payload)["cmps"]["air_temperature"]["exp_aft"] == 68).payload)
    assert document["cmps"]["interval"]["max"] == 86_400
    entities = home.house.wait(lives(node, "air_temperature"), LIMIT_S, "reading at the new interval")
    told = home.house.understood(node, entities)[of(entities, node, "air_temperature")["entity_id"]]
    assert told["options"]["expire_after"] == 68, "Home Assistant follows"
    refused = home.house.call("number.set_value", number, value=100_000)
    assert refused and "range" in refused, refused
    since = home.auditor.publish(node.topic("config/set/telemetry.interval_s"), b"100000")
    home.auditor.wait_json(node.topic("config"), LIMIT_S, since, lambda found: found["state"] == "rejected")
    entities = home.house.wait(lives(node, "air_temperature"), LIMIT_S, "life after the refusal")
    assert state(entities, node, "interval") == "2"


def test_a_sensor_has_an_interval_of_its_own_and_readings_need_no_acknowledgement(home):
    node = home.start("cabin", sensors={"air": AIR, "light": SENSORS["light"]})
    entities = home.house.wait(lives(node, "air-interval", "acknowledge", "started"), LIMIT_S, "controls")
    assert home.house.call("number.set_value", of(entities, node, "air-interval")["entity_id"], value=3) is None
    assert home.house.call("switch.turn_off", of(entities, node, "acknowledge")["entity_id"]) is None
    after = home.house.wait(
        lambda found: state(found, node, "air-interval") == "3" and state(found, node, "acknowledge") == "off",
        LIMIT_S, "accepted interval and switch")
    assert (state(after, node, "light-interval"), state(after, node, "interval")) == ("1", "1")
    home.auditor.wait_json(node.topic("config"), LIMIT_S,
                           accept=lambda found: found["config"]["telemetry"]["qos"] == 0)
    home.auditor.wait_json(node.topic("diagnostics"), LIMIT_S, time.monotonic(),
                           lambda found: found["uptime_s"] >= 3)
    entities = home.house.entities()
    assert state(entities, node, "started") == state(after, node, "started"), "a start that moves"
    assert lives(node, "air_temperature")(entities)


def test_what_is_hidden_works_once_it_is_enabled(home):
    node = home.start("studio", "micropython", sensors={"air": AIR})
    entities = home.house.wait(lives(node, "air_temperature"), LIMIT_S, "reading")
    keys = sorted(HIDDEN - {"rssi"})  # a computer has no radio
    names = {key: of(entities, node, key)["entity_id"] for key in keys}
    home.house.ask("enable", entity_ids=list(names.values()))
    shown = lives(node, "heap-free", "reconnects", "air-keep", "log-level")
    assert state(home.house.wait(shown, LIMIT_S, "state of what was hidden"), node, "log-level") == "off"
    assert home.house.call("select.select_option", names["log-level"], option="error") is None
    home.house.wait(lambda found: state(found, node, "log-level") == "error", LIMIT_S, "another log level")
    home.auditor.publish(node.topic("command/cook"), b"")  # no such verb
    home.house.wait(lambda found: (state(found, node, "log") or "").startswith("! command cook: unknown verb"), LIMIT_S,
                    "a fault in the log")
    assert home.house.call("select.select_option", names["air-keep"], option="latest") is None
    assert home.house.call("number.set_value", names["air-deadband"], value=0.5) is None
    home.house.wait(
        lambda found: (state(found, node, "air-keep"), state(found, node, "air-deadband")) == ("latest", "0.5"),
        LIMIT_S, "accepted choice and deadband")
    assert state(home.house.entities(), node, "power-mode") == "always"
    assert home.house.call("select.select_option", names["power-mode"], option="lightsleep") is None
    home.house.wait(lambda found: state(found, node, "power-mode") == "lightsleep", LIMIT_S, "another power mode")
    home.house.restart()  # an integration that was reloaded is not the one that others meet
    home.house.wait(lives(node, "power-mode"), LIMIT_S, "what was enabled after a restart")


def test_the_restart_button_is_obeyed_once_and_never_from_a_retained_copy(home):
    node = home.start("garage", sensors={"air": AIR})
    button = home.house.wait(lives(node, "air_temperature"), LIMIT_S, "reading")["garage_restart"]["entity_id"]
    boot = home.auditor.wait_json(node.topic("info"), LIMIT_S)["boot"]
    assert home.house.call("button.press", button) is None
    again = home.auditor.wait_json(node.topic("info"), LIMIT_S, accept=lambda found: found["boot"] == boot + 1)
    assert again["boot"] == boot + 1
    since = home.auditor.publish(node.topic("command/restart"), b"PRESS", retain=True)
    node.kill()
    node.start()
    home.auditor.wait_json(node.topic("info"), LIMIT_S, since, lambda found: found["boot"] > boot + 1)
    seen = [json.loads(m.payload)["boot"] for m in home.auditor.since(since, node.topic("info")) if m.payload]
    home.auditor.publish(node.topic("command/restart"), b"", retain=True)
    assert max(seen) <= boot + 3, seen  # the live copy, and the kill


def test_two_nodes_of_one_name_are_two_devices(home):
    first = home.start("twin-a", node={"name": "Twin"}, sensors={"air": AIR})
    second = home.start("twin-b", node={"name": "Twin"}, sensors={"air": AIR})
    entities = home.house.wait(lambda found: lives(first, "air_temperature")(found) and
                               lives(second, "air_temperature")(found), LIMIT_S, "readings of both")
    names = [entity["entity_id"] for entity in entities.values()]
    assert len(names) == len(set(names)) and len(names) % 2 == 0
