"""KEY=VALUE over a reported patch: what is sent, what is shown, and whether a report is the answer."""

import pytest

from firmware import config as table
from tools import errors, patching

SECRET = "planted-secret-5b1d"


@pytest.mark.parametrize("text, path, value", [
    ("telemetry.interval_s=10", ("telemetry", "interval_s"), 10),
    ("node.name=Greenhouse", ("node", "name"), "Greenhouse"),
    ("node.name=a=b", ("node", "name"), "a=b"),
    ("node.name=", ("node", "name"), ""),
    ('node.name="10"', ("node", "name"), "10"),
    ("node.groups=[\"a\"]", ("node", "groups"), ["a"]),
    ("wifi.home.password=12345678", ("wifi", "home", "password"), "12345678"),
    ("node.name=true", ("node", "name"), "true"),
    ("node.name=null", ("node", "name"), None),
    ("sensors.air=null", ("sensors", "air"), None),
    ("homeassistant.discovery=false", ("homeassistant", "discovery"), False),
    ("telemetry.interval_s=NaN", ("telemetry", "interval_s"), "NaN"),
    ("telemetry.interval_s=1e999", ("telemetry", "interval_s"), "1e999"),
    ("wifi.my.home.net.password=abcdefgh", ("wifi", "my.home.net", "password"), "abcdefgh"),
    ("wifi.my.net=null", ("wifi", "my.net"), None),
    ("wifi={\"a=b\": {}}", ("wifi",), {"a=b": {}}),
    ("sensors.air.nonsense=1", ("sensors", "air", "nonsense"), 1),
])
def test_assignments(text, path, value):
    assert patching.assignment(text) == (path, value)


@pytest.mark.parametrize("text", ["=1", ".a=1", "a..b=1", "a.=1", "wifi..password=x"])
def test_what_is_no_key_is_a_usage_error(text):
    with pytest.raises(errors.UserError) as caught:
        patching.assignment(text)
    assert caught.value.status == errors.USAGE


def test_a_change_keeps_the_rest_of_the_patch_and_nulls_stay_in_it():
    patch = {"telemetry": {"interval_s": 5, "qos": 0}, "sensors": {"air": None}}
    changes = [(("telemetry", "interval_s"), 9), (("sensors", "door"), {"driver": "digital", "pin": None})]
    assert patching.changed(patch, changes) == {
        "telemetry": {"interval_s": 9, "qos": 0},
        "sensors": {"air": None, "door": {"driver": "digital", "pin": None}}}
    assert patch == {"telemetry": {"interval_s": 5, "qos": 0}, "sensors": {"air": None}}


def test_a_null_takes_away_what_was_provisioned_and_unset_brings_it_back():
    base = {"sensors": {"air": {"driver": "bme280"}, "room": {"driver": "sht4x"}}}
    patch = patching.changed({}, [(("sensors", "air"), None)])
    assert table.merge(base, patch) == {"sensors": {"room": {"driver": "sht4x"}}}
    assert table.merge(base, patching.without(patch, ("sensors", "air"))) == base


def test_unset_leaves_no_empty_objects_and_nothing_else_undone():
    patch = {"telemetry": {"interval_s": 5}, "wifi": {"home": {}, "other": {}}, "sensors": {"air": {"bus": 1}}}
    assert patching.without(patch, ("telemetry", "interval_s")) == {
        "wifi": {"home": {}, "other": {}}, "sensors": {"air": {"bus": 1}}}
    assert patching.without(patch, ("wifi", "home"))["wifi"] == {"other": {}}
    assert patching.without(patch, ("telemetry", "interval_s", "deeper")) == patch
    assert patching.without(patch, ("power", "mode")) == patch


def test_unset_of_a_secret_would_do_nothing_and_is_refused():
    with pytest.raises(errors.UserError, match="keeps its value"):
        patching.without({"wifi": {"home": {}}}, ("wifi", "home", "password"))


@pytest.mark.parametrize("patch, found", [
    ({"wifi": {"home": {"password": SECRET}}}, True), ({"wifi": {"home": {"password": None}}}, False),
    ({"mqtt": {"password": SECRET}}, True), ({"mqtt": {"tls": {"key": SECRET}}}, True),
    ({"config": {"key": SECRET}}, True), ({"mqtt": {"user": "ann"}}, False), ({}, False)])
def test_secrets_are_known(patch, found):
    assert patching.has_secret(patch) == found
    assert SECRET not in str(patching.masked(patch))
    assert SECRET not in str(patching.lines(patch))


def test_lines_are_safe_to_print():
    assert patching.lines({"node": {"name": "a\x1b[2J", "area": "Küche"}, "wifi": {"x\ny": {}}}) == [
        'node.area = "Küche"', 'node.name = "a\\u001b[2J"', "wifi.x\ufffdy = {}"]


@pytest.mark.parametrize("sent, reported, same", [
    ({}, {}, True),
    ({"telemetry": {"interval_s": 5}}, {"telemetry": {"interval_s": 5}}, True),
    ({"telemetry": {"interval_s": 5}}, {"telemetry": {"interval_s": 6}}, False),
    ({"telemetry": {"interval_s": 5}}, {}, False),
    ({}, {"telemetry": {"interval_s": 5}}, False),
    ({"wifi": {"home": {"password": SECRET}}}, {"wifi": {"home": {}}}, True),
    ({"mqtt": {"password": SECRET}}, {}, True),
    ({"sensors": {"air": None}}, {"sensors": {"air": None}}, True),
    ({"sensors": {"air": None}}, {}, False),
    ({"sensors": {"a": {"divider": 0.1234567891}}}, {"sensors": {"a": {"divider": 0.12345679}}}, True),
    ({"sensors": {"a": {"divider": 0.5}}}, {"sensors": {"a": {"divider": 0.6}}}, False),
    ({}, None, False),
])
def test_whether_a_reported_patch_is_the_one_that_was_sent(sent, reported, same):
    assert patching.equal(sent, reported) == same


def test_mistakes_are_the_nodes_own():
    problems = patching.mistakes(b'{"mqtt": {"host": "h", "port": 99999}, "nonsense": 1}')
    assert sorted(key for key, _, _ in problems) == ["mqtt.port", "nonsense"]
    assert "found 99999, allowed: a whole number" in "\n".join(patching.told(problems))
    assert patching.mistakes(b'{"mqtt": {"host": "h"}}') == []
    for data in (b"", b"{", b"\xff", b"[" * 100, b" " * 4097, b"[]"):
        assert len(patching.mistakes(data)) == 1


def test_a_file_that_is_to_be_mended_gets_more_words():
    assert patching.mistakes(b'{"mqtt": {"host": "h", "prot": 1}}') == [
        ("mqtt.prot", 1, "nothing, as there is no such key; did you mean mqtt.port?")]
    assert patching.mistakes(b'{"mqtt": {"host": "h"}, "sensors": {"air": {"driver": "bme280", "adress": 1}}}') == [
        ("sensors.air.adress", 1, "nothing, as there is no such key; did you mean sensors.air.address?")]
    assert patching.mistakes(b'{"mqtt": {"host": "a", "host": "b"}}') == [
        ("host", None, "once, but one object has it twice")]
    (_, _, said), = patching.mistakes(b'{"mqtt":\n  {"host" "h"}}')
    assert "line 2, column 11" in said
    assert patching.mistakes(b'{"zzzzzz": 1, "mqtt": {"host": "h"}}')[0][2] == "nothing, as there is no such key"
