"""What the outbox is told at the start and at a change of the configuration: its sensors and its room. Only lent."""

_LIVE_SLOTS = 16  # fresh readings that wait for a place in the window; a slower link makes backlog of them
_HEAD_BYTES = 9
_SENSORS = 127  # their index has seven bits


def declare(box, name, quantities, keep="all"):
    """The index under which readings of this sensor are added to the Outbox `box`; it outlives the sensor's removal.

    `keep` says which of them wait through an outage: "all", only the "latest", or "none". Raises ValueError after 127
    different sensors.
    """
    if (name, quantities) not in box.sensors:
        if len(box.sensors) == _SENSORS:
            raise ValueError("too many sensors since the start: restart")
        box.sensors.append((name, quantities))
    index = box.sensors.index((name, quantities))
    box.keep[index] = keep
    return index


def resize(box, ring, slots):
    """Make room for `slots` readings of every declared sensor, in a `ring` (the class); what waits stays, the oldest
    goes first."""
    width = max([len(quantities) for _, quantities in box.sensors] + [1])
    size = _HEAD_BYTES + 4 * width
    if size != box.old.size or slots != box.old.slots:
        old, fresh = box.old, box.fresh
        box.old = ring(slots, size)
        box.fresh = ring(_LIVE_SLOTS, size)
        for source in (old, fresh):
            while len(source):
                box.age(source.pop())
    if box.boot:
        box.flash("bound")
