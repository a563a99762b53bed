"""What comes in: commands by one table of verbs, and documents of the configuration, each in its turn."""

import json

_MAX_WAITING = 8  # messages: a flood is counted and dropped, telemetry goes on
_MAX_COMMAND_BYTES = 1_024
_MAX_WORD_BYTES = 64
_SPREAD_MS = 10_000  # commands to many nodes are obeyed at random within this, or they would answer in step
_BLINKS = 20
_BLINK_MS = 250
_IDLE_MS = 60_000


class Control:
    """`verbs` maps a command's verb to a function of its word, which may return a dict for the reply.

    `follow(kind, name, payload)` is called with everything else, `reply(fields)` with each answer; `opened(verb,
    payload)` gives a command's payload without its signature, or raises ValueError.
    """

    def __init__(self, board, verbs, follow, reply, opened):
        self._board = board
        self._verbs = verbs
        self._follow = follow
        self._reply = reply
        self._opened = opened
        self._waiting = []
        self._led = None
        self._blinks = 0
        self._blink_ms = 0
        self.dropped = 0

    def receive(self, now, kind, name, wide, payload):
        """Take a message; it is obeyed at a later turn, after its acknowledgement, so that a restart cannot loop."""
        if kind == "config":  # the newest one says all
            self._waiting = [item for item in self._waiting if item[1] != kind]
        elif payload is not None and len(payload) > _MAX_COMMAND_BYTES:
            payload = None
        if len(self._waiting) >= _MAX_WAITING:
            self.dropped += 1
            return
        due = now + int(self._board.random() * _SPREAD_MS) if wide else now
        self._waiting.append((due, kind, name, wide, payload))

    def turn(self, now):
        """Obey what is due at `now` (milliseconds of uptime); returns milliseconds until there is more to do."""
        due = [item for item in self._waiting if item[0] <= now]
        self._waiting = [item for item in self._waiting if item[0] > now]
        for _, kind, name, wide, payload in due:
            if kind == "command":
                self._command(name, wide, payload)
            else:
                self._follow(kind, name, payload)
        return min([self._blink(now)] + [item[0] - now for item in self._waiting])

    def identify(self, pin):
        """Blink the LED at `pin` (None: there is none) for five seconds."""
        if pin is not None:
            self._led = self._board.output_pin(pin)
            self._blinks = _BLINKS
            self._blink_ms = 0

    def _blink(self, now):
        if not self._blinks:
            return _IDLE_MS
        if now >= self._blink_ms:
            self._blinks -= 1
            self._led.value(self._blinks & 1)
            self._blink_ms = now + _BLINK_MS
        return self._blink_ms - now

    def _command(self, verb, wide, payload):
        """Obey one verb and answer; whatever is wrong with it becomes the answer."""
        fields = {"id": None, "verb": verb[:32], "ok": False}
        try:
            fields["id"], word = _arguments(self._opened(verb, payload))
            if verb not in self._verbs:
                raise ValueError("unknown verb, allowed: " + " ".join(sorted(self._verbs)))
            if wide and verb == "factory-reset":
                raise ValueError("not for many nodes at once")
            fields.update(self._verbs[verb](word) or {})
            fields["ok"] = True
        except (ValueError, OSError) as error:
            fields["error"] = str(error)
        self._board.log("command %s: %s" % (fields["verb"], fields.get("error", "ok")))
        self._reply(fields)


def _arguments(payload):
    """(id, word) of a command's payload: nothing, a word, or a JSON object. Raises ValueError."""
    if payload is None or len(payload) > _MAX_COMMAND_BYTES:
        raise ValueError("longer than %d bytes" % _MAX_COMMAND_BYTES)
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
