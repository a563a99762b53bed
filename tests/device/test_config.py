"""The table of keys: defaults, checks, merging, and what a change costs; config.json.example obeys it."""

import json

from firmware import config, desired
from minitest import equal

INF = float("inf")
LEAST = {"mqtt": {"host": "broker.test"}}
RICH = {
    "wifi": {"home": {"password": "correct horse"}},
    "mqtt": {"host": "broker.test", "tls": {"ca": "ca.der"}},
    "sensors": {"air": {"driver": "bme280"}},
}
DEFAULTS = {
    "schema": 1,
    "node": {"id": None, "name": None, "area": None, "groups": []},
    "wifi": {},
    "mqtt": {
        "host": "broker.test", "port": 1883, "path": None, "user": None, "password": None, "base": "mote",
        "keepalive_s": 60, "version": 4, "tls": None, "reconnect_window_s": 5, "reconnect_cap_s": 60,
    },
    "telemetry": {"interval_s": 60, "qos": 1, "diagnostics_s": 60, "log": "off"},
    "sensors": {},
    "outbox": {"ram_readings": 64, "spill_after_s": 900, "flash_bytes": 262144, "full": "oldest"},
    "homeassistant": {"discovery": True, "prefix": "homeassistant", "controls": True},
    "config": {"key": None, "trial_s": 120},
    "time": {"servers": ["pool.ntp.org"]},
    "power": {"mode": "always"},
    "board": {"led_pin": None, "scl_pin": None, "sda_pin": None},
}
SECRETS = ("wifi.home.password", "mqtt.password", "mqtt.tls.key", "config.key")
# What no key of a kind takes; numbers and texts out of their bounds are made from the table.
WRONG = {
    "schema": (2, 0, -1, "1", True, False, [], {}, 1.0, INF, 10**50),
    "int": ("1", True, False, [], [1], {}, 1.5, INF, -INF, float("nan"), 10**50, -(10**50)),
    "number": ("1", True, [], [1.0], {}, INF, -INF, float("nan"), 10**50, -(10**50)),
    "bool": (0, 1, "true", "", [], {}, 1.0),
    "id": (1, True, [], {}, "A", "a b", "a/b", "\u00e9", "all", "group", ".", "", "a\0"),
    "ids": ("a", {}, 1, True, ["A"], [""], ["all"], [1], [None], [["a"]], ["a", "b/c"], list("abcdefghi")),
    "hosts": ("a", {}, 1, True, [], [""], [1], [None], list("abcde"), ["a" * 65], ["a\0"]),
    "topic": (1, True, [], {}, "", "a/#", "+/a", "/a", "a/", "$a", "a\0b", 'a"b', "a\\b", "a\nb", "\x1f",
              "a\x7f"),
    "path": (1, True, [], ["/"], {}, "", "mqtt", " /", "/a b", "/\r\n", "/\u00e9", "/\x7f", "/a\0", "/" * 129),
    "files": (1, True, {}, "", [], [""], [1], [None], ["a", "b", "c"], "a\0"),
    "hex": (1, True, [], {}, "a" * 63, "A" * 64, "g" * 64, " " * 64),
    "text": (1, True, [], ["a"], {}, 1.5, "a\0b"),
    "always/lightsleep/deepsleep": (1, True, [], {}, "", "sleep", "Always", "light", "always/lightsleep"),
    "all/latest/none": (1, True, "", "some", "all/latest", ["all"], {}),
    "off/error/info": (1, True, "", "debug", "error/info", ["off"], {}),
    "oldest/thin": (1, True, "", "all", "oldest/thin", ["thin"], {}),
}
RIGHT = {
    "bool": (True, False),
    "id": ("a", "0", "a_b-c9", "a" * 23),
    "ids": ([], ["a"], ["garden", "b-2", "c_3"]),
    "hosts": (["a"], ["a.test", "2001:db8::1", "c", "d"]),
    "topic": ("a", "a/b", "a b", "\u00e9"),
    "path": ("/", "/mqtt", "/" * 128, "/a/b-c_d.e?f=%20&g=~!"),
    "hex": ("0" * 64, "0123456789abcdef" * 4),
    "files": ("ca.pem", ["AAAA"], ["AAAA", "BBBB"]),
    "always/lightsleep/deepsleep": ("always", "lightsleep", "deepsleep"),
    "all/latest/none": ("all", "latest", "none"),
    "off/error/info": ("off", "error", "info"),
    "oldest/thin": ("oldest", "thin"),
}
APPENDIX = """
{"a":"b"}          {"a":"c"}                  {"a":"c"}
{"a":"b"}          {"b":"c"}                  {"a":"b","b":"c"}
{"a":"b"}          {"a":null}                 {}
{"a":"b","b":"c"}  {"a":null}                 {"b":"c"}
{"a":["b"]}        {"a":"c"}                  {"a":"c"}
{"a":"c"}          {"a":["b"]}                {"a":["b"]}
{"a":{"b":"c"}}    {"a":{"b":"d","c":null}}   {"a":{"b":"d"}}
{"a":[{"b":"c"}]}  {"a":[1]}                  {"a":[1]}
["a","b"]          ["c","d"]                  ["c","d"]
{"a":"b"}          ["c"]                      ["c"]
{"a":"foo"}        null                       null
{"a":"foo"}        "bar"                      "bar"
{"e":null}         {"a":1}                    {"e":null,"a":1}
[1,2]              {"a":"b","c":null}         {"a":"b"}
{}                 {"a":{"bb":{"ccc":null}}}  {"a":{"bb":{}}}
"""


def rows():
    """(path below RICH, kind, lowest, highest, default, flags) of every line of the table that has a value."""
    for key, kind, low, high, default, flags in config.rows():
        if kind != "names":
            named = key.replace("wifi.*", "wifi.home").replace("sensors.*", "sensors.air")
            yield named.split("."), kind, float(low), float(high), json.loads(default), flags


def put(document, path, value):
    """A copy of `document` with `value` at `path`."""
    result = dict(document)
    result[path[0]] = put(result.get(path[0]) or {}, path[1:], value) if len(path) > 1 else value
    return result


def filled(document):
    """A copy of `document`, filled."""
    return config.filled(json.loads(json.dumps(document)))


def keys(document):
    return sorted([problem[0] for problem in config.check(document)])


def test_every_default_is_what_its_own_check_accepts():
    count = 0
    for path, kind, _, _, default, flags in rows():
        count += 1
        assert set(flags) <= set("-?!+rts"), path
        assert kind in WRONG, path
        if "+" in flags:
            equal(default, None, path)
            equal(keys(put(RICH, path, None)), [".".join(path)])
        else:
            equal(config.check(put(RICH, path, default)), [], path)
    equal(count, len(list(config.rows())) - 2)


def test_a_configuration_is_filled_with_the_defaults_of_the_design():
    equal(filled(LEAST), DEFAULTS)
    equal(config.check(filled(LEAST)), [])


def test_filling_keeps_what_is_there():
    document = {"mqtt": {"host": "h", "port": 8883}, "node": None, "board": {"led_pin": 2, "scl_pin": None},
                "wifi": {"home": {"password": None}}, "sensors": {"air": {"driver": "bme280"}}, "power": {}}
    whole = filled(document)
    equal(whole["mqtt"]["port"], 8883)
    equal(whole["node"], DEFAULTS["node"])
    equal(whole["board"], {"led_pin": 2, "scl_pin": None, "sda_pin": None})
    equal(whole["wifi"], document["wifi"])
    equal(whole["sensors"], document["sensors"])
    equal(whole["power"], {"mode": "always"})


def test_null_means_the_default_also_for_a_whole_section():
    for section in DEFAULTS:
        if section != "mqtt":
            document = put(LEAST, [section], None)
            equal(config.check(document), [], section)
            equal(filled(document), DEFAULTS, section)
    document = dict(LEAST, wifi={"home": None, "away": {"password": "correct horse"}}, sensors={"air": None})
    equal(config.check(document), [])
    whole = filled(document)
    equal(sorted(whole["wifi"]), ["away"], "a network that is null is none:")
    equal(whole["sensors"], {})


def test_no_key_takes_a_wrong_type():
    for path, kind, _, _, _, flags in rows():
        for value in WRONG[kind]:
            problems = config.check(put(RICH, path, value))
            equal([problem[0] for problem in problems], [".".join(path)], "%s = %r:" % (path, value))
            assert problems[0][2].endswith(" or null") == ("?" in flags), problems
        inner = keys(put(RICH, path, {"inner": 1}))
        assert ".".join(path) + ".inner" in inner, "%s as an object: %r" % (path, inner)


def test_every_key_takes_what_is_right_for_it():
    for path, kind, _, _, _, _ in rows():
        for value in RIGHT.get(kind, ()) + (None,):
            wanted = keys(put(RICH, path, value))
            required = value is None and ".".join(path) in ("mqtt.host", "mqtt.tls.ca", "sensors.air.driver")
            equal(wanted, [".".join(path)] if required else [], "%s = %r:" % (path, value))


def test_a_path_begins_with_a_slash_and_fits_into_a_request():
    allowed = "the path of a WebSocket, / first, without spaces, 1 to 128 characters or null"
    for value in ("mqtt", "/a b", "/\r\nHost: other"):
        equal(config.check(put(LEAST, ["mqtt", "path"], value)), [("mqtt.path", value, allowed)])


def test_numbers_end_at_their_bounds():
    for path, kind, low, high, _, _ in rows():
        if kind in ("int", "number"):
            step = 1 if kind == "int" else 0.0005
            make = int if kind == "int" else float
            for value in (make(low), make(high)):
                equal(config.check(put(RICH, path, value)), [], "%s = %r:" % (path, value))
            for value in (make(low - step), make(high + 2 * step)):
                equal(keys(put(RICH, path, value)), [".".join(path)], "%s = %r:" % (path, value))


def test_texts_are_counted_in_bytes():
    for path, kind, low, high, _, _ in rows():
        if kind in ("text", "topic", "files") or kind == "id":
            low, high = int(low), int(high)
            right = ["a" * low, "a" * high] if low else ["", "a" * high]
            wrong = ["a" * (high + 1)] + (["a" * (low - 1)] if low else [])
            if kind != "id":
                right.append("\u20ac" * (high // 3) if high // 3 * 3 >= low else "a" * high)
                wrong.append("\u20ac" * (high // 3 + 1))
            for value in right:
                equal(config.check(put(RICH, path, value)), [], "%s, %d letters:" % (path, len(value)))
            for value in wrong:
                equal(keys(put(RICH, path, value)), [".".join(path)], "%s, %d letters:" % (path, len(value)))


def test_half_a_surrogate_is_no_text():
    # The escapes reach a board as such: its parser keeps them apart, also where the two belong together.
    half = json.loads('"half \\ud83d"')
    for path, kind, _, _, _, _ in rows():
        if kind in ("text", "topic", "files", "id"):
            problems = config.check(put(RICH, path, half * 3))
            equal([problem[0] for problem in problems], [".".join(path)], path)
            problems[0][1] is None or problems[0][1].encode()
    equal(len(config.check(dict(LEAST, wifi={half: {"password": None}}))), 1)
    equal(len(config.check(put(LEAST, ["sensors", half, "driver"], "host"))), 1)
    for key, found, _ in config.check({half: half, "mqtt": {"host": "h", half: half}}):
        key.encode()
        str(found).encode()


def test_sections_are_objects():
    for section in DEFAULTS:
        for value in (2, "text", [], [1], True, 1.5):
            expected = [section] + (["mqtt.host"] if section == "mqtt" else [])
            equal(keys(dict(LEAST, **{section: value})), expected, "%s = %r:" % (section, value))
    for section in ("wifi", "sensors"):
        for value in (1, "text", [], True):
            equal(keys(put(LEAST, [section, "home"], value)), [section + ".home"])
    equal(keys(put(LEAST, ["mqtt", "tls"], "on")), ["mqtt.tls"])


def test_every_mistake_is_reported_at_once():
    every = [(path, WRONG[kind][0]) for path, kind, _, _, _, _ in rows()]
    for first in range(0, len(every), 16):
        document = put(RICH, ["sensors", "Air", "driver"], "host")
        for place in ("nonsense", "mqtt.nonsense", "wifi.home.nonsense", "sensors.air.nonsense"):
            document = put(document, place.split("."), 1)
        document = put(document, ["sensors", "sky"], {})
        expected = ["nonsense", "mqtt.nonsense", "wifi.home.nonsense", "sensors.air.nonsense", "sensors.Air.driver"]
        expected.append("sensors.sky.driver")
        for path, value in every[first : first + 16]:
            document = put(document, path, value)
            expected.append(".".join(path))
        equal(keys(document), sorted(expected))


def test_problems_name_what_was_found_and_what_is_allowed():
    document = {"telemetry": {"interval_s": "often"}, "nonsense": 1, "mqtt": {"host": "h", "port": 99999}}
    problems = {key: (found, allowed) for key, found, allowed in config.check(document)}
    equal(problems, {
        "telemetry.interval_s": ("often", "a whole number from 1 to 86400"),
        "nonsense": (1, "nothing, as there is no such key"),
        "mqtt.port": (99999, "a whole number from 1 to 65535"),
    })
    equal(config.check({}), [("mqtt.host", None, "a text of 1 to 253 bytes")])


def test_problems_stay_small_however_large_the_mistake():
    for value in ("x" * 4000, 10**50, list(range(1000)), {}, 1.5e300):
        for _, found, _ in config.check(put(LEAST, ["telemetry", "qos"], value)):
            assert len(json.dumps(found)) <= 50, found
    (key, _, _), = config.check(put(LEAST, ["x" * 4000], 1))
    assert len(key) <= 60
    many = {"mqtt": {"host": "h"}}
    for number in range(500):
        many["key%d" % number] = "x" * 40
    size = sum([len(json.dumps(problem)) for problem in config.check(many)])
    assert size < 8000, "%d bytes of problems from a document of %d" % (size, len(json.dumps(many)))


def test_only_keys_of_the_table_are_keys():
    for key in ("x", "", "__class__", "__proto__", "mqtt.port", "telemetry.interval_s", "schema schema", "port", "*",
                "wifi.*", "node.name text", "Telemetry", "telemetry "):
        equal(keys(put(LEAST, [key], 1)), [key])
        equal(keys(put(LEAST, ["telemetry", key], 1)), ["telemetry." + key])
        equal(keys(put(LEAST, ["sensors", "air"], {"driver": "host", key: 1})), ["sensors.air." + key])
        equal(keys(put(LEAST, ["wifi", "home"], {"password": None, key: 1})), ["wifi.home." + key])
    for value in (None, {}, [], 0, False):
        equal(keys(put(LEAST, ["nonsense"], value)), ["nonsense"], value)
        equal(keys(put(LEAST, ["mqtt", "nonsense"], value)), ["mqtt.nonsense"], value)
    equal(keys(put(LEAST, ["mqtt.tls", "ca"], "x")), ["mqtt.tls.ca"])
    equal(keys(put(LEAST, ["mqtt", "tls.ca"], "x")), ["mqtt.tls.ca"])
    equal(keys(put(LEAST, ["wifi.*", "password"], "correct horse")), ["wifi.*.password"])


def renamed(document):
    """A step: what was called `node.title` is `node.name`."""
    node = document.get("node")
    if not isinstance(node, dict) or "title" not in node:
        return document
    node = dict(node)
    node["name"] = node.pop("title")
    return dict(document, node=node)


def doubled(document):
    """Another one: `telemetry.interval_s` was in units of two seconds."""
    telemetry = document.get("telemetry")
    interval = isinstance(telemetry, dict) and telemetry.get("interval_s")
    if isinstance(interval, bool) or not isinstance(interval, int):
        return document
    return dict(document, telemetry=dict(telemetry, interval_s=2 * interval))


class Schemas:
    """While it is entered the firmware knows three schemas."""

    def __enter__(self):
        config.SCHEMA, config.STEPS = 3, (renamed, doubled)

    def __exit__(self, *_):
        config.SCHEMA, config.STEPS = 1, ()


OLD = {"mqtt": {"host": "h"}, "node": {"title": "Attic"}, "telemetry": {"interval_s": 30}}


def test_there_is_a_step_for_every_schema_but_the_last():
    equal(len(config.STEPS), config.SCHEMA - 1)
    equal(config.row(("schema",))[2:5], ["1", "%d" % config.SCHEMA, "%d" % config.SCHEMA])


def test_a_configuration_of_each_older_schema_still_loads():
    with Schemas():
        before = json.dumps(OLD)
        new = {"mqtt": {"host": "h"}, "node": {"name": "Attic"}, "telemetry": {"interval_s": 60}}
        equal(config.upgraded(OLD, 1), new)
        equal(config.upgraded(dict(OLD, schema=1), 1), dict(new, schema=3))
        second = {"schema": 2, "mqtt": {"host": "h"}, "node": {"name": "Attic"}, "telemetry": {"interval_s": 30}}
        equal(config.upgraded(second, 2), dict(new, schema=3))
        equal(config.upgraded(dict(new, schema=3), 3), dict(new, schema=3))
        equal(json.dumps(OLD), before, "and the old one is as it was:")
        for document in (OLD, dict(OLD, schema=1), second, dict(new, schema=3)):
            equal(config.mistakes(document), [])


def test_what_a_step_cannot_read_is_left_to_the_check():
    with Schemas():
        for value in (None, 5, "x", [], {"title": None}, True):
            for key in ("node", "telemetry"):
                found = config.mistakes(dict(OLD, schema=1, **{key: value}))
                assert all([len(problem) == 3 for problem in found])
        equal(config.mistakes({"schema": 1}), [("mqtt.host", None, "a text of 1 to 253 bytes")])


def test_a_schema_that_is_not_known_is_told_with_what_to_do():
    for schema in (2, 99, 0, -1, True, "1", 1.5, [], {}):
        found = config.mistakes(dict(LEAST, schema=schema))
        equal([problem[0] for problem in found], ["schema"], schema)
        assert "all that this firmware knows" in found[0][2], found
    with Schemas():
        equal([problem[0] for problem in config.mistakes(dict(LEAST, schema=4))], ["schema"])
    equal(config.mistakes(LEAST), [], "none is the first:")
    equal(config.mistakes(dict(LEAST, schema=None)), [])


def test_keys_that_are_no_texts_are_mistakes():
    # MicroPython's parser reads {1: 2}.
    for key in (1, None, True, 1.5):
        for document in (dict(LEAST), put(LEAST, ["mqtt", "port"], 1)):
            document[key] = {"a": 1}
            equal(len(config.check(document)), 1, key)
        for section in ("telemetry", "sensors", "wifi"):
            equal(len(config.check(put(LEAST, [section, key], {"driver": "host"}))), 1, "%s.%s" % (section, key))
        assert config.check(put(LEAST, ["node", "name"], {key: 1}))


def test_any_name_of_1_to_32_bytes_is_a_network():
    for name in ("home", "my.net.work", "*", "***", "password", " ", "Caf\u00e9 \u20ac", "a" * 32, "\u00e9" * 16, '"'):
        equal(config.check(put(LEAST, ["wifi", name, "password"], "correct horse")), [], name)
        equal(config.check(put(LEAST, ["wifi", name, "password"], None)), [], name)
        equal(config.check(put(LEAST, ["wifi", name], {})), [], name)
        equal(keys(put(LEAST, ["wifi", name, "password"], "short")), ["wifi.%s.password" % name])
        assert config.is_secret(("wifi", name, "password")), name
    for name in ("", "a" * 33, "\u00e9" * 16 + "a"):
        for entry in ({"password": None}, {}, {"password": "correct horse"}):
            (key, found, allowed), = config.check(put(LEAST, ["wifi", name], entry))
            equal((found, allowed), (name[:40], "a name of 1 to 32 bytes"))


def test_sensor_names_fit_into_topics_and_unique_ids():
    for name in ("a", "air", "soil_2", "a123456789012345", "x_"):
        equal(config.check(put(LEAST, ["sensors", name, "driver"], "host")), [], name)
    for name in ("", "A", "1a", "_a", "a-b", "a.b", "a b", "a/b", "\u00e9", "a\u00e9", "a1234567890123456", "a+", "#"):
        (_, found, allowed), = config.check(put(LEAST, ["sensors", name, "driver"], "host"))
        equal((found, allowed), (name, "a name of [a-z][a-z0-9_]{0,15}"))


def test_what_must_be_there():
    for document in ({}, {"mqtt": {}}, {"mqtt": None}, {"mqtt": {"host": None}}):
        equal(keys(document), ["mqtt.host"])
    for tls in ({}, {"ca": None}, {"server_name": "broker.test"}):
        equal(keys(put(LEAST, ["mqtt", "tls"], tls)), ["mqtt.tls.ca"])
    equal(keys(put(LEAST, ["mqtt", "tls"], None)), [])
    for entry in ({}, {"driver": None}, {"pin": 4}):
        equal(keys(put(LEAST, ["sensors", "air"], entry)), ["sensors.air.driver"])


def test_no_secret_shows_in_a_problem():
    secret = "hunter2-hunter2"
    wrong = (secret + "\0", [secret], {"inner": secret}, secret * 300)
    documents = [put(RICH, path.split("."), value) for path in SECRETS for value in wrong]
    # The mistakes that people make: a password in the network's place, or under a name a letter off.
    documents.append(put(LEAST, ["wifi", "home"], secret))
    documents.append(put(LEAST, ["wifi"], secret))
    documents.append(put(LEAST, ["wifi"], [{"ssid": "home", "password": secret}]))
    documents.append(put(LEAST, ["wifi", "home", "pasword"], secret))
    documents.append(put(LEAST, ["mqtt", "pass"], secret))
    documents.append(put(LEAST, ["mqtt", "tls", "private_key"], secret))
    documents.append(dict(LEAST, password=secret))
    documents.append(dict(LEAST, config=secret))
    for document in documents:
        problems = config.check(document)
        assert problems, document
        assert "hunter2" not in json.dumps(problems), problems


def test_secrets_are_those_four():
    found = [".".join(path) for path, _, _, _, _, flags in rows() if config.is_secret(path)]
    equal(sorted(found), sorted(SECRETS))
    for path in (("mqtt",), ("mqtt", "user"), ("wifi", "password"), ("nonsense",), ("mqtt", "password", "x")):
        assert not config.is_secret(path), path


def test_merge_does_what_the_appendix_of_rfc_7396_shows():
    cases = APPENDIX.strip().split("\n")
    equal(len(cases), 15)
    for case in cases:
        texts = case.split()
        target, patch, result = [json.loads(text) for text in texts]
        equal(config.merge(target, patch), result, case)
        equal((target, patch), (json.loads(texts[0]), json.loads(texts[1])), "arguments of " + case)


def test_merge_shares_nothing_that_is_changed_later():
    target = {"a": {"b": {"c": 1}}}
    config.merge(target, {"a": {"b": {"d": 2}}})["a"]["b"]["c"] = 9
    equal(target, {"a": {"b": {"c": 1}}})


def test_only_keys_that_say_so_need_a_new_connection():
    before = filled(RICH)
    assert not config.differs(before, filled(RICH), "r")
    live = []
    for path, kind, low, high, default, flags in rows():
        values = {"int": int(low), "schema": 1, "number": low, "bool": not default, "ids": ["z"], "hosts": ["z"]}
        value = values.get(kind, "z" * 8)
        if value == default:
            value = int(high)
        after = filled(put(RICH, path, value))
        if after != before:
            equal(config.differs(before, after, "r"), "r" in flags, path)
            equal(config.differs(after, before, "r"), "r" in flags, path)
        if "r" not in flags:
            live.append(".".join(path))
    equal(sorted(live), sorted([
        "schema", "telemetry.interval_s", "telemetry.qos", "telemetry.diagnostics_s", "telemetry.log",
        "sensors.air.interval_s", "sensors.air.deadband", "sensors.air.keep",
        "outbox.spill_after_s", "outbox.flash_bytes", "outbox.full",
        "config.key", "config.trial_s", "time.servers", "board.led_pin", "power.mode", "power.awake_s",
        "power.awake_until", "power.wake_pin"]))


def test_a_network_or_sensor_that_comes_or_goes_needs_a_new_connection():
    before = filled(RICH)
    more = filled(put(RICH, ["wifi", "away", "password"], None))
    sensor = filled(put(RICH, ["sensors", "sky", "driver"], "bh1750"))
    plain = filled(put(RICH, ["mqtt", "tls"], None))
    for after in (more, sensor, plain, filled(LEAST)):
        assert config.differs(before, after, "r")
        assert config.differs(after, before, "r")
    assert not config.differs(before, filled(put(RICH, ["sensors", "air", "interval_s"], 5)), "r")


def test_the_example_is_a_configuration_that_works():
    with open("config.json.example", "rb") as file:
        document = desired.parsed(file.read())
    equal(config.check(document), [])
    # A Raspberry Pi's owner and an ESP32's see every section and every key of the design, with a value that works.
    for section in DEFAULTS:
        assert section in document, section
        if section not in ("wifi", "sensors", "board"):
            equal(sorted(document[section]) if section != "schema" else 1,
                  sorted(DEFAULTS[section]) if section != "schema" else 1, section)
    air, = document["sensors"].values()
    equal((air["driver"], air["address"]), ("bme280", 118))
    assert document["wifi"]
