"""What hangs at a digital input: a contact, a motion detector, or something that gives pulses, as a button does."""

QUANTITY = {"motion": "motion", "pulse": "pulses", "press": "pulses"}


class Chip:
    """`fault`: None, "missing" (no such input), or "stuck" (the level never changes again)."""

    BUS = "pin"

    def __init__(self, world, options, clock_ms):
        self.fault = None
        self._world = world
        self._invert = bool(options.get("invert"))
        self._quantity = QUANTITY.get(options.get("kind"), "open")
        self._given = None
        self._level = 0
        self.poll()

    def poll(self):
        """Take over what the world does. A pulse is a rise at one call and a fall at the next."""
        if self.fault == "stuck":
            return
        value = int(self._world(self._quantity))
        if self._quantity != "pulses":
            self._level = value
        elif self._level:
            self._level = 0
        else:
            if self._given is None:
                self._given = value
            if value > self._given:
                self._given += 1
                self._level = 1

    def value(self):
        """The pin's level, 0 or 1."""
        if self.fault == "missing":
            raise OSError(19)
        return self._level ^ self._invert
