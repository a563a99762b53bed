"""The words of the mote dialect: topics, payloads, and what Home Assistant takes."""

import json
import os

from firmware import config
from firmware.desired import Settings
from firmware.dialects.mote import Dialect
from lending import lend, load
from minitest import equal
from stage import Board

CONFIG = {
    "node": {"id": None, "name": "Greenhouse", "area": "Garden", "groups": ["garden", "south"]},
    "mqtt": {"base": "mote"},
    "homeassistant": {"discovery": True, "prefix": "homeassistant", "controls": True},
    "power": {"mode": "always"},
}
ABOUT = {"id": "esp32-a1b2c3", "firmware": "1.2", "interpreter": "MicroPython 1.29.0", "board": "ESP32 module",
         "chips": "real", "mac": "a1:b2:c3:a1:b2:c3", "boot": 7, "last_seq": None, "revision": 3,
         "reset_cause": "power-on"}
AIR = (("temperature", "m", "\u00b0C", 1, "temperature", -40, 85), ("humidity", "m", "%", 1, "humidity", 0, 100))
DOOR = (("open", "b", None, 0, "opening", 0, 1),)
BELL = (("press", "e", None, 0, "button", 0, 1),)
METER = (("pulses", "t", None, 0, None, 0, 9), ("load", "m", None, 2, None, 0, 9))
SENSORS = [("air", AIR, 60), ("door", DOOR, 10), ("meter", METER, 5)]
TOP = "mote/esp32-a1b2c3/"

# What Home Assistant 2025.4 to 2026.11 takes; it refuses the whole payload, or drops the key in silence, for more.
ROOT_KEYS = {"dev", "o", "avty_t", "cmps"}
DEVICE_KEYS = {"ids", "cns", "name", "mf", "mdl", "mdl_id", "hw", "sw", "sn", "sa", "cu"}
ORIGIN_KEYS = {"name", "sw", "url"}
PART_KEYS = {
    "sensor": {"p", "uniq_id", "stat_t", "val_tpl", "exp_aft", "stat_cla", "sug_dsp_prc", "unit_of_meas", "dev_cla",
               "name", "ent_cat", "en", "qos", "frc_upd"},
    "binary_sensor": {"p", "uniq_id", "stat_t", "val_tpl", "exp_aft", "dev_cla", "name", "pl_on", "pl_off", "ent_cat",
                      "en", "qos", "off_dly", "frc_upd"},
    "number": {"p", "uniq_id", "stat_t", "val_tpl", "cmd_t", "name", "min", "max", "step", "mode", "unit_of_meas",
               "ent_cat", "en", "~"},
    "select": {"p", "uniq_id", "stat_t", "val_tpl", "cmd_t", "name", "ops", "ent_cat", "en", "~"},
    "switch": {"p", "uniq_id", "stat_t", "val_tpl", "cmd_t", "name", "pl_on", "pl_off", "ent_cat", "en"},
    "event": {"p", "uniq_id", "stat_t", "evt_typ", "dev_cla", "name", "ent_cat", "en", "qos"},
    "update": {"p", "uniq_id", "stat_t", "l_ver_t", "dev_cla", "ent_cat"},
    "button": {"p", "uniq_id", "dev_cla", "ent_cat", "cmd_t", "pl_prs", "name", "en", "qos"},
}
NEEDED = {"sensor": {"stat_t", "val_tpl", "uniq_id"}, "binary_sensor": {"stat_t", "val_tpl", "uniq_id"},
          "button": {"cmd_t", "uniq_id"}, "number": {"stat_t", "cmd_t", "uniq_id", "name", "min", "max"},
          "switch": {"stat_t", "cmd_t", "uniq_id", "name", "pl_on", "pl_off"},
          "event": {"stat_t", "evt_typ", "uniq_id"}, "select": {"stat_t", "cmd_t", "uniq_id", "name", "ops"},
          "update": {"stat_t", "l_ver_t", "uniq_id"}}
# Device class: units that every release takes, state classes.
CLASSES = {
    "temperature": (("\u00b0C",), ("measurement",)), "humidity": (("%",), ("measurement",)),
    "moisture": (("%",), ("measurement",)), "battery": (("%",), ("measurement",)),
    "pressure": (("hPa",), ("measurement",)), "atmospheric_pressure": (("hPa",), ("measurement",)),
    "signal_strength": (("dBm",), ("measurement",)), "data_size": (("B",), ("measurement",)),
    "timestamp": ((None,), ()),
    "illuminance": (("lx",), ("measurement",)), "voltage": (("V", "mV"), ("measurement",)),
    None: ((None, "%"), ("measurement", "total_increasing")),
}
BINARY_CLASSES = {"opening", "motion", "door", "window", "occupancy", "moisture", "problem", "smoke", None}


CONTROLS = ["%s-%s" % (name, key) for name in ("air", "door", "meter") for key in ("interval", "deadband", "keep")]


def changed(**sections):
    result = {section: dict(CONFIG[section]) for section in CONFIG}
    for section in sections:
        result[section].update(sections[section])
    return result


def dialect(sensors=SENSORS, **sections):
    return Dialect(changed(**sections), ABOUT, sensors)


def text(payload):
    """A payload as one text of valid UTF-8; one in pieces must be the same each time."""
    if not isinstance(payload, (str, bytes)):
        first = "".join(payload)
        equal("".join(payload), first, "the second time:")
        payload = first
    return str(payload.encode(), "utf-8")


def way(message):
    """How a message goes: topic, retain, QoS."""
    return message[0], message[2], message[3]


def live(words, reading):
    """The payload of a fresh reading."""
    return words.live(reading, 1)[1]


def birth(words, fetch=load, board=None):
    """topic -> (payload, retain, QoS), and the topics in order."""
    messages = list(words.birth(fetch, board or Board()))
    return {topic: (text(payload), retain, qos) for topic, payload, retain, qos in messages}, [m[0] for m in messages]


def document(sensors=SENSORS, board=None, **sections):
    """The discovery document, checked against the rules."""
    found, _ = birth(dialect(sensors, **sections), board=board)
    payload, retain, qos = found["homeassistant/device/esp32-a1b2c3/config"]
    equal((retain, qos), (True, 1))
    result = json.loads(payload)
    obeys_the_rules(result)
    return result


def obeys_the_rules(document):
    equal(set(document) | {"avty_t"}, ROOT_KEYS)
    assert set(document["dev"]) <= DEVICE_KEYS and document["dev"]["ids"] and document["dev"]["name"]
    assert set(document["o"]) <= ORIGIN_KEYS and document["o"]["name"]
    unique, names = set(), []
    for component in document["cmps"]:
        part = document["cmps"][component]
        platform = part["p"]
        if set(part) == {"p"}:
            continue  # it clears one that is no more
        assert set(part) <= PART_KEYS[platform], (component, set(part) - PART_KEYS[platform])
        assert set(part) >= NEEDED[platform], component
        assert part["uniq_id"] not in unique, component
        unique.add(part["uniq_id"])
        assert all([letter.isalpha() or letter.isdigit() or letter in "_-" for letter in component])
        if "name" in part:
            assert part["name"] and not part["name"].startswith(document["dev"]["name"])
            names.append(part["name"])
        else:
            assert part.get("dev_cla"), "%s would be called MQTT Sensor" % component
            same = [other for other in document["cmps"].values() if other.get("dev_cla") == part["dev_cla"]]
            equal(len(same), 1, "%s without a name shares its class:" % component)
        believable(component, part)
    equal(len(set(names)), len(names), names)


def believable(component, part):
    """Device class, unit and state class fit together; a wrong unit is refused."""
    if part.get("ent_cat") == "diagnostic" and part["p"] == "sensor":
        units, states = CLASSES[part.get("dev_cla")]
        assert part.get("unit_of_meas") in units and part.get("stat_cla") in (None,) + states, part
    elif part["p"] == "sensor":
        units, states = CLASSES[part.get("dev_cla")]
        assert part.get("unit_of_meas") in units, part
        assert part["stat_cla"] in states, part
        assert 0 <= part["sug_dsp_prc"] <= 6
    elif part["p"] == "binary_sensor":
        assert part.get("dev_cla") in BINARY_CLASSES
        assert "unit_of_meas" not in part and "stat_cla" not in part
        equal((part["pl_on"], part["pl_off"]), ("1", "0"), "what the template makes of 1 and 0:")


def test_subscriptions_are_those_of_the_design():
    own = [TOP + "config/set", TOP + "config/set/+", TOP + "command/+", TOP + "probe"]
    wide = ["mote/all/command/+", "mote/group/garden/command/+", "mote/group/south/command/+"]
    equal(sorted(dialect().subscriptions),
          sorted([(topic, 1) for topic in own + wide] + [("homeassistant/status", 0)]))
    found = dict(dialect(homeassistant={"controls": False, "discovery": False}, node={"groups": []}).subscriptions)
    equal(sorted(found), sorted([TOP + "config/set", TOP + "command/+", TOP + "probe", "mote/all/command/+"]))


def test_base_id_and_prefix_are_everywhere():
    words = Dialect(changed(mqtt={"base": "site/one"}, homeassistant={"prefix": "ha"}), dict(ABOUT, id="n-1"), SENSORS)
    equal(words.node_id, "n-1")
    for topic, _ in words.subscriptions:
        assert topic.startswith(("site/one/n-1/", "site/one/all/", "site/one/group/")) or topic == "ha/status", topic
    found, _ = birth(words)
    equal(sorted(found), ["ha/device/n-1/config", "site/one/n-1/info", "site/one/n-1/status", "site/one/n-1/update"])
    assert "mote/" not in found["ha/device/n-1/config"][0]
    reading, asked = ("air", AIR, 1, None, [1, 2]), (None, None, Settings())
    topics = [words.status("x")[0], words.report(*asked)[0], words.reply({})[0], words.diagnostics({})[0],
              words.live(reading, 1)[0], words.backlog([reading])[0]]
    for topic in topics:
        assert topic.startswith("site/one/n-1/"), topic


def test_topics_quality_and_retention_are_those_of_the_design():
    words = dialect()
    reading = ("air", AIR, 5, 1_800_000_000, [21.36, None])
    equal(words.status("offline"), (TOP + "status", "offline", True, 1))
    topic, _, retain, qos = words.report(None, None, Settings())
    equal((topic, retain, qos), (TOP + "config", True, 1))
    equal(words.diagnostics({"a": 1})[:1] + words.diagnostics({})[2:], (TOP + "diagnostics", False, 0))
    equal(words.reply({"a": 1})[:1] + words.reply({})[2:], (TOP + "reply", False, 1))
    equal(way(words.live(reading, 0)), (TOP + "telemetry/air", False, 0))
    equal(way(words.live(reading, 1)), (TOP + "telemetry/air", False, 1))
    asleep = dialect(power={"mode": "deepsleep", "send_every": 4})
    equal(way(asleep.live(reading, 1)), (TOP + "telemetry/air", True, 1), "of a sleeping node the last is kept:")
    press = ("bell", BELL, 1, None, [1])
    equal(way(asleep.live(press, 0)), (TOP + "event/bell", False, 1))
    equal(words.backlog([reading])[0], TOP + "backlog")
    found, order = birth(words)
    equal(found[TOP + "status"], ("online", True, 1))
    equal(found[TOP + "info"][1:], (True, 1))
    equal(order, ["homeassistant/device/esp32-a1b2c3/config", TOP + "status", TOP + "info", TOP + "update"])
    equal(found[TOP + "update"], ("1.2", True, 1), "installed and latest, there are no releases yet:")


def test_a_birth_is_the_same_when_its_code_is_only_lent():
    equal(birth(dialect(), lend), birth(dialect(), load))


def test_what_comes_in_is_sorted():
    words = dialect()
    for topic, payload, route in (
        (TOP + "config/set", b"{}", ("config", None, False)),
        (TOP + "config/set", None, ("config", None, False)),
        (TOP + "config/set/telemetry.interval_s", b"5", ("key", "telemetry.interval_s", False)),
        (TOP + "command/restart", b"", ("command", "restart", False)),
        (TOP + "command/", b"", ("command", "", False)),
        ("mote/all/command/sample", b"", ("command", "sample", True)),
        ("mote/group/garden/command/identify", b"", ("command", "identify", True)),
        ("homeassistant/status", b"online", ("announce", None, True)),
        ("homeassistant/status", b"offline", None),
        ("homeassistant/status", None, None),
        (TOP + "config/set", b"", None),
        (TOP + "status", b"online", None),
        ("mote/other/config/set", b"{}", None),
    ):
        equal(words.route(topic, payload, False), route, topic)


def test_of_what_is_retained_only_the_desired_configuration_counts():
    words = dialect()
    equal(words.route(TOP + "config/set", b"{}", True), ("config", None, False))
    for topic in (TOP + "config/set/telemetry.qos", TOP + "command/restart", "mote/all/command/restart",
                  "mote/group/garden/command/restart", "homeassistant/status"):
        equal(words.route(topic, b"online", True), None, topic)


def test_a_base_that_looks_like_a_command_confuses_nothing():
    words = dialect(mqtt={"base": "all/command/x"})
    equal(words.route("all/command/x/esp32-a1b2c3/command/restart", b"", False), ("command", "restart", False))
    equal(words.route("all/command/x/all/command/restart", b"", False), ("command", "restart", True))
    equal(words.route("all/command/x/esp32-a1b2c3/config/set", b"{}", True), ("config", None, False))


def test_a_live_reading_has_every_quantity():
    words = dialect()
    payload = live(words, ("air", AIR, 5, 1_800_000_000, [21.36, None]))
    equal(payload, '{"ts":1800000000,"boot":7,"seq":5,"temperature":21.4,"humidity":null}')
    payload = live(words, ("air", AIR, 6, None, [-0.25, 100]))
    found = json.loads(payload)
    equal((found["ts"], found["boot"], found["seq"], found["humidity"]), (None, 7, 6, 100.0))
    payload = live(words, ("meter", METER, 7, 1, [16_777_215.0, 0.126]))
    equal(payload, '{"ts":1,"boot":7,"seq":7,"pulses":16777215,"load":0.13}')
    equal(live(words, ("bell", BELL, 9, 1, [1.0])), '{"ts":1,"boot":7,"seq":9,"event_type":"press"}')
    equal(live(words, ("door", DOOR, 8, 1, [1.0])), '{"ts":1,"boot":7,"seq":8,"open":1}')


def test_a_batch_is_an_array_of_the_same_fields():
    words = dialect()
    readings = [("air", AIR, 1, None, [1, 2]), ("door", DOOR, 2, 9, [0]), ("air", AIR, 3, 9, [None, 2])]
    _, pieces = words.backlog(readings)
    found = json.loads(text(pieces))
    equal([entry["sensor"] for entry in found], ["air", "door", "air"])
    for entry, reading in zip(found, readings):
        expected = json.loads(live(words, reading))
        expected["sensor"] = reading[0]
        equal(entry, expected)
    equal(json.loads(text(words.backlog(readings[:1])[1]))[0]["seq"], 1)


def test_info_says_who_this_is():
    found, _ = birth(dialect())
    info = json.loads(found[TOP + "info"][0])
    expected = dict(ABOUT, ip=Board().address(), name="Greenhouse", area="Garden", last_seq=None, past=[])
    expected["sensors"] = {
        "air": {"interval_s": 60, "quantities": {"temperature": "\u00b0C", "humidity": "%"}},
        "door": {"interval_s": 10, "quantities": {"open": None}},
        "meter": {"interval_s": 5, "quantities": {"pulses": None, "load": None}},
    }
    equal(dict(info, id=ABOUT["id"]), expected)
    equal(json.loads(birth(dialect([]))[0][TOP + "info"][0])["sensors"], {}, "without sensors:")


def test_the_discovery_document():
    found = document()
    equal(found["dev"], {"ids": ["esp32-a1b2c3"], "name": "Greenhouse", "mf": "Mote", "mdl": "ESP32 module",
                         "sw": "1.2", "sa": "Garden", "sn": ABOUT["mac"]})
    equal(found["o"], {"name": "Mote", "sw": "1.2"})
    equal(found["avty_t"], TOP + "status")
    equal(sorted(found["cmps"]), sorted(["air_temperature", "air_humidity", "door_open", "meter_pulses", "meter_load",
                                         "acknowledge", "power-mode", "log", "log-level", "started"] + CONTROLS + [
                                         "restart", "identify", "sample", "rssi", "heap-free", "reconnects", "queued",
                                         "dropped", "reset-cause", "interval", "diagnostics-interval", "firmware"]))
    equal(found["cmps"]["air_temperature"], {
        "p": "sensor", "uniq_id": "esp32-a1b2c3_air_temperature", "stat_t": TOP + "telemetry/air",
        "val_tpl": "{{ value_json.temperature }}", "exp_aft": 300, "stat_cla": "measurement", "sug_dsp_prc": 1,
        "unit_of_meas": "\u00b0C", "dev_cla": "temperature"})
    equal(found["cmps"]["door_open"], {
        "p": "binary_sensor", "uniq_id": "esp32-a1b2c3_door_open", "stat_t": TOP + "telemetry/door",
        "val_tpl": "{{ value_json.open }}", "exp_aft": 100, "pl_on": "1", "pl_off": "0", "dev_cla": "opening"})
    equal(found["cmps"]["meter_pulses"]["stat_cla"], "total_increasing")
    equal(found["cmps"]["meter_load"]["name"], "Meter load")
    equal(found["cmps"]["restart"]["cmd_t"], TOP + "command/restart")
    equal((found["cmps"]["identify"]["ent_cat"], found["cmps"]["restart"]["ent_cat"]), ("diagnostic", "config"))


def test_names_are_given_only_where_they_are_needed():
    found = document([("inside", AIR, 60), ("outside", AIR[:1], 60), ("old_soil", METER[1:], 60)])["cmps"]
    equal(found["inside_temperature"]["name"], "Inside temperature")
    equal(found["outside_temperature"]["name"], "Outside temperature")
    assert "name" not in found["inside_humidity"]
    equal(found["old_soil_load"]["name"], "Old soil load")


def test_an_entity_expires_after_some_missed_readings():
    for interval_s in (1, 60, 86_400):
        part = document([("air", AIR, interval_s)])["cmps"]["air_humidity"]
        assert 3 * interval_s < part["exp_aft"] <= 5 * interval_s + 60, part


def test_a_node_without_name_or_area_is_called_by_its_id():
    found = document(node={"name": None, "area": None})
    equal(found["dev"]["name"], "esp32-a1b2c3")
    assert "sa" not in found["dev"]


def test_names_of_people_survive():
    for name in ('Caf\u00e9 "\u20ac"', "\u6e29\u5ba4", "a\\b", "\U0001f331", "line\nbreak"):
        equal(document(node={"name": name})["dev"]["name"], name)
        info = json.loads(birth(dialect(node={"name": name}))[0][TOP + "info"][0])
        equal(info["name"], name)


def test_discovery_may_be_off():
    found, order = birth(dialect(homeassistant={"discovery": False}))
    equal(order, [TOP + "status", TOP + "info"])


def test_what_a_person_turns_has_the_bounds_of_the_table():
    turned = [part for part in document()["cmps"].values() if part["p"] == "number"]
    equal(len(turned), 2 + 2 * len(SENSORS))
    for part in turned:
        key = part["cmd_t"].replace("~", part.get("~", ""))[len(TOP + "config/set/"):]
        row = config.row(key.split("."))
        equal((part["min"], part["max"]), (int(row[2]), int(row[3])), key)
        equal("step" in part, row[1] == "number", key)
        assert part["val_tpl"].startswith("{{ value_json.config.%s " % key), key
    chosen = document()["cmps"]["air-keep"]
    equal("/".join(chosen["ops"]), config.row(("sensors", "air", "keep"))[1])
    parts = document(homeassistant={"controls": False})["cmps"]
    equal([part for part in parts.values() if part["p"] == "number" and len(part) > 1], [], "not obeyed, so not shown:")


def test_a_button_is_an_event_that_never_expires():
    part = document([("bell", BELL, 60)])["cmps"]["bell_press"]
    equal(part, {"p": "event", "uniq_id": "esp32-a1b2c3_bell_press", "stat_t": TOP + "event/bell",
                 "evt_typ": ["press"], "dev_cla": "button"})


def test_a_sleeping_node_is_never_away_and_its_readings_expire_by_its_real_interval():
    found = document(power={"mode": "deepsleep", "send_every": 6})
    assert "avty_t" not in found
    part = found["cmps"]["air_temperature"]
    assert 3 * 6 * 60 < part["exp_aft"] <= 5 * 6 * 60 + 60, part


def stubs(parts):
    return {key: parts[key]["p"] for key in parts if set(parts[key]) == {"p"}}


def test_what_is_no_more_is_cleared_in_every_document_from_then_on():
    board = Board()
    equal(stubs(document(board=board)["cmps"]), {})
    for _ in range(2):
        equal(stubs(document([("air", AIR[:1], 60)], board)["cmps"]),
              {"air_humidity": "sensor", "door_open": "binary_sensor", "meter_pulses": "sensor",
               "meter_load": "sensor", "door-interval": "number", "meter-interval": "number", "door-keep": "select",
               "door-deadband": "number", "meter-deadband": "number", "meter-keep": "select"})
    parts = document(board=board, homeassistant={"controls": False})["cmps"]
    equal(sorted(stubs(parts)), sorted(["interval", "diagnostics-interval", "acknowledge", "log-level", "power-mode"] +
                                       CONTROLS), "what came back is no stub:")
    equal(stubs(document(board=board)["cmps"]), {})


def test_the_list_of_what_is_no_more_has_a_bound_and_a_full_flash_ends_nothing():
    board = Board()
    for number in range(20):
        document([("s%d" % number, AIR[:1], 60)], board)
    found = stubs(document([], board)["cmps"])
    equal(sorted(found), sorted(["s%d%s" % (number, key) for number in range(4, 20)
                                 for key in ("-interval", "-deadband", "-keep", "_temperature")]))
    board.files.fails = OSError("full")
    equal(len(stubs(document([("new", AIR[:1], 60)], board)["cmps"])), 64, "16 sensors, each with three controls:")


def news(board, sensors=SENSORS, **sections):
    """Whether Home Assistant is told something new."""
    messages = dialect(sensors, **sections).birth(load, board)
    while True:
        try:
            next(messages)
        except StopIteration as end:
            return end.value


def test_a_document_that_is_another_than_the_last_is_known_as_one():
    board = Board()
    equal([news(board), news(board)], [True, False])
    for sensors, sections in (
        (SENSORS[:2], {}), ([("air", AIR, 61)] + SENSORS[1:], {}), ([("air", AIR[:1], 60)] + SENSORS[1:], {}),
        (SENSORS, {"node": {"name": "Barn"}}), (SENSORS, {"node": {"area": None}}), (SENSORS, {"mqtt": {"base": "m"}}),
        (SENSORS, {"homeassistant": {"controls": False}}), (SENSORS, {"power": {"mode": "deepsleep"}}),
        (SENSORS, {"power": {"mode": "deepsleep", "send_every": 2}})):
        equal([news(board, sensors, **sections), news(board, sensors, **sections)], [True, False], sections)
    equal(news(board, homeassistant={"discovery": False}), None)
    board.files.fails = OSError("full")
    equal([news(board), news(board)], [True, True], "what cannot be remembered is news again:")


def declared():
    """What every driver declares, in every kind that it has: lists of quantities, each once."""
    found = []
    for file in sorted(os.listdir("firmware/drivers")):
        name = file[:-3]
        if file.endswith(".py") and name != "__init__":
            module = load("firmware.drivers." + name)
            for kind in (None, "soil", "battery", "voltage", "contact", "motion", "pulse", "press", "bmp280"):
                quantities = module.Driver(Board(), {"driver": name, "kind": kind, "pin": 4}).quantities
                if quantities not in found:
                    found.append(quantities)
    return found


def test_home_assistant_takes_what_every_driver_declares():
    found = declared()
    assert len(found) >= 10
    for quantities in found:
        document([("it", quantities, 60)])
        for name, kind, _, decimals, _, low, high in quantities:
            assert kind in "mtbe" and low < high and 0 <= decimals <= 4, name
            assert name[0] in "abcdefghijklmnopqrstuvwxyz" and len(name) <= 16, name
            for letter in name:
                assert letter in "abcdefghijklmnopqrstuvwxyz0123456789_", name
    document([("s%d" % index, quantities, 60) for index, quantities in enumerate(found)])
