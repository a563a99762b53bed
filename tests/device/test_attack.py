"""Hostile documents of the configuration: each is refused once, with a reason, and nothing stored or obeyed changes.

MOTE_FUZZ_CASES and MOTE_FUZZ_SEED as for packets: so many mutations of good documents, on top of the corpus.
"""

import gc
import json
import os

import signed
from firmware import config, desired, reported
from minitest import equal
from stage import Board
from test_config import WRONG
from test_node import TOP, Rig

CASES = int(os.getenv("MOTE_FUZZ_CASES", "2000"))
SEED = int(os.getenv("MOTE_FUZZ_SEED", "411"))
KEY = "0f" * 32
HOME = {"node": {"name": "Greenhouse"}, "wifi": {"home": {"password": "a-wifi-secret"}},
        "mqtt": {"host": "broker.test", "password": "an-mqtt-secret"}, "sensors": {"air": {"driver": "host"}}}
GOOD = b'{"revision": 6, "patch": {"node": {"name": "Attic"}, "telemetry": {"interval_s": 30, "qos": 0}}}'
WORDS = (b"{", b"}", b"[", b'"', b"1e999", b"null", b"-", b":", b"\\u0000")
HEAP_BYTES = 1_024


class Target:
    """A node's configuration at revision 5. `fires` sends a document and tells whether it was obeyed."""

    def __init__(self, key=None):
        self.board = Board(dict(HOME, config={"key": key}))
        self.board.log = lambda text: None
        self.board.files.save("config", b'{"revision": 5, "patch": {"node": {"area": "Roof"}}}')
        self.settings = desired.Settings()
        desired.load(self.board, config, self.settings)

    def fires(self, data):
        self.settings.report = ()
        return desired.obey(self.board, config, self.settings, data) is not None

    def refuses(self, data):
        stored, effective = self.board.files.content["config"], self.settings.effective
        assert not self.fires(data), data
        assert self.board.files.content["config"] is stored and self.settings.effective is effective, data
        settings = self.settings
        text = "".join(reported.pieces((self.board, settings.revision, settings.report, settings.effective)))
        report = json.loads(text)
        equal((report["state"], report["revision"]), ("rejected", 5), data)
        assert report["reason"] and "secret" not in text, data


def patched(patch, revision="6"):
    return ('{"revision": %s, "patch": %s}' % (revision, patch)).encode()


def bytes_that_are_no_document():
    yield from (None, b"", b" ", b"\0", b"\xff" * 200, b"\xef\xbb\xbf" + GOOD, b"\xfe\xff" + bytes(100), b"null", b"5",
                b'"x"', b"[]", b"{}", b"[" + GOOD + b"]", GOOD + GOOD, GOOD + b"x", b"{" + GOOD, b"'a'", b"{a: 1}",
                b"\x1b[2J", GOOD.replace(b"Attic", b"\xff\xfe"), GOOD.replace(b"Attic", b"\xed\xa0\x80"),
                b" " * 4_096 + GOOD, b"x" * 200_000, bytes([one for letter in GOOD for one in (letter, 0)]))
    for depth in (7, 100, 1_000, 2_000):
        yield b"[" * depth + b"]" * depth
        yield patched('{"a":' * depth + "1" + "}" * depth)[:4_096]
    for end in range(1, len(GOOD)):
        yield GOOD[:end]


def documents_of_another_form():
    for revision in ("true", "null", '"6"', "6.5", "[6]", "{}", "1006", str(2**30), str(2**31), str(10**50), "1e3"):
        yield patched("{}", revision)
    for patch in ("null", "[]", "5", '"x"', "true", "[{}]"):
        yield patched(patch)
    yield from (b'{"revision": 6}', b'{"patch": {}}', b'{"revision": 6, "patch": {}, "more": 1}',
                b'{"revision": 6, "revision": 9999, "patch": {}}')


def keys_that_are_none():
    for key in ("__class__", "__proto__", "constructor", "", " ", "a" * 300, "node.name", "mqtt.", "*", "\\u0000",
                "\\ud800"):
        for value in ("1", '{"__init__": 1}'):
            for form in ('{"%s": %s}', '{"mqtt": {"%s": %s}}', '{"sensors": {"%s": %s}}'):
                yield patched(form % (key, value))


def wrong_values():
    """Every key with every value that its kind does not take."""
    for path, kind, low, high, _, _ in config.rows():
        values = [] if kind == "names" else list(WRONG[kind])
        if kind in ("int", "number"):
            values += [float(low) - 1, float(high) + 1]
        for value in values:
            if value == {} or value != value:
                continue  # an object that is empty changes nothing; NaN is no JSON on either Python
            for part in reversed(path.replace("wifi.*", "wifi.home").replace("sensors.*", "sensors.air").split(".")):
                value = {part: value}
            text = json.dumps(value)
            if "inf" in text.lower():
                text = text.replace("-inf", "-1e999").replace("inf", "1e999").replace("-Infinity", "-1e999")
                text = text.replace("Infinity", "1e999")
            yield patched(text)


def corpus():
    for group in (bytes_that_are_no_document, documents_of_another_form, keys_that_are_none, wrong_values):
        yield from group()


def test_every_document_of_the_corpus_is_refused_with_a_reason():
    target = Target()
    target.refuses(GOOD[:-1])
    before = used()
    count = 0
    for data in corpus():
        target.refuses(data)
        count += 1
    assert count >= 500, count
    target.refuses(GOOD[:-1])
    assert used() - before < HEAP_BYTES, used() - before
    assert target.fires(GOOD), "and a good one is still obeyed"


def used():
    gc.collect()
    return gc.mem_alloc() if hasattr(gc, "mem_alloc") else 0


class Chance:
    """Random numbers, the same on both Pythons."""

    def __init__(self, seed):
        self._state = seed

    def below(self, bound):
        self._state = (self._state * 1_103_515_245 + 12_345) % 2**31
        return (self._state >> 8) % bound

    def mutated(self, data):
        """`data` with one to four bytes or stretches of it changed, cut, doubled or replaced."""
        result = bytearray(data)
        for _ in range(1 + self.below(4)):
            at = self.below(len(result) or 1)
            what = self.below(6)
            if what == 0 and result:
                result[at] ^= 1 << self.below(8)
            elif what == 1:
                result = result[:at] + bytes([self.below(256)]) + result[at:]
            elif what == 2:
                result = result[:at] + result[at + 1 + self.below(9):]
            elif what == 3:
                result = result[:at] + result[at:at + self.below(30)] + result[at:]
            elif what == 4:
                result = result[:at] + WORDS[self.below(len(WORDS))] + result[at:]
            else:
                result = result[:at]
        return bytes(result)


def test_mutations_are_refused_or_make_a_configuration_that_is_good():
    chance, obeyed = Chance(SEED), 0
    target = Target()
    for number in range(CASES):
        data = chance.mutated(GOOD)
        stored = target.board.files.content["config"]
        try:
            if target.fires(data):
                obeyed += 1
                equal(config.check(config.merge(json.loads(target.board.read_config()),
                                                desired.stored(target.board)["patch"])), [], data)
                target = Target()
            else:
                assert target.board.files.content["config"] is stored
        except Exception:
            print("seed %d, case %d: %r" % (SEED, number, data))
            raise
    assert obeyed < CASES / 2, obeyed


def test_no_mutation_of_a_signed_document_is_obeyed():
    chance, target = Chance(SEED + 1), Target(KEY)
    message = signed.sign(KEY, target.board.default_id, "config", GOOD)
    for _ in range(CASES // 10):
        data = chance.mutated(message)
        if data != message:
            target.refuses(data)
    assert target.fires(message)


async def test_the_node_goes_on_reporting_under_fire():
    async with Rig() as rig:
        await rig.go(3_000)
        before = dict(rig.board.files.content)
        count = 0
        for number, data in enumerate(corpus()):
            if number % 15 == 0 and data:
                count += 1
                readings = len(rig.readings())
                found = await rig.says("config/set", data[:4_096], ms=11_000)
                reports = [message for message in found if message.topic == TOP + "config"]
                assert len(reports) == 1 and reports[0].json()["state"] == "rejected", data
                assert len(rig.readings()) > readings, data
        assert count > 30
        for name in before:
            if name in ("config", "boot"):
                equal(rig.board.files.content[name], before[name])
        equal(len(rig.broker.lines), 1)
