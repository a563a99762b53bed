"""Desired configuration: what is obeyed, what is refused, what is kept, and what is told about it."""

import json

from firmware import config, desired, one_key, reported
from minitest import equal, raises
from stage import Board
from test_config import OLD, Schemas

BASE = {
    "wifi": {"home": {"password": "base-wifi-secret"}},
    "mqtt": {"host": "broker.test", "password": "base-mqtt-secret", "user": "node"},
    "sensors": {"air": {"driver": "bme280"}},
}
REPORT_KEYS = ["config", "errors", "patch", "reason", "revision", "state"]


def filled(document):
    return config.filled(json.loads(json.dumps(document)))


class Desk:
    """A node's configuration on a board; `again()` is the same after a restart."""

    def __init__(self, base=BASE, board=None):
        self.board = board or Board(base)
        self.settings = desired.Settings()
        desired.load(self.board, config, self.settings)

    def again(self):
        return Desk(board=self.board)

    def send(self, revision, patch):
        return self.raw(json.dumps({"revision": revision, "patch": patch}).encode())

    def raw(self, data):
        return self._seen(desired.obey(self.board, config, self.settings, data))

    def key(self, key, data):
        return self._seen(one_key.obey_key(desired, self.board, config, self.settings, key, data))

    def _seen(self, effect):
        self.report()
        return effect

    def pieces(self):
        settings = self.settings
        return list(reported.pieces((self.board, settings.revision, settings.report, settings.effective)))

    def report(self):
        """The reported document, which must be JSON of exactly the fields of the design, without a secret."""
        text = "".join(self.pieces())
        text.encode()
        assert "secret" not in text, text
        found = json.loads(text)
        equal(sorted(found), REPORT_KEYS)
        equal(found["revision"], self.settings.revision)
        for error in found["errors"]:
            equal(sorted(error), ["allowed", "found", "key"])
        assert found["state"] in ("applied", "rejected", "trial", "rolled-back")
        return found

    def stored(self):
        return json.loads(self.board.files.content["config"])

    def refuses(self, reason, send, *arguments):
        """Sending changes nothing, stored or obeyed, and is reported as rejected; returns the report."""
        before = dict(self.board.files.content), json.dumps(self.settings.effective), self.settings.revision
        before_that = self.report()
        equal(send(*arguments), None, reason)
        equal((self.board.files.content, json.dumps(self.settings.effective), self.settings.revision), before, reason)
        report = self.report()
        equal(report["state"], "rejected", reason)
        assert reason in report["reason"], (reason, report["reason"])
        equal((report["config"], report["patch"]), (before_that["config"], before_that["patch"]))
        return report


def test_a_fresh_node_reports_its_base():
    desk = Desk()
    report = desk.report()
    equal((report["state"], report["reason"], report["errors"]), ("applied", None, []))
    equal((report["revision"], report["patch"]), (0, {}))
    expected = filled(json.loads(json.dumps(BASE)))
    expected["wifi"] = {"home": {"password": "***"}}
    expected["mqtt"] = dict(expected["mqtt"], password="***")
    equal(report["config"], expected)
    equal(desk.settings.effective, filled(json.loads(json.dumps(BASE))))
    equal(desk.board.files.content, {}, "nothing was asked, nothing is written:")


def test_a_document_is_applied_kept_and_reported():
    desk = Desk()
    equal(desk.send(1, {"telemetry": {"interval_s": 5}}), "live")
    equal(desk.settings.effective["telemetry"]["interval_s"], 5)
    equal(desk.settings.effective["telemetry"]["qos"], 1)
    equal(desk.stored(), {"revision": 1, "patch": {"telemetry": {"interval_s": 5}}})
    report = desk.report()
    equal((report["state"], report["revision"], report["patch"]), ("applied", 1, {"telemetry": {"interval_s": 5}}))
    equal(report["config"]["telemetry"]["interval_s"], 5)
    later = desk.again()
    equal(later.settings.effective, desk.settings.effective)
    equal(later.report(), report)


def test_a_document_is_the_whole_deviation_not_one_more():
    desk = Desk()
    desk.send(1, {"telemetry": {"interval_s": 5, "qos": 0}, "node": {"name": "Attic"}})
    equal(desk.send(2, {"telemetry": {"qos": 0}}), "reconnect")
    equal(desk.settings.effective["telemetry"], {"interval_s": 60, "qos": 0, "diagnostics_s": 60, "log": "off"})
    equal(desk.settings.effective["node"]["name"], None)
    equal(desk.send(3, {}), "live")
    equal(desk.settings.effective, filled(json.loads(json.dumps(BASE))))
    equal(desk.again().report()["patch"], {})


def test_null_removes_what_the_base_has():
    desk = Desk()
    patch = {"wifi": {"home": None, "attic": {"password": "attic-secret"}}, "sensors": {"air": None}}
    equal(desk.send(1, patch), "reconnect")
    for one in (desk, desk.again()):
        equal(one.settings.effective["wifi"], {"attic": {"password": "attic-secret"}})
        equal(one.settings.effective["sensors"], {})
        equal(one.report()["patch"], {"wifi": {"home": None, "attic": {}}, "sensors": {"air": None}})
        equal(one.report()["config"]["wifi"], {"attic": {"password": "***"}})
    desk.send(2, {})
    equal(desk.settings.effective["wifi"], BASE["wifi"])


def test_null_may_stand_for_a_whole_section():
    desk = Desk({"mqtt": BASE["mqtt"], "telemetry": {"interval_s": 5}, "node": {"name": "Attic"}})
    for revision, section in enumerate(sorted(filled({"mqtt": {"host": "h"}}))):
        if section != "mqtt":
            assert desk.send(revision + 1, {section: None}), section
            equal(desk.settings.effective[section], filled({"mqtt": {"host": "h"}})[section], section)
    equal(desk.again().report()["state"], "applied")


def test_only_a_higher_revision_counts():
    desk = Desk()
    desk.send(7, {"telemetry": {"interval_s": 5}})
    before = dict(desk.board.files.content)
    for revision in (7, 6, 1, 0, -1, -(2**40)):
        equal(desk.send(revision, {"telemetry": {"interval_s": 9}}), None)
        equal(desk.board.files.content, before)
        report = desk.report()
        equal((report["state"], report["revision"], report["config"]["telemetry"]["interval_s"]), ("applied", 7, 5))
        assert revision == 7 or "revision %d" % revision in desk.board.said[-1]
    equal(desk.again().send(7, {"telemetry": {"interval_s": 9}}), None, "the revision is kept over a restart:")
    equal(desk.send(8, {"telemetry": {"interval_s": 9}}), "live")


def test_a_revision_is_at_most_1000_ahead():
    desk = Desk()
    desk.refuses("ahead", desk.send, 1001, {})
    equal(desk.send(1000, {}), "live")
    equal(desk.settings.revision, 1000)
    for revision in (2001, 2**30, 2**31, 2**63, 10**50):
        desk.refuses("ahead", desk.send, revision, {})
    equal(desk.send(2000, {}), "live")


def test_a_revision_stays_below_2_to_the_30():
    board = Board(BASE)
    board.files.save("config", json.dumps({"revision": 2**30 - 2, "patch": {}}).encode())
    desk = Desk(board=board)
    desk.refuses("revision is not below", desk.send, 2**30, {})
    equal(desk.send(2**30 - 1, {}), "live")
    desk.refuses("revision is not below", desk.send, 2**30, {})
    desk.refuses("revision is not below", desk.key, "telemetry.qos", b"0")


def test_a_document_has_a_revision_and_a_patch_and_nothing_else():
    desk = Desk()
    for revision in ('"1"', "1.0", "true", "null", "1e999", "[1]", "{}"):
        desk.refuses("not of the form", desk.raw, ('{"revision": %s, "patch": {}}' % revision).encode())
    for rest in ("", ', "patch": null', ', "patch": []', ', "patch": 7', ', "Patch": {}', ', "patch": {}, "id": 1'):
        desk.refuses("not of the form", desk.raw, ('{"revision": 1%s}' % rest).encode())
    for text in ("{}", '{"patch": {}}'):
        desk.refuses("not of the form", desk.raw, text.encode())


def test_a_patch_with_mistakes_changes_nothing_and_every_one_is_reported():
    desk = Desk()
    desk.send(1, {"telemetry": {"interval_s": 5}})
    report = desk.refuses("mistakes", desk.send, 2, {
        "telemetry": {"interval_s": "often", "qos": 0}, "nonsense": 1, "mqtt": {"port": 99999}})
    equal({error["key"]: error["found"] for error in report["errors"]},
          {"telemetry.interval_s": "often", "nonsense": 1, "mqtt.port": 99999})
    equal(len(report["errors"]), 3)
    for error in report["errors"]:
        assert error["allowed"]
    equal(desk.send(2, {"telemetry": {"interval_s": 6}}), "live", "the refused revision may be used again:")
    equal(desk.report()["errors"], [])


def test_what_a_patch_must_not_take_away():
    desk = Desk()
    for patch in ({"mqtt": None}, {"mqtt": {"host": None}}, {"sensors": {"air": {"driver": None}}}):
        desk.refuses("mistakes", desk.send, 1, patch)
    desk.refuses("mistakes", desk.send, 1, {"mqtt": {"tls": {}}})


def test_a_value_of_a_wrong_type_is_refused_in_a_report_that_is_json():
    desk = Desk()
    for text in ("1e999", "-1e999", "9" * 50, "1.5", "true", "0", "-1", '"1"', "[]", "{}", '"\\ud800"', "null, 5: 1",
                 'null, null: 1', '[[1, 2], ["x"]]', '"\\"}{"', '"\\u0007"'):
        text = '{"revision": 1, "patch": {"telemetry": {"interval_s": %s}}}' % text
        desk.refuses("", desk.raw, text.encode())


def test_a_number_without_bounds_ends_no_trial():
    for revision in (1, 2):
        desk = Desk()
        desk.send(1, {"mqtt": {"host": "elsewhere.test"}})
        before = desk.stored()
        equal(desk.raw(b'{"revision": %d, "patch": {"mqtt": {"port": 1e999}}}' % revision), None)
        equal((desk.stored(), desk.settings.trial, desk.settings.found), (before, True, 0))


def test_what_can_starve_a_node_is_on_trial():
    for patch in ({"outbox": {"ram_readings": 512}}, {"power": {"awake_s": 2}}):
        desk = Desk()
        desk.send(1, patch)
        assert desk.settings.trial, patch


def test_a_secret_in_a_list_is_not_shown():
    desk = Desk()
    for value in (["me", "a-secret-one"], {"name": "a-secret-one"}):
        desk.refuses("mistakes", desk.send, 1, {"mqtt": {"user": value}})


def test_secrets_that_a_document_leaves_out_keep_their_value():
    desk = Desk()
    secrets = {"mqtt": {"password": "new-secret", "tls": {"ca": "ca.der", "cert": "c.der", "key": "key-secret"}},
               "wifi": {"attic": {"password": "attic-secret"}}, "node": {"name": "A"}}
    equal(desk.send(1, secrets), "reconnect")
    patch = desk.report()["patch"]
    equal(patch, {"mqtt": {"tls": {"ca": "ca.der", "cert": "c.der"}}, "wifi": {"attic": {}}, "node": {"name": "A"}})
    equal(desk.send(2, dict(patch, node={"name": "B"})), "reconnect", "the reported patch with a change:")
    for one in (desk, desk.again()):
        effective = one.settings.effective
        equal(effective["mqtt"]["password"], "new-secret")
        equal(effective["mqtt"]["tls"]["key"], "key-secret")
        equal(effective["wifi"]["attic"], {"password": "attic-secret"})
        equal(effective["node"]["name"], "B")
    equal(desk.send(3, {}), "reconnect")
    effective = desk.settings.effective
    equal(effective["mqtt"]["password"], "new-secret", "without its section:")
    equal(effective["node"]["name"], None)
    equal(effective["wifi"], BASE["wifi"], "a network that is no longer named:")
    equal(effective["mqtt"]["tls"], None, "TLS that is no longer asked for:")
    assert "attic-secret" not in json.dumps(desk.stored())


def test_a_secret_that_is_null_is_removed():
    desk = Desk()
    desk.send(1, {"mqtt": {"password": "new-secret"}, "wifi": {"attic": {"password": "attic-secret"}}})
    equal(desk.send(2, {"mqtt": {"password": None}, "wifi": {"attic": {"password": None}}}), "reconnect")
    for one in (desk, desk.again()):
        equal(one.settings.effective["mqtt"]["password"], None)
        equal(one.settings.effective["wifi"]["attic"].get("password"), None)
    assert "secret" not in json.dumps(desk.stored())
    equal(desk.report()["config"]["mqtt"]["password"], None)
    desk.send(3, {"wifi": {"attic": {}}})
    equal(desk.settings.effective["wifi"]["attic"].get("password"), None, "it does not come back:")


def test_a_secret_replaces_the_one_before():
    desk = Desk()
    desk.send(1, {"mqtt": {"password": "first-secret"}})
    equal(desk.send(2, {"mqtt": {"password": "second-secret"}}), "reconnect")
    equal(desk.again().settings.effective["mqtt"]["password"], "second-secret")
    assert "first-secret" not in json.dumps(desk.stored())


def test_no_secret_reaches_report_or_log():
    desk = Desk()
    desk.send(1, {"mqtt": {"password": "my-secret"}, "wifi": {"attic": {"password": "wifi-secret"}}})
    for patch in ({"mqtt": {"password": ["a-secret"]}}, {"wifi": {"attic": "a-secret"}}, {"wifi": "a-secret"},
                  {"wifi": {"attic": {"password": "secret" * 100}}}, {"mqtt": {"tls": {"key": {"pem": "a-secret"}}}},
                  {"config": {"key": "secret"}}, {"passwort": "a-secret"}):
        desk.refuses("mistakes", desk.send, 2, patch)
    desk.key("mqtt.password", b'["a-secret"]')
    desk.key("mqtt.password", b"a-secret\0")
    equal(desk.key("mqtt.password", b"a-good-secret"), "reconnect")
    assert "secret" not in "\n".join(desk.board.said)


def test_the_mask_of_a_secret_is_not_taken_for_the_secret():
    desk = Desk()
    report = desk.refuses("mistakes", desk.send, 1, {"mqtt": {"password": "***"}})
    equal([error["key"] for error in report["errors"]], ["mqtt.password"])


def test_a_key_for_signatures_does_not_come_over_the_air():
    desk = Desk()
    desk.refuses("config.key", desk.send, 1, {"config": {"key": "0" * 64}})
    desk.refuses("config.key", desk.key, "config.key", b"f" * 64)


def test_a_base_that_cannot_be_read_any_more_refuses_documents():
    desk = Desk()
    desk.board.read_config = gone
    desk.refuses("gone", desk.send, 1, {"telemetry": {"qos": 0}})


def gone():
    raise OSError("gone")


def test_a_config_json_that_is_damaged_is_replaced_by_the_one_that_worked():
    wrong = b'{"mqtt": {"host": "broker.test"}, "telemetry": {"qos": 7}}'
    for damaged, reason, keys in ((b'{"mqtt": {"host', "not JSON", []), (wrong, "config.json", ["telemetry.qos"]),
                                  (None, "gone", [])):
        desk = Desk()
        equal(desk.send(1, {"node": {"name": "Attic"}}), "reconnect")
        desk.board.files.save("base", desk.board.config)
        if damaged:
            desk.board.config = damaged
        else:
            desk.board.read_config = gone
        desk = desk.again()
        report = desk.report()
        equal((report["revision"], report["state"], report["config"]["node"]["name"]), (1, "rejected", "Attic"))
        assert reason in report["reason"] and "instead" in report["reason"], report
        equal([error["key"] for error in report["errors"]], keys)
        equal((desk.settings.spare, desk.settings.effective["mqtt"]["password"]), (True, "base-mqtt-secret"))
        equal(desk.send(2, {"node": {"name": "Attic"}, "telemetry": {"qos": 0}}), "live", "it can be changed:")
        equal(desk.report()["state"], "applied")


def test_without_a_copy_a_damaged_config_json_ends_the_node():
    with raises(desired.ConfigError):
        Desk(board=Board(b'{"mqtt": {"host'))


def test_what_cannot_be_stored_is_not_applied():
    for send in (lambda desk: desk.send(1, {"telemetry": {"qos": 0}}), lambda desk: desk.key("telemetry.qos", b"0")):
        desk = Desk()
        desk.board.files.fails = OSError(28)
        report = desk.refuses("not stored", send, desk)
        equal((report["revision"], report["config"]["telemetry"]["qos"]), (0, 1))
        desk.board.files.fails = None
        equal(send(desk), "live", "once there is room:")
        equal(desk.again().settings.effective["telemetry"]["qos"], 0)


def test_a_bare_value_changes_one_key_of_the_patch():
    desk = Desk()
    desk.send(4, {"node": {"name": "Attic"}, "mqtt": {"password": "new-secret"}, "sensors": {"sky": None}})
    equal(desk.key("telemetry.interval_s", b"5"), "reconnect", "the password is still on trial:")
    equal(desk.key("sensors.air.interval_s", b"7"), "reconnect")
    equal(desk.key("node.name", b"Cellar"), "reconnect")
    equal(desk.settings.revision, 7)
    stored = {"node": {"name": "Cellar"}, "telemetry": {"interval_s": 5}, "mqtt": {"password": "new-secret"},
              "sensors": {"sky": None, "air": {"interval_s": 7}}}
    equal(desk.stored(), {"revision": 7, "patch": stored, "old": {}})
    equal(desk.key("telemetry.interval_s", b"null"), "reconnect", "null gives the key back to the base:")
    equal(desk.settings.effective["telemetry"]["interval_s"], 60)
    equal(desk.again().report()["revision"], 8)


def test_a_bare_value_is_json_or_else_a_text():
    desk = Desk()
    texts = ((b"Cellar", "Cellar"), (b'"Cellar"', "Cellar"), (b"[1", "[1"), (b"a b", "a b"), (b"\xc3\xa9", "\u00e9"))
    for data, value in texts:
        equal(desk.key("node.name", data), "reconnect")
        equal(desk.settings.effective["node"]["name"], value)
        desk.key("node.name", b"null")
    equal(desk.key("homeassistant.controls", b"false"), "reconnect")
    equal(desk.settings.effective["homeassistant"]["controls"], False)
    equal(desk.key("node.groups", b'["a", "b"]'), "reconnect")
    equal(desk.settings.effective["node"]["groups"], ["a", "b"])


def test_a_bare_value_is_refused_like_a_document():
    desk = Desk()
    for key in ("nonsense", "", ".", "telemetry", "telemetry.", "telemetry.nonsense", "wifi", "wifi.home",
                "sensors.air", "mqtt.tls", "a" * 5000, "schema schema", "wifi.*", "sensors.air.driver.x"):
        report = desk.refuses("", desk.key, key, b"1")
        assert len(json.dumps(report["errors"])) < 1000
    for key in ("wifi.attic", "sensors.air", "telemetry"):
        desk.refuses("no such key", desk.key, key, b"{}")
    for data in (b"[" * 7 + b"]" * 7, b"{" * 200):
        desk.refuses("nested deeper", desk.key, "node.groups", data)
    for data in (b"", b"often", b"0", b"86401", b"true", b"1.5", b"1e999", b"9" * 50, b"[5]", b'{"a": 5}', b"{}",
                 b"5 5", b"\xff", b"5" * 257, b" " * 256 + b"5", None, b"[" * 256, b'{"a":' * 51 + b"1",
                 b"[" * 128 + b"]" * 128, b'{"a":' * 42 + b"1" + b"}" * 42):
        desk.refuses("", desk.key, "telemetry.interval_s", data)
    report = desk.refuses("mistakes", desk.key, "telemetry.interval_s", b"often")
    equal([(error["key"], error["found"]) for error in report["errors"]], [("telemetry.interval_s", "often")])


def test_with_a_key_set_only_signed_documents_count():
    desk = Desk(dict(BASE, config={"key": "a" * 64}))
    desk.refuses("config.key", desk.send, 1, {})
    desk.refuses("config.key", desk.key, "mqtt.host", b"elsewhere.test")


def test_a_new_base_wins_where_the_old_patch_does_not_fit():
    desk = Desk()
    desk.send(3, {"sensors": {"air": {"interval_s": 5}}, "mqtt": {"password": "my-secret"}})
    stored = dict(desk.board.files.content)
    desk.board.config = json.dumps({"mqtt": {"host": "other.test"}}).encode()  # without the patch's sensor
    later = desk.again()
    report = later.report()
    equal((report["state"], report["revision"]), ("rejected", 3))
    equal(later.settings.effective, filled({"mqtt": {"host": "other.test"}}))
    equal([error["key"] for error in report["errors"]], ["sensors.air.driver"])
    assert report["reason"]
    equal(later.board.files.content, stored)
    equal(later.send(4, {}), "reconnect", "with the secret of the patch:")
    equal(later.again().report()["state"], "applied")


def test_a_wrong_base_is_no_configuration():
    for data in (b"", b"{", b"[]", b"{}", b'{"mqtt": {"host": 5}}', b"\xff", b" " * 4097):
        with raises(desired.ConfigError) as caught:
            Desk(board=Board(data))
        assert caught.value.args[0]


def test_a_document_of_nothing_but_mistakes_is_reported_in_little():
    desk = Desk()
    many = '{"revision": 1, "patch": {' + ", ".join(['"k%d": 1' % number for number in range(300)]) + "}}"
    assert len(many) < 4096
    report = desk.refuses("mistakes", desk.raw, many.encode())
    assert len(report["errors"]) < 50
    assert sum([len(piece) for piece in desk.pieces()]) < 6000


def refusal(data):
    """Why `data` is not parsed."""
    try:
        desired.parsed(data)
    except desired.ConfigError as error:
        equal(len(error.args), 1)
        return error.args[0]
    return None


def test_parsing_looks_at_the_size_first():
    document = b'{"a": "%s"}'
    equal(len(desired.parsed(document % (b"x" * 4087))["a"]), 4087)
    equal(refusal(document % (b"x" * 4088))[:12], "longer than ")
    equal(refusal(None)[:12], "longer than ")
    equal(refusal(b"[" * 100_000)[:12], "longer than ")
    equal(refusal(b"\xff" * 5000)[:12], "longer than ")


def nested(depth, last=b"1"):
    return b'{"a":' * depth + last + b"}" * depth


def test_parsing_looks_at_the_depth_next():
    equal(refusal(nested(6)), None)
    equal(refusal(nested(7)), "nested deeper than 6")
    equal(refusal(nested(5, b"[1]")), None)
    equal(refusal(nested(6, b"[1]")), "nested deeper than 6")
    equal(refusal(nested(5, b"[[1]]")), "nested deeper than 6")
    equal(refusal(b"[" * 4096), "nested deeper than 6")
    equal(refusal(b'{"a":' * 800), "nested deeper than 6")
    equal(refusal(b"]" * 2048 + b"[" * 2048), "not JSON in UTF-8")
    equal(refusal(b'{"a":[],"b":[],"c":{},"d":[],"e":[],"f":[],"g":{"h":[]}}'), None)


def test_brackets_in_texts_do_not_count():
    for text in (b"[" * 100, b"{" * 100, b'\\"' + b"[" * 100, b"\\\\", b'\\\\\\"[[[[[[[[', b"\\\\\\\\", b"}}}}}}}}]]"):
        equal(refusal(b'{"a": "' + text + b'"}'), None, text)
    equal(refusal(b'{"a": "\\\\", "b": [[[[[[1]]]]]]}'), "nested deeper than 6", "the text ends before the brackets:")
    equal(refusal(b'{"]]]": ' + b"[" * 7 + b"]" * 7 + b"}"), "nested deeper than 6")


def test_only_an_object_in_utf_8_is_parsed():
    for data in (b"", b" ", b"\xff", b"\xff\xfe{\0}\0", b'{"a": "\xff"}', b'{"\xc3\x28": 1}', b"\xef\xbb\xbf{}",
                 b"{}{}", b"{} x", b"{'a': 1}", b"\0", b'{"a": nul}', b'{"a": NaN', b'{"a": "\\u12"}', b'{"a": tru}',
                 b'{"a": "x}', b'{"a": -}'):
        equal(refusal(data), "not JSON in UTF-8", data)
    for data in (b"[]", b"1", b'"{}"', b"null", b"true", b"[{}]", b"1.5"):
        equal(refusal(data), "not a JSON object", data)
    equal(desired.parsed(b' \r\n\t{"\xc3\xa9": "\\u20ac\xe2\x82\xac"} \n'), {"\u00e9": "\u20ac\u20ac"})


def test_a_document_that_was_cut_is_none():
    document = json.dumps({"revision": 1, "patch": {"a": [1, {"b": "c\\\"d"}], "e": None, "f": True}}).encode()
    for size in range(len(document)):
        assert refusal(document[:size]), document[:size]
    equal(refusal(document), None)


def test_parsing_survives_documents_with_a_byte_changed():
    document = b'{"revision": 1, "patch": {"telemetry": {"interval_s": 10, "qos": 0}, "node": {"name": "a\\u00e9"}}}'
    desk = Desk()
    for at in range(len(document)):
        for byte in b'\0"\\[]{},:0-9etn\x7f\x80\xc3\xff':
            data = bytearray(document)
            data[at] = byte
            desk.raw(bytes(data))
            desk = desk if desk.settings.revision == 0 else Desk()


def test_drivers_have_a_say_in_what_is_a_mistake():
    found = {}
    for name, options in (("a", {"driver": "bme820"}), ("b", {"driver": "__init__"}), ("c", {"driver": "digital"}),
                          ("d", {"driver": "analog", "pin": 34, "kind": "soul"}), ("e", {"driver": "sht4x"}),
                          ("f", {"driver": "digital", "pin": 4, "kind": "motion"}), ("g", None)):
        problems = config.mistakes({"mqtt": {"host": "h"}, "sensors": {name: options}})
        found.update({key: (value, allowed) for key, value, allowed in problems})
    equal(sorted(found), ["sensors.a.driver", "sensors.b.driver", "sensors.c.pin", "sensors.d.kind"])
    equal(found["sensors.d.kind"], ("soul", "voltage or soil or battery"))


def test_a_sensor_that_no_driver_would_take_is_refused_over_the_air():
    desk = Desk()
    report = desk.refuses("mistakes", desk.send, 1, {"sensors": {"soil": {"driver": "analgo", "pin": 34}}})
    equal([error["key"] for error in report["errors"]], ["sensors.soil.driver"])


def test_what_was_stored_in_an_older_schema_is_upgraded_once():
    desk = Desk()
    desk.board.config = json.dumps(dict(OLD, mqtt=BASE["mqtt"])).encode()
    desk.board.files.content["config"] = json.dumps(
        {"revision": 7, "patch": {"telemetry": {"interval_s": 5}}, "why": "it was wrong"}).encode()
    with Schemas():
        later = desk.again()
        equal(later.stored(), {"revision": 7, "patch": {"telemetry": {"interval_s": 10}}, "schema": 3,
                               "why": "it was wrong"})
        equal((later.settings.effective["telemetry"]["interval_s"], later.settings.effective["node"]["name"]),
              (10, "Attic"))
        equal(later.report()["patch"], {"telemetry": {"interval_s": 10}})
        equal(later.again().stored(), later.stored())
        equal(later.send(8, {"telemetry": {"interval_s": 7}}), "live")
        equal(later.stored(), {"revision": 8, "patch": {"telemetry": {"interval_s": 7}}, "schema": 3})
        equal(later.again().settings.effective["telemetry"]["interval_s"], 7)


def test_a_trial_in_an_older_schema_has_a_way_back_in_the_new_one():
    desk = Desk()
    desk.board.files.content["config"] = json.dumps(
        {"revision": 7, "patch": {"mqtt": {"port": 2}}, "old": {"node": {"title": "Attic"}}}).encode()
    with Schemas():
        equal(desk.again().stored()["old"], {"node": {"name": "Attic"}})


def test_what_a_newer_firmware_stored_is_not_obeyed_and_not_lost():
    desk = Desk()
    kept = json.dumps({"revision": 7, "patch": {"node": {"title": "Attic"}}, "schema": 2}).encode()
    desk.board.files.content["config"] = kept
    later = desk.again()
    found = later.report()
    equal((found["revision"], found["state"]), (7, "rejected"))
    assert "schema 2: update the firmware" in found["reason"], found
    equal((later.settings.effective["node"]["name"], desk.board.files.content["config"]), (None, kept))
    equal(later.send(8, {"node": {"name": "Roof"}}), "reconnect")
    equal(later.again().settings.effective["node"]["name"], "Roof")
