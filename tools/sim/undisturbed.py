"""What a board does for its memory and a thousand nodes in one process need not: collect often, load code anew."""

import asyncio
import contextlib
import gc
import sys

from lending import load
from tools.sim.loop import Event

_COLLECT_AT = 20_000  # new objects: what lives is many, and looked through in vain more often
_LENT = ("mqtt_asking", "mqtt_packets", "mqtt_pieces", "signed", "bounded")  # by lib and by desired configurations


@contextlib.contextmanager
def undisturbed():
    """For as long, nodes do not collect when they are about to load code, which of a thousand would take a second each
    time, and modules that are lent stay: to load one takes longer than to connect. The interpreter's own collection is
    enough. Their events are small ones."""
    lent = [name for name in _LENT if name not in sys.modules]
    for name in lent:
        load(name)
    collect, gc.collect = gc.collect, lambda *generation: 0
    event, asyncio.Event = asyncio.Event, Event
    thresholds = gc.get_threshold()
    gc.set_threshold(_COLLECT_AT, *thresholds[1:])
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        asyncio.Event = event
        gc.collect = collect
        for name in lent:
            sys.modules.pop(name, None)
