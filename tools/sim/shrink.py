"""A shorter schedule of faults that still breaks the same invariant: delta debugging (Zeller and Hildebrandt, 2002)."""

import time

from tools.sim.run import Run

_LIMIT_S = 120  # of real time: a long run is not tried again a thousand times


def shortest(setup, verdict, limit_s=_LIMIT_S):
    """The faults of the shortest schedule found in time that breaks the invariant that `verdict` names first."""
    invariant = verdict["violations"][0]["invariant"]
    until = time.monotonic() + limit_s
    whole = Run(setup).begun()

    def fails(faults):
        found = Run(setup._replace(only=frozenset(fault.number for fault in faults)), until=(invariant,)).go()
        return any(violation["invariant"] == invariant for violation in found["violations"])

    first_s = verdict["violations"][0]["t"]
    before = [fault for fault in whole if fault.at_s <= first_s]
    faults = before if len(before) < len(whole) and fails(before) else whole
    parts = 2
    while len(faults) > 1 and time.monotonic() < until:
        size = -(-len(faults) // parts)
        pieces = [faults[at:at + size] for at in range(0, len(faults), size)]
        for piece in pieces:
            rest = [fault for fault in faults if fault not in piece]
            if time.monotonic() >= until:
                break
            if fails(rest):
                faults, parts = rest, max(2, parts - 1)
                break
        else:
            if parts >= len(faults):
                break
            parts = min(len(faults), 2 * parts)
    return faults
