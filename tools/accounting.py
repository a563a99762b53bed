"""What arrived of each node's readings, what did not, and what the node says of it. Pure: messages in, sums out.

A reading is known by (node, boot, seq), and seq counts from 1 over all sensors of a boot (design: a reading). What a
subscriber may demand begins with the first *live* reading that it gets of a boot: whatever the node measured after
that one was sent after it too. Older readings may have been delivered before anybody listened, so they are counted,
never missed. Of a boot that began while we listened, everything from seq 1 on is due.

What a power cut took is told by the next boot's `info`: up to which seq all was safe, and how many readings behind that
its RAM can have held. That explains what is missing behind it; what else it may have taken is the unknown tail.
"""

import bisect

from tools import topics

KINDS = ("status", "info", "telemetry", "event", "backlog", "diagnostics")
_STARTED_SLACK_S = 2  # uptime is whole seconds, and diagnostics travel


class Ranges:
    """A set of whole numbers that come mostly in order, as ranges: an audit over days stays small."""

    def __init__(self):
        self._firsts = []
        self._lasts = []
        self.count = 0

    def add(self, number):
        """Add a number; False when it was there already."""
        at = bisect.bisect_right(self._firsts, number)
        if at and number <= self._lasts[at - 1]:
            return False
        self.count += 1
        before = at and self._lasts[at - 1] == number - 1
        after = at < len(self._firsts) and self._firsts[at] == number + 1
        if before and after:
            self._lasts[at - 1] = self._lasts.pop(at)
            del self._firsts[at]
        elif before:
            self._lasts[at - 1] = number
        elif after:
            self._firsts[at] = number
        else:
            self._firsts.insert(at, number)
            self._lasts.insert(at, number)
        return True

    @property
    def highest(self):
        """The highest number, 0 when there is none."""
        return self._lasts[-1] if self._lasts else 0

    def missing(self, first, last):
        """The ranges of first..last that are not in the set, as a list of (first, last)."""
        gaps = []
        for low, high in zip(self._firsts, self._lasts, strict=True):
            if low > last:
                break
            if first < low:
                gaps.append((first, low - 1))
            first = max(first, high + 1)
        return gaps + ([(first, last)] if first <= last else [])


def size(ranges):
    """How many numbers a list of (first, last) holds."""
    return sum(last - first + 1 for first, last in ranges)


class Boot:
    """The readings of one boot of one node."""

    def __init__(self):
        self.follows = False  # whether the node was in another boot before, in our time
        self.first_live = None  # seq of the first live reading
        self.arrived = Ranges()
        self.duplicates = 0
        self._began_s = None  # when it began, in seconds since we began to listen; negative: before that
        self._first = None  # (produced, dropped) of the first diagnostics
        self._last = None  # (produced, queued, dropped) of the last ones
        self._since_last = 0  # readings that have arrived since, of those that it counts as produced
        self._end = None  # (safe seq, readings that may be lost behind it or None, dropped), as a later boot tells

    @property
    def due(self):
        """The seq from which on readings must arrive, None while unknown."""
        began_with_us = self._began_s is not None and self._began_s > _STARTED_SLACK_S
        return 1 if self.follows or began_with_us else self.first_live

    def add(self, seq):
        """Count a reading that arrived."""
        if not self.arrived.add(seq):
            self.duplicates += 1
        elif self._last and seq <= self._last[0]:
            self._since_last += 1

    def state(self, produced, queued, dropped):
        """Take the node's own counters."""
        if self._first is None:
            self._first = (produced, dropped)
        self._last = (produced, queued, dropped)
        self._since_last = 0

    def began(self, at_s):
        """Take what a message tells of the boot's beginning: one that came late tells a time too late."""
        self._began_s = at_s if self._began_s is None else min(self._began_s, at_s)

    def ended(self, safe, most, dropped):
        """Take what a later boot tells of the end of this one."""
        self._end = safe, most, dropped

    def cut(self, gaps, lacking):
        """(how many of the `lacking` readings of `gaps` the power took, how many more it may have taken or None when
        nobody can say), of a boot that has ended."""
        safe, most, _ = self._end or (0, 0, 0)
        behind = sum(max(0, last - max(first, safe + 1) + 1) for first, last in gaps)
        took = min(lacking, behind) if most is None else min(lacking, behind, most)
        return took, most if most is None else most - took

    def balance(self, alive):
        """(gaps, waiting, dropped, unexplained) as of now; `alive` is whether the node may still send from this boot.

        `gaps` are the ranges that did not arrive, without those at the end that the node still has; `waiting` is how
        many readings it may still send; `dropped` is what it counted as dropped; `unexplained` is how many of the gaps
        neither of these explains.
        """
        if self.due is None:
            return [], 0, 0, 0
        produced, queued, dropped = self._last or (0, 0, 0)
        waiting = max(0, queued - self._since_last) if alive else 0
        safe, _, later = self._end or (0, 0, 0)
        dropped = max(dropped, later)
        end = max(self.arrived.highest, produced, 0 if alive else safe)
        at_end = min(waiting, end - max(self.arrived.highest, self.due - 1))
        gaps = self.arrived.missing(self.due, end - at_end)
        counted = self._dropped(dropped)
        lacking = max(0, size(gaps) - counted)
        inside = min(lacking, waiting - at_end)
        return gaps, at_end + inside, counted, lacking - inside

    def _dropped(self, dropped):
        """How many of the due readings the node may have dropped, as it counts them."""
        if self._first is None or self.due == 1:
            return dropped
        produced, before = self._first
        # Drops that the first diagnostics count may lie before our time: of those, only what was missing then counts.
        return min(before, size(self.arrived.missing(self.due, produced))) + dropped - before


class Node:
    """The boots of one node. `status` is its last status, None while it has told none."""

    def __init__(self):
        self.boots = {}
        self.current = None
        self.status = None
        self.received = 0
        self.malformed = 0
        self._sleeps = False
        self._inherited = (0, 0)  # readings of earlier boots that wait, that were dropped

    def tell(self, status):
        """The node's status, a bare word."""
        self.status = status
        self._sleeps = self._sleeps or status == "sleeping"

    def live(self, boot, seq):
        """A reading that came as it was taken."""
        entry = self._enter(boot)
        if entry.first_live is None:
            entry.first_live = seq
        self._count(entry, seq)

    def late(self, boot, seq):
        """A reading from the backlog."""
        queued, dropped = self._inherited
        if boot != self.current:
            self._inherited = max(0, queued - 1), dropped
        self._count(self._boot(boot), seq)

    def past(self, info):
        """What the node knows of its earlier boots."""
        for boot, safe, most, dropped in info.get("past", ()):
            if not all(type(number) is int for number in (boot, safe, most or 0, dropped)):
                raise TypeError("past")
            self._boot(boot).ended(safe, most, dropped)

    def kept(self, boot, seq):
        """A reading that the broker kept: it was delivered once already, perhaps to us."""
        entry = self._boot(boot)
        if entry.due is not None and entry.arrived.missing(seq, seq):
            self._count(entry, seq)

    def state(self, boot, diagnostics, listening_s):
        """The node's own counters, after we have listened for so many seconds."""
        entry = self._enter(boot)
        if not self._sleeps:  # a wake from deep sleep begins no boot, but may begin the uptime anew
            entry.began(listening_s - diagnostics["uptime_s"])
        entry.state(diagnostics["produced"], diagnostics["queued"], sum(diagnostics["dropped"].values()))
        inherited = diagnostics.get("inherited") or {"queued": 0, "dropped": 0}
        self._inherited = inherited["queued"], inherited["dropped"]

    def report(self):
        """(what `mote audit --json` tells of a node, how many gaps nothing explains, how many readings are on their
        way)."""
        gaps, waiting, counted, unexplained, tails = [], 0, 0, 0, []
        queued, dropped = self._inherited
        for number in sorted(self.boots):
            boot, alive = self.boots[number], number == self.current
            parts = boot.balance(alive)
            gaps += [[number, first, last] for first, last in parts[0]]
            waiting += parts[1]
            counted += parts[2]
            lacking = parts[3]
            if not alive and boot.due is not None:
                took, tail = boot.cut(parts[0], lacking)
                tails.append(tail)
                lacking -= took
            old = 0 if alive else min(lacking, queued + dropped)
            by_drop = min(old, dropped)
            counted += by_drop
            dropped -= by_drop
            queued -= old - by_drop
            unexplained += lacking - old
        waiting += self._inherited[0]
        tail = None if None in tails else waiting + sum(tails)
        return {"received": self.received, "duplicates": sum(boot.duplicates for boot in self.boots.values()),
                "gaps": gaps, "tail_unknown": tail, "counted_dropped": counted, "status": self.status,
                "malformed": self.malformed}, unexplained, waiting

    def _boot(self, number):
        return self.boots.setdefault(number, Boot())

    def _enter(self, number):
        """The boot that the node is in now, as a live message tells; one that follows another began in our time."""
        entry = self._boot(number)
        if number != self.current:
            entry.follows = entry.follows or (self.current is not None and entry.first_live is None)
            self.current = number
        return entry

    def _count(self, entry, seq):
        self.received += 1
        entry.add(seq)


class Accounting:
    """All nodes that are heard. Feed every message to enter() or take(); report() may be asked at any time."""

    def __init__(self):
        self.nodes = {}

    def enter(self, base, message, listening_s):
        """Take a message as it arrived (topic, payload, retain), `listening_s` seconds after we began to listen."""
        node, kind, _ = topics.split(base, message.topic) or (None, None, None)
        if kind == "status":
            self.take(node, kind, topics.text(message.payload), message.retain, listening_s)
        elif kind in KINDS:
            try:
                value = topics.decode(message.payload)
            except ValueError:
                value = None
            self.take(node, kind, value, message.retain, listening_s)

    def take(self, node, kind, value, kept, listening_s):
        """Take a message of one of KINDS with its decoded value; `kept`: the broker had retained it."""
        entry = self.nodes.setdefault(node, Node())
        try:
            if kind == "status":
                entry.tell(value)
            elif kind == "diagnostics":
                entry.state(_number(value, "boot"), value, listening_s)
            elif kind == "info":
                entry.past(value)
            elif kind == "backlog":
                for boot, seq in [_name(reading) for reading in value]:
                    entry.late(boot, seq)
            else:
                (entry.kept if kept else entry.live)(*_name(value))
        except (KeyError, TypeError, AttributeError, ValueError):
            entry.malformed += 1

    def report(self):
        """{"nodes": {id: {...}}, "ok": bool}: not ok where readings are missing that their node did not count, where a
        message was none of ours, and where no reading came at all.
        """
        nodes, ok = {}, any(node.received for node in self.nodes.values())
        for name in sorted(self.nodes):
            nodes[name], unexplained, _ = self.nodes[name].report()
            ok = ok and not unexplained and not nodes[name]["malformed"]
        return {"nodes": nodes, "ok": ok}

    def settled(self):
        """Whether waiting longer could tell nothing new: nothing is missing without a reason, nothing on its way."""
        reports = [node.report() for node in self.nodes.values()]
        return not any(unexplained or waiting for _, unexplained, waiting in reports)


def _name(reading):
    return _number(reading, "boot"), _number(reading, "seq")


def _number(message, key):
    number = message[key]
    if type(number) is not int or number < 0:  # bool is an int, and true no number
        raise TypeError(key)
    return number
