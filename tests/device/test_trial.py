"""Trial and rollback: a change that could strand a node is kept once the node has heard itself, or not at all."""

import json

import signed
from firmware import config, desired, trial, tryout
from minitest import equal
from stage import Board
from test_desired import BASE as DESK_BASE
from test_desired import Desk
from test_node import BASE, TOP, Rig, again

TRIAL_MS = 120_000
ELSEWHERE = {"mqtt": {"host": "elsewhere.test"}}


class Picky(Board):
    """A board for which there is one broker only."""

    async def open_stream(self, host, port, tls):
        if host == "elsewhere.test":
            raise OSError("name not found")
        return await super().open_stream(host, port, tls)


def states(rig):
    """(state, revision, reason) of every report on whatever connection."""
    reports = [message.json() for line in rig.broker.lines for message in line.on(TOP + "config")]
    return [(report["state"], report["revision"], report["reason"]) for report in reports]


def stored(rig):
    return json.loads(rig.board.files.content["config"])


def document(revision, patch):
    return json.dumps({"revision": revision, "patch": patch})


def publish_there(rig, revision, patch):
    """The broker that the node will go to keeps this document."""
    rig.broker.kept[TOP + "config/set"] = document(revision, patch).encode()


NOT_FOUND = ("heard itself at elsewhere.test:1883, but did not find this document there: publish it, retained, at "
             "that broker, too")


async def test_what_works_is_kept():
    async with Rig() as rig:
        await rig.go(3_000)
        publish_there(rig, 1, ELSEWHERE)
        await rig.says("config/set", document(1, ELSEWHERE), ms=5_000)
        equal(states(rig), [("applied", 0, None), ("trial", 1, None), ("trial", 1, None), ("applied", 1, None)],
              "by itself, and when the document is met again:")
        equal(stored(rig), {"revision": 1, "patch": ELSEWHERE})
        await rig.pass_ms(2 * TRIAL_MS)
        equal(len(rig.broker.lines), 2, "and nothing comes after:")


async def test_a_report_that_is_asked_for_in_a_trial_comes_whole():
    async with Rig() as rig:
        await rig.go(3_000)
        rig.broker.echoes = False
        await rig.says("config/set", document(1, ELSEWHERE), ms=5_000)
        sent = await rig.says("command/report")
        topics = [message.topic for message in sent if "/telemetry/" not in message.topic]
        equal(sorted(topics), sorted(["homeassistant/device/fake-a1b2c3/config"] + [TOP + word for word in (
            "config", "diagnostics", "info", "log", "probe", "reply", "status", "update")]))
        lost = [message.json()["lost"] for message in sent if message.topic == TOP + "diagnostics"]
        equal((states(rig)[-1], lost), (("trial", 1, None), [{"commands": 0, "messages": 0}]))


async def test_a_node_that_does_not_hear_itself_goes_back():
    async with Rig() as rig:
        await rig.go(3_000)
        rig.broker.echoes = False  # as under an access control that lets everything in and nothing out
        await rig.says("config/set", document(1, ELSEWHERE), ms=TRIAL_MS - 1_000)
        equal(states(rig)[1:], [("trial", 1, None)])
        assert "old" in stored(rig)
        await rig.pass_ms(10_000)
        equal(states(rig)[2:], [("rolled-back", 1, "the node did not hear itself")])
        equal(stored(rig), {"revision": 1, "patch": {}, "why": "the node did not hear itself"})
        await rig.says("config/set", document(1, ELSEWHERE), retain=True, ms=2 * TRIAL_MS)
        equal(states(rig)[3:], states(rig)[2:3], "what failed is not tried again, and told again:")
        equal(len(rig.broker.lines), 3)


async def test_a_broker_that_is_not_there_costs_the_trial_and_no_more():
    async with Rig(board=Picky(BASE)) as rig:
        await rig.go(3_000)
        await rig.says("config/set", document(1, ELSEWHERE), ms=TRIAL_MS)
        before = len(rig.broker.lines)
        await rig.pass_ms(12_000)
        equal(states(rig)[1:], [("rolled-back", 1, "name not found")])
        equal(len(rig.broker.lines), before + 1 if before == 1 else before)
        assert rig.line.on(TOP + "telemetry/air"), "it measures and tells again"
        assert len(rig.backlog()) >= 10, "and what was measured meanwhile is not lost"


async def test_another_wifi_is_joined_before_it_is_believed():
    async with Rig() as rig:
        await rig.go(3_000)
        rig.board.join_fails = OSError("home: wrong password")
        wrong = {"wifi": {"home": {"password": "not this one"}}}
        await rig.says("config/set", document(1, wrong), ms=TRIAL_MS + 1_000)
        rig.board.join_fails = None
        await rig.pass_ms(TRIAL_MS)
        equal(states(rig)[1:], [("rolled-back", 1, "home: wrong password")])
        equal(rig.board.joins[0]["home"]["password"], "not this one")
        equal(rig.board.joins[-1], {}, "and back, to none:")


async def test_a_restart_during_a_trial_ends_it():
    async with Rig() as rig:
        await rig.go(3_000)
        rig.broker.echoes = False
        await rig.says("config/set", document(3, ELSEWHERE), ms=5_000)
    async with Rig(board=again(rig)) as later:
        await later.go(3_000)
        equal(states(later), [("rolled-back", 3, "restarted before the node was online")])
        equal(stored(later)["patch"], {})
    async with Rig(board=again(later)) as last:
        await last.go(3_000)
        equal(states(last), states(later), "and is not forgotten:")
        await last.says("config/set", document(4, {"node": {"name": "Attic"}}), ms=3_000)
        equal(states(last)[1:], [("applied", 4, None)])
        equal(stored(last), {"revision": 4, "patch": {"node": {"name": "Attic"}}})


async def test_a_second_change_during_a_trial_goes_back_to_what_was_good():
    async with Rig() as rig:
        await rig.go(3_000)
        rig.broker.echoes = False
        await rig.says("config/set", document(1, ELSEWHERE), ms=5_000)
        more = {"mqtt": {"host": "elsewhere.test"}, "telemetry": {"qos": 0}}
        await rig.says("config/set", document(2, more), ms=5_000)
        equal(stored(rig), {"revision": 2, "patch": more, "old": {}})
        await rig.pass_ms(2 * TRIAL_MS)
        equal(states(rig)[-1], ("rolled-back", 2, "the node did not hear itself"))
        equal((stored(rig)["revision"], stored(rig)["patch"]), (2, {}))


async def test_a_change_that_cannot_strand_is_not_on_trial():
    async with Rig() as rig:
        await rig.go(3_000)
        rig.broker.echoes = False
        await rig.says("config/set", document(1, {"node": {"name": "Attic"}, "telemetry": {"interval_s": 5}}), ms=5_000)
        equal(states(rig)[-1], ("applied", 1, None))
        assert "old" not in stored(rig)


async def test_only_the_new_connection_proves_a_change():
    async with Rig(board=Picky(BASE)) as rig:
        await rig.go(3_000)
        rig.line.deliver(TOP + "config/set", document(1, ELSEWHERE))
        rig.line.deliver("homeassistant/status", b"online", 0)  # it says everything again, perhaps here
        await rig.pass_ms(TRIAL_MS + 12_000)
        equal(states(rig)[-1], ("rolled-back", 1, "name not found"))


def test_a_trial_whose_end_cannot_be_stored_is_rolled_back_at_the_next_start():
    for end in (trial.confirm, trial.roll_back):
        desk = Desk()
        desk.send(1, {"mqtt": {"host": "elsewhere.test"}})
        assert desk.settings.trial
        desk.board.files.fails = OSError("full")
        if end == trial.confirm:
            end(desired, desk.board, config, desk.settings)
            assert desk.settings.trial, "not kept, so not good"
        else:
            end(desired, desk.board, config, desk.settings, "why")
            equal((desk.report()["state"], desk.report()["reason"]), ("rolled-back", "why"))
            equal(desk.settings.effective["mqtt"]["host"], DESK_BASE["mqtt"]["host"])
        desk.board.files.fails = None
        assert desk.again().settings.trial


def test_a_start_on_trial_that_flash_does_not_take_is_rolled_back_at_once():
    desk = Desk()
    desk.send(1, {"power": {"mode": "deepsleep"}})
    equal(desk.again().settings.trial, "first")
    desk.board.files.fails = OSError("worn out")
    trial.begin(desired, desk.board, config, desk.settings)
    equal((desk.settings.trial, desk.report()["state"]), (False, "rolled-back"))
    assert "worn out" in desk.report()["reason"]
    equal(desk.settings.effective["power"]["mode"], "always")


def test_secrets_come_back_with_a_rollback():
    desk = Desk()
    desk.send(1, {"mqtt": {"password": "a-first-secret"}})
    trial.confirm(desired, desk.board, config, desk.settings)
    equal(desk.report()["state"], "applied")
    desk.send(2, {"mqtt": {"password": "a-wrong-secret"}})
    trial.roll_back(desired, desk.board, config, desk.settings, "refused")
    equal(desk.settings.effective["mqtt"]["password"], "a-first-secret")
    equal(desk.again().settings.effective["mqtt"]["password"], "a-first-secret")


def rescued(rig):
    """The board after rescue has stored a document, over an old patch that was well."""
    board = again(rig)
    board.files.content["config"] = json.dumps(
        {"revision": 4, "patch": ELSEWHERE, "old": {"node": {"name": "Good"}}, "first": True}).encode()
    return board


async def test_what_rescue_stored_is_tried_from_the_start_on():
    async with Rig() as rig:
        await rig.go(3_000)
    async with Rig(board=rescued(rig)) as later:
        publish_there(later, 4, ELSEWHERE)
        await later.go(5_000)
        equal(states(later)[1:], [("trial", 4, None), ("applied", 4, None)])
        equal(stored(later), {"revision": 4, "patch": ELSEWHERE})


async def test_what_rescue_stored_and_strands_the_node_is_taken_back():
    async with Rig() as rig:
        await rig.go(3_000)
    board = rescued(rig)
    async with Rig(board=board) as later:
        later.broker.echoes = False
        await later.go(5_000)
        equal(stored(later), {"revision": 4, "patch": ELSEWHERE, "old": {"node": {"name": "Good"}}})
        await later.pass_ms(TRIAL_MS + 10_000)
        equal(states(later)[-1], ("rolled-back", 4, "the node did not hear itself"))
        equal(stored(later)["patch"], {"node": {"name": "Good"}})


async def test_a_start_that_ends_while_it_tries_what_rescue_stored_takes_it_back():
    async with Rig() as rig:
        await rig.go(3_000)
    async with Rig(board=rescued(rig)) as later:
        later.broker.echoes = False
        await later.go(5_000)
    async with Rig(board=again(later)) as last:
        await last.go(5_000)
        equal(states(last), [("rolled-back", 4, "restarted before the node was online")])


async def test_sensors_pins_power_and_long_intervals_are_on_trial():
    for patch in ({"sensors": {"air": {"pin": 4}}}, {"sensors": {"more": {"driver": "host"}}},
                  {"sensors": {"air": None}}, {"sensors": {"air": {"interval_s": 86_400}}}, {"board": {"scl_pin": 5}},
                  {"telemetry": {"interval_s": 3_601}}, {"mqtt": {"base": "elsewhere"}}):
        async with Rig() as rig:
            await rig.go(3_000)
            rig.broker.echoes = False
            await rig.says("config/set", document(1, patch), ms=5_000)
            assert stored(rig).get("old") == {}, patch
            await rig.pass_ms(TRIAL_MS + 12_000)
            equal(stored(rig)["patch"], {}, patch)
            assert "old" not in stored(rig)


async def test_another_broker_has_an_echo_and_must_have_the_document_too():
    async with Rig() as rig:
        await rig.go(3_000)
        await rig.says("config/set", document(1, ELSEWHERE), retain=True, ms=TRIAL_MS - 1_000)
        equal(states(rig)[1:], [("trial", 1, None)])
        await rig.pass_ms(10_000)
        equal(states(rig)[2:], [("rolled-back", 1, NOT_FOUND)])
        equal(stored(rig), {"revision": 1, "patch": {}, "why": NOT_FOUND})
        equal([opened[1] for opened in rig.board.opened], ["broker.test", "elsewhere.test", "broker.test"])


async def test_only_the_very_document_counts_at_the_new_broker():
    another = {"mqtt": {"host": "elsewhere.test"}, "node": {"name": "Attic"}}
    for revision, patch in ((1, another), (1, {}), (0, ELSEWHERE)):
        async with Rig() as rig:
            await rig.go(3_000)
            publish_there(rig, revision, patch)
            await rig.says("config/set", document(1, ELSEWHERE), ms=TRIAL_MS + 9_000)
            assert ("rolled-back", 1, NOT_FOUND) in states(rig) and ("applied", 1, None) not in states(rig), revision


async def test_the_document_may_come_to_the_new_broker_later_and_otherwise_spelled():
    patch = {"mqtt": {"host": "elsewhere.test", "password": "a-secret-word"}, "sensors": {"air": {"low_mv": 0.1}}}
    async with Rig() as rig:
        await rig.go(3_000)
        await rig.says("config/set", document(1, patch), ms=TRIAL_MS // 2)
        equal(states(rig)[-1], ("trial", 1, None))
        text = '{ "patch":{"sensors":{"air":{"low_mv":0.1}},"mqtt":{"host":"elsewhere.test"}}, "revision":1 }'
        await rig.says("config/set", text, ms=2_000)
        equal(states(rig)[-1], ("applied", 1, None), "secrets that are left out keep their value:")
        equal(stored(rig), {"revision": 1, "patch": patch})


async def test_a_document_at_the_old_broker_proves_nothing_of_the_new_one():
    async with Rig() as rig:
        await rig.go(3_000)
        for _ in range(3):  # the last ones arrive while the node leaves
            rig.line.deliver(TOP + "config/set", document(1, ELSEWHERE))
        await rig.pass_ms(TRIAL_MS + 9_000)
        equal(states(rig)[-1], ("rolled-back", 1, NOT_FOUND))


class Old:
    """A link that still obeys the old configuration, as in an attempt that was under way."""

    obeys = fault = None


def test_only_a_connection_with_the_new_configuration_proves_it():
    settings, link = desired.Settings(), Old()
    settings.effective = {"config": {"trial_s": 10}, "mqtt": {"host": "h", "port": 1}}
    for moved in (False, True):
        settings.moved, settings.found, link.obeys = moved, 1, {}
        tried = tryout.Tryout(settings, link, 5, 0.5)
        equal(tried.over_ms, 10_005)
        tried.hear("config", b"")
        tried.hear("probe", tried.nonce)
        equal(tried.good(), False, "by the old one:")
        link.obeys = settings.effective
        tried.hear("probe", b"another")
        equal(tried.good(), False)
        tried.hear("probe", tried.nonce)
        equal(tried.good(), not moved)
        tried.hear("config", b"")
        equal(tried.good(), not moved, "what was found before is not what came now:")
        settings.found = 1
        equal(tried.good(), True)


async def test_another_port_is_another_broker_and_the_usual_one_named_is_not():
    for patch, moved in (({"mqtt": {"port": 1884}}, True), ({"mqtt": {"port": 1883}}, False)):
        desk = Desk()
        desk.send(1, patch)
        equal(desk.settings.moved, moved, patch)
    desk = Desk()
    desk.send(1, ELSEWHERE)
    equal(desk.settings.moved, True)
    equal(desk.again().settings.moved, True, "also after a restart:")
    desk.send(2, {"node": {"id": "else"}})
    equal((desk.settings.trial, desk.settings.moved), (True, False), "back again, before the trial is over:")


async def test_signed_documents_count_at_the_new_broker_when_they_are_signed():
    key = "0f" * 32
    text = document(1, ELSEWHERE).encode()
    good = signed.sign(key, "fake-a1b2c3", "config", text)
    for there, end in ((text, "rolled-back"), (signed.sign(key, "other", "config", text), "rolled-back"),
                       (good, "applied")):
        async with Rig(dict(BASE, config={"key": key, "trial_s": 120})) as rig:
            await rig.go(3_000)
            rig.broker.kept[TOP + "config/set"] = there
            await rig.says("config/set", good, ms=TRIAL_MS + 9_000)
            equal(stored(rig)["patch"], ELSEWHERE if end == "applied" else {}, end)
            assert "old" not in stored(rig)


async def test_what_cannot_strand_is_not_on_trial():
    short = {"sensors": {"air": {"interval_s": 9}}}
    for patch in ({"telemetry": {"interval_s": 3_600}}, {"node": {"area": "Roof"}}, short):
        async with Rig() as rig:
            await rig.go(3_000)
            await rig.says("config/set", document(1, patch), ms=5_000)
            equal(stored(rig), {"revision": 1, "patch": patch})


async def test_a_change_of_sensors_that_works_is_kept():
    async with Rig() as rig:
        await rig.go(3_000)
        await rig.says("config/set", document(1, {"sensors": {"more": {"driver": "host"}}}), ms=5_000)
        equal(states(rig)[1:], [("trial", 1, None), ("applied", 1, None)])


def test_deep_sleep_and_a_week_of_it_are_on_trial_from_the_next_start_on():
    for power in ({"mode": "deepsleep"}, {"mode": "deepsleep", "send_every": 1_000}):
        desk = Desk()
        equal(desk.send(1, {"power": power}), "restart")
        found = json.loads(desk.board.files.content["config"])
        equal((found["old"], found["first"]), ({}, True))
    desk = Desk(dict(DESK_BASE, power={"mode": "deepsleep"}, telemetry={"interval_s": 60}))
    desk.send(1, {"power": {"send_every": 61}})
    assert desk.settings.trial, "an hour and a minute of silence"


async def test_light_sleep_begins_on_trial_and_ends_when_the_node_was_not_heard():
    for heard in (True, False):
        async with Rig() as rig:
            await rig.go(3_000)
            equal(rig.board.saves_power, [False])
            await rig.says("config/set", document(1, {"power": {"mode": "lightsleep"}}), ms=15_000)
            equal((rig.ended, rig.result), (True, "restart"))
        async with Rig(board=again(rig)) as later:
            later.broker.echoes = heard
            await later.go(5_000)
            equal(later.board.saves_power[0], True)
            await later.pass_ms(TRIAL_MS + 12_000)
            equal(states(later)[-1][:2], ("applied" if heard else "rolled-back", 1))
            equal(later.board.saves_power[-1], heard)
