"""What comes in: the desired configuration, bare values for single keys, commands. One table of verbs."""

import asyncio
import json

MAX_WAITING = 8  # messages: a flood is counted and dropped, telemetry goes on
MAX_COMMAND_BYTES = 1_024
MAX_WORD_BYTES = 64
SPREAD_MS = 10_000  # commands to many nodes are obeyed at random within this, or they would answer in step
BLINKS = 10
BLINK_MS = 250


class Control:
    """`verbs` maps a command's verb to a function of its word, which may return a dict for the reply.

    `follow(effect)` is called after each document: None (nothing changed), "live", "reconnect", or "announce" when
    Home Assistant asks to hear everything again; `reply(fields)` is called with each answer.
    """

    def __init__(self, board, desired, verbs, follow, reply):
        self._board = board
        self._desired = desired
        self._verbs = verbs
        self._follow = follow
        self._reply = reply
        self._waiting = []
        self._come = asyncio.Event()
        self.dropped = 0

    def receive(self, kind, name, wide, payload):
        """Take a message; it is obeyed later, after its acknowledgement has left, so that a restart cannot loop."""
        if len(self._waiting) >= MAX_WAITING:
            self.dropped += 1
            return
        self._waiting.append((kind, name, wide, payload))
        self._come.set()

    async def run(self):
        """Obey what comes, in order."""
        while True:
            await self._come.wait()
            self._come.clear()
            while self._waiting:
                kind, name, wide, payload = self._waiting.pop(0)
                if wide:
                    await self._board.sleep_ms(int(self._board.random() * SPREAD_MS))
                self._obey(kind, name, wide, payload)
                if kind == "command" and name == "identify":
                    await self._blink()

    def _obey(self, kind, name, wide, payload):
        if kind == "command":
            self._command(name, wide, payload)
        elif kind == "config":
            self._follow(self._desired.obey(payload))
        elif kind == "announce":
            self._follow("announce")
        else:
            self._follow(self._desired.obey_key(name, payload))

    async def _blink(self):
        pin = self._desired.effective["board"]["led_pin"]
        if pin is not None:
            led = self._board.output_pin(pin)
            for count in range(2 * BLINKS):
                led.value(1 - count % 2)
                await self._board.sleep_ms(BLINK_MS)

    def _command(self, verb, wide, payload):
        """Obey one verb and answer; whatever is wrong with it becomes the answer."""
        fields = {"id": None, "verb": verb[:32], "ok": False}
        try:
            fields["id"], word = _arguments(payload)
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
    if payload is None or len(payload) > MAX_COMMAND_BYTES:
        raise ValueError("longer than %d bytes" % MAX_COMMAND_BYTES)
    if payload[:1] != b"{":
        if len(payload) > MAX_WORD_BYTES:
            raise ValueError("a word has up to %d bytes" % MAX_WORD_BYTES)
        return None, str(payload, "utf-8")
    try:
        document = json.loads(str(payload, "utf-8"))
        name = document.get("id")
    except (ValueError, MemoryError, RuntimeError):  # CPython's parser recurses, MicroPython's allocates
        raise ValueError("not a JSON object")
    if not (name is None or isinstance(name, (str, int)) and len(str(name)) <= 64):
        raise ValueError("id: a text of up to 64 characters")
    return name, document.get("word", "")
