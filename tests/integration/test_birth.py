"""How a node introduces itself: what, in which order, and in which form, on each of three brokers."""

import pytest

from . import nodes
from .audit import readings, strict
from .auditor import retained
from .proxy import UP

START_LIMIT_S = 30  # a start of MicroPython compiles nothing twice, but a busy CI machine compiles once
BROKERS = ["mosquitto", "iotcore", "amqtt"]
ORDER = ["discovery", "status", "info", "update", "config", "telemetry"]


def kind(topic):
    """Which of the birth messages a topic is."""
    if topic == "homeassistant/device/node-a/config":
        return "discovery"
    return topic.removeprefix("mote/node-a/").split("/")[0]


def wait_all_sensors(auditor, sensors):
    auditor.wait(lambda: {name for _, name, _ in readings(auditor.messages, "node-a")} >= set(sensors),
                 START_LIMIT_S, "reading of every sensor")


@pytest.mark.parametrize("engine", BROKERS, indirect=True)
def test_birth_in_order_with_four_sensors(world):
    world.start_node(world.proxy.port, sensors=nodes.SENSORS)
    wait_all_sensors(world.auditor, nodes.SENSORS)
    world.auditor.wait_message("mote/node-a/diagnostics", START_LIMIT_S)

    sent = [seen.frame for seen in world.proxy.frames(direction=UP)]
    assert [frame.name for frame in sent[:2]] == ["CONNECT", "SUBSCRIBE"]
    published = [frame for frame in sent if frame.name == "PUBLISH"]
    kinds = [kind(frame.topic) for frame in published]
    last_birth = kinds.index("config")
    assert kinds[:last_birth + 1] == ORDER[:5]
    assert "telemetry" in kinds[last_birth + 1:] and set(kinds) <= {*ORDER, "diagnostics", "backlog", "log"}
    assert [frame.retain for frame in published[:5]] == [True] * 5
    assert {frame.qos for frame in published[:5]} == {1}
    assert not any(frame.retain for frame in published[5:])

    will = world.proxy.attempts[0].connect
    assert (will.will_topic, will.will_payload, will.will_qos, will.will_retain) == (
        "mote/node-a/status", b"offline", 1, True)
    assert (will.client_id, will.clean, will.keepalive_s, will.user) == ("node-a", True, 5, nodes.USER)

    for name in ("status", "info", "config"):
        assert retained(world.broker.port, f"mote/node-a/{name}")
    assert retained(world.broker.port, "homeassistant/device/node-a/config")


def test_telemetry_has_every_quantity_and_its_number(world):
    world.start_node(world.broker.port, sensors=nodes.SENSORS)
    wait_all_sensors(world.auditor, nodes.SENSORS)
    info = world.auditor.wait_json("mote/node-a/info", START_LIMIT_S)
    seen = readings(world.auditor.messages, "node-a")
    for _, name, reading in seen:
        assert set(reading) - {"sensor"} == {"ts", "boot", "seq", *info["sensors"][name]["quantities"]}
        assert reading["boot"] == info["boot"] and reading["seq"] >= 1
    assert len({(reading["boot"], reading["seq"]) for _, _, reading in seen}) == len(seen)


def test_info_says_who_it_is(world):
    world.start_node(world.broker.port, sensors=nodes.SENSORS)
    info = world.auditor.wait_json("mote/node-a/info", START_LIMIT_S)
    assert (info["name"], info["area"], info["chips"]) == ("Test node", "Bench", "simulated")
    assert info["interpreter"].lower().startswith(world.interpreter)
    assert set(info["sensors"]) == set(nodes.SENSORS)
    assert info["sensors"]["air"]["quantities"]["temperature"] == "°C"
    assert {"firmware", "board", "mac", "ip", "boot", "last_seq", "reset_cause", "revision"} <= set(info)


def test_chips_none_says_so_and_costs_only_its_readings(world):
    sensors = {"air": nodes.SENSORS["air"], "computer": nodes.SENSORS["computer"]}
    world.start_node(world.broker.port, options=("--chips", "none"), sensors=sensors)
    assert world.auditor.wait_json("mote/node-a/info", START_LIMIT_S)["chips"] == "none"
    health = world.auditor.wait_json("mote/node-a/diagnostics", START_LIMIT_S,
                                     accept=lambda report: report["rejected"]["missing"] > 0)
    assert health["heap_free"] is None or health["heap_free"] > 0
    world.auditor.wait_message("mote/node-a/telemetry/computer", START_LIMIT_S)
    assert {name for _, name, _ in readings(world.auditor.messages, "node-a")} == {"computer"}


ROOT_KEYS = {"dev", "o", "cmps", "avty", "avty_t", "avty_mode", "stat_t", "cmd_t", "qos", "e"}
DEVICE_KEYS = {"ids", "cns", "name", "mf", "mdl", "mdl_id", "hw", "sw", "sn", "sa", "cu"}
COMPONENT_KEYS = {
    "~", "p", "uniq_id", "name", "stat_t", "cmd_t", "val_tpl", "dev_cla", "stat_cla", "unit_of_meas", "sug_dsp_prc",
    "ent_cat", "exp_aft", "en", "ic", "pl_on", "pl_off", "pl_prs", "off_dly", "l_ver_t", "evt_typ", "min", "max",
    "step", "mode", "qos", "ops",
}


def test_discovery_is_what_home_assistant_accepts(world):
    world.start_node(world.broker.port, sensors=nodes.SENSORS)
    wait_all_sensors(world.auditor, nodes.SENSORS)
    document = strict(retained(world.broker.port, "homeassistant/device/node-a/config"))
    assert {"dev", "o", "cmps"} <= set(document) <= ROOT_KEYS
    assert set(document["dev"]) <= DEVICE_KEYS and document["dev"]["name"] == "Test node"
    assert document["o"]["name"]
    assert document["avty_t"] == "mote/node-a/status"
    components = document["cmps"]
    unique = [component["uniq_id"] for component in components.values()]
    assert len(set(unique)) == len(unique)
    for component in components.values():
        assert {"p", "uniq_id"} <= set(component) <= COMPONENT_KEYS
        assert component["uniq_id"].startswith("node-a_")
        assert component["p"] not in ("sensor", "binary_sensor") or component.get("ent_cat") != "config"
    info = strict(retained(world.broker.port, "mote/node-a/info"))
    for sensor, about in info["sensors"].items():
        for quantity, unit in about["quantities"].items():
            component = components[f"{sensor}_{quantity}"]
            assert component["uniq_id"] == f"node-a_{sensor}_{quantity}"
            assert component.get("unit_of_meas") == unit
            assert component["stat_t"] == f"mote/node-a/telemetry/{sensor}" and quantity in component["val_tpl"]
            assert "name" in component or "dev_cla" in component
            assert component["exp_aft"] > about["interval_s"]


def test_home_assistant_hears_everything_again_when_it_asks(world):
    world.start_node(world.broker.port)
    world.auditor.wait_message("mote/node-a/telemetry/air", START_LIMIT_S)
    since = world.auditor.publish("homeassistant/status", "online", qos=0)
    world.auditor.wait_message("homeassistant/device/node-a/config", 15, since)  # obeyed after a random 0-10 s
    world.auditor.wait_message("mote/node-a/status", 5, since, lambda m: m.payload == b"online")
