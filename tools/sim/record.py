"""What is true of one node's readings, kept beside the node, and what of it has reached the broker.

A reading is (boot, seq). From the moment in which a node takes one until it has arrived, its true time and values stand
here, so that everything that arrives is checked against the truth, and nothing can get lost unseen.
"""

from tools.accounting import Ranges

_RECENT = 8  # arrived readings that are compared once more when they arrive again; of older ones it is only counted


_LONG_AGO = (None, None, None)


class Boot:
    """The readings of one boot."""

    def __init__(self):
        self.due = {}  # seq -> (true time in us, sensor, values), taken and not arrived
        self.arrived = Ranges()
        self.duplicates = 0


class Record:
    """One node. `qos`: what its configuration says."""

    def __init__(self, mote, qos):
        self.mote = mote
        self.qos = qos
        self.boots = {}
        self.boot = None
        self.sessions = 0
        self.excused = 0  # readings of earlier boots that need not arrive: in memory at its end, or dropped and counted
        self.readings = self.delivered = 0  # taken; arrived, each once
        self.recent = {}

    def began(self, boot):
        """A start of the node, in its boot number."""
        self.boot = boot
        self.boots.setdefault(boot, Boot())

    def taken(self, seq, time_us, sensor, values):
        """The node took a reading."""
        self.readings += 1
        self.boots[self.boot].due[seq] = (time_us, sensor, values)

    def ended(self, excused):
        """The node's memory is gone. Of the readings that have not arrived `excused` need not: they were in it, or the
        node has counted them as dropped."""
        self.excused += excused
        self.boot = None

    def overdue(self):
        """How many readings of earlier boots should have arrived by now, all being drained. Asks once: these are
        forgotten, and whichever arrives later is a ghost."""
        past = [boot for number, boot in self.boots.items() if number != self.boot]
        overdue = sum(len(boot.due) for boot in past) - self.excused
        for boot in past:
            boot.due = {}
        self.excused = 0
        return overdue

    def arrive(self, boot, seq):
        """(true time in us, sensor, values, whether it came before) of a reading that arrived; the first three None
        when it did so long ago, all None when there is no such reading."""
        entry = self.boots.get(boot)
        truth = entry.due.pop(seq, None) if entry else None
        if truth is not None:
            self.delivered += 1
            entry.arrived.add(seq)
            self.recent[boot, seq] = truth
            if len(self.recent) > _RECENT:
                del self.recent[next(iter(self.recent))]
            return (*truth, False)
        if entry is None or entry.arrived.missing(seq, seq):
            return None
        entry.duplicates += 1
        return (*self.recent.get((boot, seq), _LONG_AGO), True)

    def missing(self, dropped, queued):
        """How many readings of the current boot are neither at the broker nor in the node's own account."""
        boot = self.boots[self.boot]
        return len(boot.due) - dropped - queued
