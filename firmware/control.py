"""What comes in: commands by one table of verbs, and documents of the configuration, each in its turn."""

_MAX_WAITING = 8  # messages: a flood is counted and dropped, telemetry goes on
_MAX_COMMAND_BYTES = 1_024
_SPREAD_MS = 10_000  # commands to many nodes are obeyed at random within this, or they would answer in step
_IDLE_MS = 60_000


class Control:
    """`verbs` maps a command's verb to a function of its word, which may return a dict for the reply.

    `follow(kind, name, payload)` is called with everything else, `reply(fields)` with each answer; `opened(verb,
    payload)` gives a command's payload without its signature, or raises ValueError. `fetch` loads code.
    """

    def __init__(self, board, fetch, verbs, follow, reply, opened):
        self._board = board
        self._fetch = fetch
        self._verbs = verbs
        self._follow = follow
        self._reply = reply
        self._opened = opened
        self._waiting = []
        self._lamp = None
        self.dropped = 0

    def receive(self, now, kind, name, wide, payload):
        """Take a message; it is obeyed at a later turn, after its acknowledgement, so that a restart cannot loop."""
        if kind == "config":  # the newest one says all
            self._waiting = [item for item in self._waiting if item[1] != kind]
        elif payload is not None and len(payload) > _MAX_COMMAND_BYTES:
            payload = None
        if len(self._waiting) >= _MAX_WAITING and kind != "config":  # of which one waits at most; it may not come again
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
            self._lamp = self._fetch("firmware.commands").Lamp(self._board.output_pin(pin))

    def _blink(self, now):
        wait = self._lamp.turn(now) if self._lamp else None
        if wait is None:
            self._lamp = None
            return _IDLE_MS
        return wait

    def _command(self, name, wide, payload):
        obey = self._fetch("firmware.commands").obey
        self._reply(obey(self._board, self._verbs, self._opened, name, wide, payload))
