"""Readings that RAM should not hold any longer go to flash (firmware/drain.py reads them from there again).

Only lent: loaded while there is something to spill. Everything may raise OSError.
"""

import json
import struct

_CURSOR = "drained"
_CURSOR_FORM = ">IHII"  # as drain.py writes it
_MERGED = "merged"  # as thin.py names it
_FLYING = 64  # readings in flight at most: eight publishes, each of them a batch
_LIVE_SLOTS = 16
_UNBOUNDED = 65_535
_ENOSPC = 28  # which MicroPython's errno module does not name
_INDEX = 8  # where the sensor's index stands in a record


class Spool:
    """Puts the readings of the Outbox `box` on flash, and keeps its counters. `fetch` loads lib/segments.py, its
    writer and firmware.boots."""

    def __init__(self, box, board, fetch):
        self._box = box
        self._fetch = fetch
        self._log = board.log
        self._files = board.files
        self._segments = fetch("segments").Segments(board.files.root)
        self._boots = fetch("firmware.boots")
        stored = self._files.load(_CURSOR)
        self._cursor = struct.unpack(_CURSOR_FORM, stored) if stored else (0, 0, 0, 0)

    def begin(self):
        """Begin a boot: count what earlier ones left, and note what is known of the last one.

        A boot that is there already goes on, as after a wake from deep sleep.
        """
        box, entries = self._box, self._boots.past(self._files)
        last = entries[-1] if entries and not entries[-1][4] and entries[-1][0] != box.boot else None
        if last and self._cursor[2] == last[0]:
            last[1] = self._cursor[3]
        if self._files.load(_MERGED):
            self._fetch("firmware.thin").recover(self._segments, self._fetch("segments_writer"), self._files)
        found = dropped = 0
        for number in list(self._segments.numbers):
            segment = self._segments.read(number)
            left = segment.total - self._done(number) if segment else 0
            if left <= 0:
                self._segments.remove(number)  # power went before it could be, or before its first frame came
            elif last and segment.tag == last[0]:
                last[1], dropped = max(last[1], segment.notes[0]), segment.notes[1]
            if segment and segment.tag == box.boot:
                box.stored += max(0, left)
            else:
                found += max(0, left)
        if last:
            last[3] += dropped
            last[4] = 1
        box.inherited["found"] = box.inherited["queued"] = found
        if not entries or entries[-1][0] != box.boot:
            self._boots.keep(self._files, entries + [[box.boot, 0, self._most(), 0, 0]])

    def bound(self):
        """Note how many readings a power cut can take from now on."""
        entries = self._boots.past(self._files)
        if entries and entries[-1][0] == self._box.boot and entries[-1][2] != self._most():
            entries[-1][2] = self._most()
            self._boots.keep(self._files, entries)

    def close(self):
        """End the boot: all that waits goes to flash, and what cannot is noted."""
        box = self._box
        if box.rules and box.rules["flash_bytes"]:
            try:
                self.spill()
            except OSError as error:
                self._log("outbox: close: OSError %s" % error)
        left = len(box.old)
        last_seq = struct.unpack(">I", box.old.views(1)[0][:4])[0] - 1 if left else box.seq
        entries = self._boots.past(self._files)
        if entries and entries[-1][0] == box.boot:
            entries[-1][1:] = [last_seq, left, entries[-1][3] + self._dropped(), 1]
            self._boots.keep(self._files, entries)

    def spill(self):
        """Move the backlog from RAM to flash; None when some had to stay, which is tried again later."""
        ring, box = self._box.old, self._box
        text = _table(box.sensors, box.keep)
        self._writer = self._fetch("segments_writer")
        while len(ring):
            for _ in range(self._frame(ring, text)):
                ring.pop()
                box.stored += 1
        return True

    def _frame(self, ring, text):
        """Append the oldest records of `ring`; returns how many, 0 after room was made for a next attempt."""
        box, segments, writer = self._box, self._segments, self._writer
        most, last = writer.room(segments, ring.size, box.boot, text)
        if most < 1:
            raise OSError("more sensors than a segment can name")
        while not last and writer.full(segments, box.rules["flash_bytes"]) and self._shed():
            pass
        pieces = ring.views(min(most, len(ring)))
        records = sum([len(piece) for piece in pieces]) // ring.size
        safe = box.safe
        if not box.flying and not len(box.fresh):  # else something older is elsewhere in RAM
            safe = struct.unpack_from(">I", pieces[-1], len(pieces[-1]) - ring.size)[0]
        notes = safe, self._dropped(), box.base() or 0
        try:
            writer.append(segments, last, ring.size, box.boot, text, notes, pieces, self._cursor[0])
            box.safe = safe
            return records
        except OSError as error:  # a flash that fails otherwise takes no more after the oldest have gone
            if error.args[0] != _ENOSPC or not self._shed():
                raise error
            return 0

    def latest(self, index):
        """Leave only the newest record of a sensor in RAM."""
        ring, newest = self._box.old, None
        for _ in range(len(ring)):
            record = ring.pop()
            if record[_INDEX] & 127 != index:
                ring.push(record)
            else:
                self._box.dropped["policy"] += newest is not None
                newest = record
        if newest:
            ring.insert(newest)

    def _most(self):
        """How many readings a power cut can take."""
        box = self._box
        counted = box.rules and box.rules["flash_bytes"] and not {"latest", "none"} & set(box.keep.values())
        return box.old.slots + _LIVE_SLOTS + _FLYING if counted else _UNBOUNDED

    def _dropped(self):
        return self._box.dropped["overflow"] + self._box.dropped["policy"]

    def _done(self, number):
        return self._cursor[1] if number == self._cursor[0] else 0

    def _shed(self):
        """Make room: thin the oldest segments, or drop the oldest that is not in flight; False when there is none."""
        busy = (self._box.taken or self._box.sent or (0,))[0]
        if self._box.rules["full"] == "thin":
            try:
                thin = self._fetch("firmware.thin").thin
                if thin(self._segments, self._writer, self._files, (busy, self._cursor[0]), self._gone):
                    return True
            except OSError:
                pass  # it takes a block more for a moment
        for number in self._segments.numbers:
            if number != busy:
                segment = self._segments.read(number)
                if segment:
                    self._gone(segment.tag, max(0, segment.total - self._done(number)))
                self._segments.remove(number)
                return True
        return False

    def _gone(self, boot, count):
        """Count records of a boot as dropped, on flash first."""
        box, entries = self._box, self._boots.past(self._files)
        for entry in entries:
            if entry[0] == boot:
                entry[3] += count
                self._boots.keep(self._files, entries)
        if boot == box.boot:
            box.stored -= count
            box.dropped["flash"] += count
        else:
            box.inherited["queued"] -= count
            box.inherited["dropped"] += count



def _table(sensors, keep):
    """What the indexes in the records mean, as JSON: a list of name, quantities (name, decimals), whether only the
    latest counts."""
    return json.dumps([
        (name, [(quantity[0], quantity[3]) for quantity in quantities], keep.get(index) == "latest")
        for index, (name, quantities) in enumerate(sensors)
    ]).encode()
