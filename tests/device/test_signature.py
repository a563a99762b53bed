"""With config.key set: what is not signed, or old, or for a neighbour is refused, counted and not obeyed."""

import json

import signed
from firmware import config, desired, signature, trial
from minitest import equal, raises
from stage import Board
from test_desired import BASE as DESK_BASE
from test_desired import Desk
from test_node import BASE, TOP, Rig, again

KEY = "0f" * 32
KEYED = dict(BASE, config={"key": KEY, "trial_s": 120})
NODE = Board().default_id
NAME = {"node": {"name": "Attic"}}


def text(fields):
    return json.dumps(fields).encode()


def document(revision, patch, node=NODE, key=KEY, kind="config"):
    return signed.sign(key, node, kind, text({"revision": revision, "patch": patch}))


async def report(rig, payload):
    """The last report once the node has followed a document."""
    await rig.says("config/set", payload, ms=5_000)
    found = rig.line.on(TOP + "config")[-1].json()
    return found["state"], found["revision"]


async def refused(rig):
    """How much the node has counted."""
    await rig.pass_ms(61_000)
    return rig.line.on(TOP + "diagnostics")[-1].json()["refused"]


async def test_a_signed_document_counts_and_no_other():
    async with Rig(base=KEYED) as rig:
        await rig.go(3_000)
        for forged in (text({"revision": 1, "patch": NAME}), document(1, NAME, key="1f" * 32),
                       document(1, NAME, node="neighbour"), document(1, NAME, kind="restart"),
                       document(1, NAME)[:-1], document(1, NAME) + b" ", b"0" * 64 + b"\n{}"):
            before = dict(rig.board.files.content)
            equal(await report(rig, forged), ("rejected", 0))
            equal(rig.board.files.content, before)
        equal(await refused(rig), 7)
        equal(await report(rig, document(1, NAME)), ("applied", 1))
        equal(await refused(rig), 7)


async def test_every_earlier_document_sent_again_is_not_obeyed():
    async with Rig(base=KEYED) as rig:
        await rig.go(3_000)
        old = [document(n, {"node": {"name": "Name %d" % n}}) for n in range(1, 6)]
        for payload in old:
            equal((await report(rig, payload))[0], "applied")
        stored = rig.board.files.content["config"]
        for payload in old:
            await rig.says("config/set", payload, ms=2_000)
        equal(rig.board.files.content["config"], stored)
        equal(await refused(rig), 4, "the fifth is what the broker keeps for the node:")
    async with Rig(board=again(rig, KEYED)) as later:
        await later.go(3_000)
        for payload in old:
            await later.says("config/set", payload, ms=2_000)
        equal(later.board.files.content["config"], stored, "after a restart:")


async def test_factory_reset_is_signed_and_counts_once():
    async with Rig(base=KEYED) as rig:
        await rig.go(3_000)
        await report(rig, document(1, NAME))
        wrong = [b"", text({"n": 5}), signed.sign(KEY, NODE, "restart", text({"n": 5})),
                 signed.sign(KEY, "neighbour", "factory-reset", text({"n": 5}))]
        for fields in ({}, {"n": 0}, {"n": -1}, {"n": True}, {"n": 1.5}, {"n": "9"}, {"n": 2**53}, [5]):
            wrong.append(signed.sign(KEY, NODE, "factory-reset", text(fields)))
        for payload in wrong:
            equal((await rig.command("factory-reset", payload))["ok"], False, payload)
        equal(await refused(rig), 12)
        order = signed.sign(KEY, NODE, "factory-reset", text({"n": 5, "id": "x"}))
        reply = await rig.command("factory-reset", order)
        equal((reply["ok"], reply["id"]), (True, "x"))
        equal(json.loads(rig.board.files.content["config"]), {"revision": 2, "patch": {}})
    async with Rig(board=again(rig, KEYED)) as later:
        await later.go(3_000)
        equal((await later.command("factory-reset", order))["ok"], False, "the same again:")
        order = signed.sign(KEY, NODE, "factory-reset", text({"n": 6}))
        equal((await later.command("factory-reset", order))["ok"], True)


async def test_other_verbs_need_no_signature_but_one_that_is_there_must_be_right():
    async with Rig(base=KEYED) as rig:
        await rig.go(3_000)
        equal((await rig.command("sample"))["ok"], True)
        equal((await rig.command("sample", signed.sign(KEY, NODE, "sample", text({"n": 1}))))["ok"], True)
        equal((await rig.command("sample", signed.sign(KEY, NODE, "sample", text({"n": 1}))))["ok"], False)
        equal((await rig.command("sample", signed.sign("1f" * 32, NODE, "sample", text({"n": 2}))))["ok"], False)


async def test_without_a_key_factory_reset_needs_no_signature():
    async with Rig() as rig:
        await rig.go(3_000)
        await rig.desire(1, NAME)
        equal((await rig.command("factory-reset"))["ok"], True)
        equal(json.loads(rig.board.files.content["config"]), {"revision": 2, "patch": {}})
        await rig.pass_ms(5_000)
        assert rig.ended and rig.result == "restart"


def test_controls_reach_only_what_cannot_strand_the_node():
    desk = Desk(dict(DESK_BASE, config={"key": KEY}))
    desk.key("telemetry.interval_s", b"10")
    equal(desk.settings.effective["telemetry"]["interval_s"], 10)
    for key in ("mqtt.host", "mqtt.password", "node.id", "config.key"):
        desk.refuses("config.key", desk.key, key, b"elsewhere")
    equal(desk.settings.refused, 4)


def test_the_number_is_on_flash_before_the_command_is_obeyed():
    desk = Desk(dict(DESK_BASE, config={"key": KEY}))
    order = signed.sign(KEY, NODE, "restart", text({"n": 7}))
    desk.board.files.fails = OSError(28)
    with raises(OSError):
        signature.opened(signed, desk.board, desk.settings, "restart", order, True)
    desk.board.files.fails = None
    equal(bytes(signature.opened(signed, desk.board, desk.settings, "restart", order, True)), text({"n": 7}))
    equal(desk.board.files.content["n"], b"7")


def test_factory_reset_leaves_no_older_document_a_chance():
    desk = Desk()
    desk.send(5, NAME)
    trial.forget(desired, desk.board, config, desk.settings)
    later = desk.again()
    equal(later.settings.revision, 6)
    later.send(5, NAME)
    equal(later.settings.effective["node"]["name"], desk.again().settings.effective["node"]["name"])
