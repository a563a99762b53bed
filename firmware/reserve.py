"""Readings of a sleeping node that its memory cannot hold: on flash, in the queue of firmware/outbox.py, so that a node
which is told to stay awake goes on with them. Only lent.
"""

_UPTIME = 128  # flag in the sensor index: the clock was not set, so that flash could not tell the time


class Reserve:
    """`box` is a new firmware.outbox.Outbox, `slots` the module of that name; `sensors` is a list of (name, quantities)
    by the index that the readings of `kept`, a firmware.kept.Kept, have."""

    def __init__(self, box, slots, ring, kept, config, sensors):
        self._box = box
        self._kept = kept
        box.rules = config["outbox"]
        for name, quantities in sensors:
            slots.declare(box, name, quantities, config["sensors"][name].get("keep") or "all")
        slots.resize(box, ring, max(16, len(kept.readings)))
        box.seq = kept.seq
        box.start(kept.boot)
        self._note()

    def spill(self, last=False):
        """Move what waits to flash; `last`: and end the boot, as another node goes on with it."""
        box, kept = self._box, self._kept
        before, policy = sum(box.dropped.values()), box.dropped["policy"]
        timed = [reading for reading in kept.readings if not reading[8] & _UPTIME]
        kept.readings = [reading for reading in kept.readings if reading[8] & _UPTIME]
        for reading in timed:
            box.age(reading)
        if last:
            box.close()
        elif box.rules["flash_bytes"]:
            box.flash("spill")
        policy = box.dropped["policy"] - policy
        kept.policy += policy
        kept.dropped += sum(box.dropped.values()) - before - policy
        while len(box.old):  # flash does not take them
            record = bytes(box.old.pop())
            kept.readings.append(record[: 9 + 4 * len(box.sensors[record[8] & 127][1])])
        self._note()

    def take(self):
        """The next batch for the backlog, as readings of a dialect; an empty list when there is none to send."""
        box = self._box
        while box.stored or box.inherited["queued"]:
            found = box.flash("take")
            if found is None:
                break
            if found[1]:
                return found[1]
            if box.sent is None or box.flash("note") is None:  # a batch of which none was to be sent
                break
        self._note()
        return []

    def done(self):
        """The broker has the batch."""
        box, before = self._box, self._box.acknowledged
        box.acknowledge(box.taken)
        box.flash("note")
        self._kept.acknowledged += box.acknowledged - before
        self._note()

    def _note(self):
        self._kept.stored = self._box.stored
        self._kept.inherited = self._box.inherited["queued"]
