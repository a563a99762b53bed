"""Where a simulation looks into a node: the one file to mend when something inside it gets another name.

Nothing of the node is changed by it but who is told of a reading.
"""

import sys

_MAX_COMMANDS = 8  # what firmware/control.py lets wait
_MAX_POSTED = 13  # and firmware/link.py
_MAX_LIVE = 16 + 8 * 8 + 8  # live slots, the window full of batches, one batch in hand


def on_reading(node, take):
    """Call take(index, values) after the node took a reading itself."""
    sampler = node._sampler
    own = sampler._take

    def both(index, values):
        own(index, values)
        take(index, values)

    sampler._take = both


def boot(node):
    """The number of the node's boot, 0 before it has one."""
    return node._boot


def counters(node):
    """The delivery account, as diagnostics publish it."""
    outbox = node._outbox
    return {"produced": outbox.seq, "acknowledged": outbox.acknowledged, "queued": outbox.queued,
            "dropped": outbox.dropped}


def inherited(node):
    """How many readings of earlier boots wait on flash."""
    return node._outbox.inherited["queued"]


def in_memory(node):
    """How many readings would not outlive a power cut, and how many of this boot or an earlier one were dropped."""
    outbox = node._outbox
    return outbox.queued - outbox.stored, sum(outbox.dropped.values()) + outbox.inherited["dropped"]


def sensor(node, index):
    """(name, quantities) of the sensor with this index."""
    return node._outbox.sensors[index]


def share(node, known):
    """Let nodes whose sections of the configuration are equal have them in common: nobody changes them, and a thousand
    copies are megabytes. `known` holds what was seen."""
    settings = node._settings
    if settings and settings.effective:
        effective = settings.effective
        for section, value in effective.items():
            effective[section] = _shared(value, known)
        node._outbox.rules = effective["outbox"]
        node._link._joined = _shared(node._link._joined, known)
        node._drivers = {name: (_shared(options, known), driver) for name, (options, driver) in node._drivers.items()}


def _shared(value, known):
    if isinstance(value, dict):
        value = {sys.intern(key): _shared(inner, known) for key, inner in value.items()}
    elif isinstance(value, list):
        value = [_shared(inner, known) for inner in value]
    return known.setdefault(repr(value), value)


def online(node):
    """Whether the node thinks that it has a session."""
    return node._link.state == "online"


def sizes(node):
    """(what, how many, the bound) of everything in a node that could grow."""
    yield "commands", len(node._control._waiting), _MAX_COMMANDS
    yield "posted messages", len(node._link.posted), _MAX_POSTED
    config = node._settings and node._settings.effective
    if config:
        yield "readings", counters(node)["queued"] - node._outbox.stored, config["outbox"]["ram_readings"] + _MAX_LIVE
