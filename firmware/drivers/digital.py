"""A digital input: a contact at a door, a motion detector, a pulse counter (water, gas, power, rain), or a button."""

_QUIET_MS = 10  # what a reed contact bounces, and more; leaves 50 pulses a second


class Driver:
    """Options: pin, kind ("contact" | "motion" | "pulse" | "press"), pull (null | "up" | "down"), invert.

    A contact is open (1) and motion is seen (1) while the pin is high; a pulse counts when the pin rises. A press
    is the same, but each is told by itself, as an event.
    `invert` turns the pin's level round.
    """

    notify = None

    NEEDS_PIN = True
    KINDS = ("contact", "motion", "pulse", "press")

    def __init__(self, board, options):
        self._board = board
        self._options = options
        self._pin = None
        self._count = 0
        kind = options.get("kind")
        self._tells = kind == "press"
        self._counts = self._tells or kind == "pulse"
        self._told = 0
        if self._tells:
            self.quantities = (("press", "e", None, 0, "button", 0, 1),)
        elif self._counts:
            # Beyond 2^24 a reading's 32-bit float would skip pulses: begin again, as after a restart.
            self.quantities = (("pulses", "t", None, 0, None, 0, 0xFFFFFF),)
        elif kind == "motion":
            self.quantities = (("motion", "b", None, 0, "motion", 0, 1),)
        else:
            self.quantities = (("open", "b", None, 0, "opening", 0, 1),)

    def start(self):
        """A level is read when it has stopped bouncing; a count at once."""
        if self._pin is None:
            pin = self._board.input_pin(self._options.get("pin"), self._options.get("pull"))
            self._edge_ms = self._board.ticks_ms()
            pin.irq(self._changed)
            self._pin = pin
        return 0 if self._counts else _QUIET_MS

    def read(self):
        """(level,), (count since the start, modulo 2^24,), or (1,) for the next press and (None,) after the last."""
        if self._tells:
            return (self._next(),)
        return (self._count if self._counts else self._level(),)

    def _next(self):
        if self._told == self._count:
            return None
        self._told = self._told + 1 & 0xFFFFFF  # the interrupt writes the other: no press gets lost between
        if self._told != self._count and self.notify:
            self.notify()
        return 1

    def _level(self):
        return self._pin.value() ^ bool(self._options.get("invert"))

    def _changed(self, pin):
        if self._counts:
            # A pulse is a rise after quiet; bounces follow another edge too soon.
            now_ms = self._board.ticks_ms()
            quiet = self._board.ticks_diff(now_ms, self._edge_ms) >= _QUIET_MS
            self._edge_ms = now_ms
            if quiet and self._level():
                self._count = self._count + 1 & 0xFFFFFF
        if self.notify and (self._tells or not self._counts):
            self.notify()
