"""Commands: which are obeyed, when, and what is answered."""

import json

from firmware.control import Control
from lending import load
from minitest import equal
from stage import Board

SPREAD_MS = 10_000


class Desk:
    """A control with the verbs `do` (gives its word back), `break` and `refuse`; `now` is its time."""

    def __init__(self):
        self.board = Board()
        self.words = []
        self.followed = []
        self.replies = []
        self.now = 0
        verbs = {"do": self._do, "quiet": self.words.append, "break": self._break, "refuse": self._refuse,
                 "factory-reset": self.words.append}
        self.control = Control(self.board, load, verbs, self._follow, self.replies.append, self._opened)

    def _do(self, word):
        self.words.append(word)
        return {"word": word}

    def _break(self, word):
        raise OSError(19)

    def _refuse(self, word):
        raise ValueError("not today")

    def _opened(self, verb, payload):
        if payload == b"forged":
            raise ValueError("not signed")
        return payload[1:] if payload and payload[:1] == b"!" else payload

    def _follow(self, *message):
        self.followed.append(message)

    def command(self, verb, payload=b"", wide=False):
        """What one command is answered, at once."""
        self.replies.clear()
        self.control.receive(self.now, "command", verb, wide, payload)
        equal(self.replies, [], "answered before its turn")
        self.control.turn(self.now)
        reply, = self.replies
        json.dumps(reply).encode()
        return reply


def test_a_verb_is_obeyed_at_its_turn_and_answered():
    desk = Desk()
    equal(desk.command("do", b"now"), {"id": None, "verb": "do", "ok": True, "word": "now"})
    equal(desk.command("quiet"), {"id": None, "verb": "quiet", "ok": True})
    equal(desk.words, ["now", ""])
    desk.replies.clear()
    desk.control.turn(0)
    equal((desk.words, desk.replies), (["now", ""], []), "once is enough:")


def test_a_signature_is_taken_off_and_what_is_forged_is_answered_and_not_obeyed():
    desk = Desk()
    equal(desk.command("do", b"!now")["word"], "now")
    equal(desk.command("do", b"forged"), {"id": None, "verb": "do", "ok": False, "error": "not signed"})
    equal(desk.words, ["now"])


def test_an_id_comes_back():
    desk = Desk()
    for name in ("a", "", 7, 0, "x" * 64, "\u00e9", None):
        reply = desk.command("do", json.dumps({"id": name, "word": "w"}).encode())
        equal((reply["id"], reply["ok"], reply["word"]), (name, True, "w"))
    equal(desk.command("nonsense", b'{"id": "a"}')["id"], "a", "with a refusal too:")
    equal(desk.command("break", b'{"id": 5}')["id"], 5)
    equal(desk.command("do", b"{}"), {"id": None, "verb": "do", "ok": True, "word": ""})


def test_an_id_is_a_short_text_or_number():
    desk = Desk()
    for name in ("x" * 65, 1.5, [], {}, ["a"], 10**64):
        reply = desk.command("do", json.dumps({"id": name}).encode())
        equal((reply["ok"], reply["id"], reply["error"]), (False, None, "id: a text of up to 64 characters"))
    equal(desk.words, [])


def test_an_unknown_verb_is_answered_with_the_known_ones():
    desk = Desk()
    for verb in ("nonsense", "", "Do", "do ", "__init__", "x" * 5000):
        reply = desk.command(verb)
        equal((reply["ok"], reply["verb"]), (False, verb[:32]))
        equal(reply["error"], "unknown verb, allowed: break do factory-reset quiet refuse")


def test_what_a_verb_raises_is_its_answer():
    desk = Desk()
    equal(desk.command("refuse"), {"id": None, "verb": "refuse", "ok": False, "error": "not today"})
    reply = desk.command("break")
    assert reply["ok"] is False and "19" in reply["error"], reply
    assert "! command refuse: not today" in desk.board.said


def test_payloads_have_bounds():
    desk = Desk()
    equal(desk.command("do", b"x" * 64)["ok"], True)
    equal(desk.command("do", b"x" * 65)["error"], "a word has up to 64 bytes")
    equal(desk.command("do", b"\xc3\xa9" * 32)["ok"], True)
    equal(desk.command("do", b"\xc3\xa9" * 33)["error"], "a word has up to 64 bytes")
    padded = b'{"id": 1}' + b" " * 1015
    equal((len(padded), desk.command("do", padded)["ok"]), (1024, True))
    equal(desk.command("do", padded + b" ")["error"], "longer than 1024 bytes")
    equal(desk.command("do", None)["error"], "longer than 1024 bytes")
    equal(len(desk.words), 3)


def test_payloads_that_are_nothing_are_refused():
    desk = Desk()
    for payload in (b"{", b"{'a': 1}", b'{"id": 1}}', b'{"id": nul}', b'{"id": NaN', b'{"a":' * 204,
                    b'{"a":' + b"[" * 1019):
        reply = desk.command("do", payload)
        equal((reply["ok"], reply["error"]), (False, "not a JSON object"), payload)
    for payload in (b"\xff", b'{"id": "\xff"}', b"\xc3"):
        reply = desk.command("do", payload)
        equal((reply["ok"], reply["error"]), (False, "not UTF-8"), payload)
    equal(desk.words, [])


def test_1024_levels_do_not_end_the_node():
    desk = Desk()
    deep = b'{"a":' + b"[" * 509 + b"]" * 509 + b"}"
    desk.command("do", deep)  # one Python can, the other cannot
    for name in (b"[" * 500 + b"]" * 500, b'{"a":' * 160 + b"1" + b"}" * 160):
        equal(desk.command("do", b'{"id":' + name + b"}")["ok"], False)
    equal(desk.command("do")["ok"], True)


def test_a_flood_is_bounded_and_counted():
    desk = Desk()
    for count in range(20):
        desk.control.receive(0, "command", "do", False, b"%d" % count)
    equal(desk.control.dropped, 12)
    desk.control.turn(0)
    equal(desk.words, ["0", "1", "2", "3", "4", "5", "6", "7"])
    equal(desk.command("do", b"next")["ok"], True, "there is room again:")
    equal(desk.control.dropped, 12)


def test_a_document_finds_room_behind_a_flood():
    desk = Desk()
    for _ in range(20):
        desk.control.receive(0, "command", "do", True, b"x")
    desk.control.receive(0, "config", None, False, b"first")
    desk.control.receive(0, "config", None, False, b"last")
    desk.control.turn(0)
    equal((desk.followed, desk.control.dropped), ([("config", None, b"last")], 12))


def test_commands_to_many_are_spread():
    desk = Desk()
    for chance, due in ((0.0, 0), (0.25, 2500), (0.9999, 9999)):
        desk.board.chance = chance
        desk.words.clear()
        desk.control.receive(1000, "command", "do", True, b"")
        if due:
            equal(desk.control.turn(1000), due)
            equal(desk.control.turn(999 + due), 1)
            equal(desk.words, [])
        assert desk.control.turn(1000 + due) > 0
        equal(desk.words, [""], chance)


def test_a_command_that_waits_holds_up_no_other():
    desk = Desk()
    desk.control.receive(0, "command", "do", True, b"wide")
    desk.control.receive(0, "command", "do", False, b"own")
    equal(desk.control.turn(0), 5000)
    equal(desk.words, ["own"])
    desk.control.turn(SPREAD_MS)
    equal(desk.words, ["own", "wide"])


def test_factory_reset_is_not_for_many():
    desk = Desk()
    desk.board.chance = 0
    equal(desk.command("factory-reset", wide=True)["error"], "not for many nodes at once")
    equal(desk.words, [])
    equal(desk.command("factory-reset")["ok"], True)


def test_everything_else_is_followed_in_order():
    desk = Desk()
    desk.control.receive(0, "config", None, False, b"{}")
    desk.control.receive(0, "key", "a.b", False, b"1")
    desk.control.receive(0, "announce", None, True, b"online")
    desk.control.turn(0)
    equal(desk.followed, [("config", None, b"{}"), ("key", "a.b", b"1")])
    desk.control.turn(SPREAD_MS)
    equal(desk.followed[2:], [("announce", None, b"online")])
    equal(desk.replies, [], "no command, no reply:")


def test_of_documents_that_wait_the_newest_says_all():
    desk = Desk()
    for number in range(20):
        desk.control.receive(0, "config", None, False, b"%d" % number)
    desk.control.receive(0, "command", "do", False, b"x")
    desk.control.receive(0, "config", None, False, b"last")
    desk.control.turn(0)
    equal(desk.followed, [("config", None, b"last")])
    equal((desk.words, desk.control.dropped), (["x"], 0))


def test_long_payloads_do_not_wait_in_memory():
    desk = Desk()
    desk.control.receive(0, "key", "node.name", False, b"x" * 1025)
    desk.control.receive(0, "key", "node.name", False, b"x" * 1024)
    desk.control.receive(0, "config", None, False, b"x" * 4096)
    desk.control.receive(0, "announce", None, False, None)
    desk.control.turn(0)
    equal([payload and len(payload) for _, _, payload in desk.followed], [None, 1024, 4096, None])


def test_identify_blinks_for_five_seconds_and_leaves_the_led_off():
    desk = Desk()
    desk.now = 70_000
    desk.control.identify(2)
    led, = desk.board.leds
    equal(led.number, 2)
    while True:
        desk.board.now_ms = desk.now
        wait = desk.control.turn(desk.now)
        if wait > 1000:
            break
        assert wait > 0
        desk.now += wait
    equal(len(led.shown), 20)
    equal([level for _, level in led.shown], [1, 0] * 10)
    equal(led.shown[-1][0] - led.shown[0][0], 4750)
    assert wait >= 60_000


def test_identify_without_a_led_does_nothing():
    desk = Desk()
    desk.control.identify(None)
    equal(desk.control.turn(0), 60_000)
    equal(desk.board.leds, [])


def test_identify_again_begins_anew():
    desk = Desk()
    desk.control.identify(2)
    for now in (0, 250, 500):
        desk.control.turn(now)
    desk.control.identify(3)
    for now in range(750, 10_000, 250):
        desk.control.turn(now)
    equal([level for _, level in desk.board.leds[1].shown], [1, 0] * 10)
