"""Commands: what one may look like, and the answer to it. Needed once in a while, and only lent."""

import json

_MAX_BYTES = 1_024
_MAX_WORD_BYTES = 64
_BLINKS = 20
_BLINK_MS = 250


class Lamp:
    """Blinks an output pin for five seconds, and leaves it off."""

    def __init__(self, pin):
        self._pin = pin
        self._blinks = _BLINKS
        self._due_ms = 0

    def turn(self, now):
        """Do what is due at `now` (milliseconds of uptime); returns milliseconds until the next, None at the end."""
        if now >= self._due_ms:
            if not self._blinks:
                return None
            self._blinks -= 1
            self._pin.value(self._blinks & 1)
            self._due_ms = now + _BLINK_MS
        return self._due_ms - now


def obey(board, verbs, opened, verb, wide, payload):
    """Obey one verb; returns the fields of the reply: whatever is wrong with it becomes the answer.

    `payload` is None when it was too long; `opened` and `verbs` as firmware.control has them.
    """
    fields = {"id": None, "verb": verb[:32], "ok": False}
    try:
        fields["id"], word = _arguments(opened(verb, payload))
        if verb not in verbs:
            raise ValueError("unknown verb, allowed: " + " ".join(sorted(verbs)))
        if wide and verb == "factory-reset":
            raise ValueError("not for many nodes at once")
        fields.update(verbs[verb](word) or {})
        fields["ok"] = True
    except (ValueError, OSError) as error:
        fields["error"] = str(error)
    board.log("%scommand %s: %s" % ("" if fields["ok"] else "! ", fields["verb"], fields.get("error", "ok")))
    return fields


def _arguments(payload):
    """(id, word) of a command's payload: nothing, a word, or a JSON object. Raises ValueError."""
    if payload is None or len(payload) > _MAX_BYTES:
        raise ValueError("longer than %d bytes" % _MAX_BYTES)
    try:
        text = str(payload, "utf-8")
    except UnicodeError:
        raise ValueError("not UTF-8")
    if text[:1] != "{":
        if len(payload) > _MAX_WORD_BYTES:
            raise ValueError("a word has up to %d bytes" % _MAX_WORD_BYTES)
        return None, text
    try:
        document = json.loads(text)
    except (ValueError, MemoryError, RuntimeError):  # CPython's parser recurses, MicroPython's allocates
        raise ValueError("not a JSON object")
    name = document.get("id")
    if not (name is None or isinstance(name, (str, int)) and len(str(name)) <= 64):
        raise ValueError("id: a text of up to 64 characters")
    return name, document.get("word", "")
