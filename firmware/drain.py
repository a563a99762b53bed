"""Readings that wait on flash, the oldest first, for the backlog; firmware/spool.py put them there.

Only lent: loaded while there is something to drain. Everything may raise OSError.
"""

import json
import struct

_CURSOR = "drained"
_CURSOR_FORM = ">IHII"  # the segment that is being drained, how many of its records are done, its boot and its safe seq
_BATCH = 8
_INDEX = 8  # where the sensor's index stands in a record
_UPTIME = 128  # flag in it: the time of the record is uptime
_HEAD_BYTES = 9


class Drain:
    """Takes readings of the Outbox `box` from flash, and keeps its counters. `fetch` loads lib/segments.py."""

    def __init__(self, box, board, fetch):
        self._box = box
        self._files = board.files
        self._module = fetch("segments")
        stored = self._files.load(_CURSOR)
        self._cursor = struct.unpack(_CURSOR_FORM, stored) if stored else (0, 0, 0, 0)

    def take(self):
        """(token, readings) of the next batch, which is in flight from now on; (None, []) when there is none to send.

        Readings are as Outbox.reading gives them, with their boot. A token is (segment, records done with it, boot,
        how many records these are, how many of them are sent).
        """
        box, segments = self._box, self._module.Segments(self._files.root)
        while segments.numbers:
            number = segments.numbers[0]
            done = self._cursor[1] if number == self._cursor[0] else 0
            segment = segments.read(number, done, _BATCH)
            if segment and segment.records:
                readings = sorted(self._readings(segments, number, done, segment), key=lambda reading: reading[2])
                count = len(segment.records)
                box.taken = number, done + count, segment.tag, count, len(readings)
                if readings:
                    return box.taken, readings
                self.acknowledge(box.taken)
                return None, []
            segments.remove(number)
        box.dropped["flash"] += box.stored  # what should have been there: flash has lost some
        box.inherited["dropped"] += box.inherited["queued"]
        box.stored = box.inherited["queued"] = 0
        return None, []

    def _readings(self, segments, number, done, segment):
        sensors = json.loads(segment.text)
        base = self._base_of(segments, segment)
        for record in segment.records:
            done += 1
            seq, when, index = struct.unpack_from(">IIB", record)
            name, quantities, latest = sensors[index & 127]
            if latest and _superseded(segments, number, done, segment.tag, index & 127):
                continue
            if index & _UPTIME:
                when = base and base + when
            values = struct.unpack_from(">%df" % len(quantities), record, _HEAD_BYTES)
            values = [None if value != value else value for value in values]
            yield name, [(key, None, None, decimals) for key, decimals in quantities], seq, when, values, segment.tag

    def acknowledge(self, token):
        """The broker has a batch; `note` then tells flash, which is not done here, as the network waits."""
        _, _, boot, count, sent = token
        box = self._box
        if boot == box.boot:
            box.stored -= count
            box.acknowledged += sent
            box.dropped["policy"] += count - sent
        else:
            box.inherited["queued"] -= count
            box.inherited["acknowledged"] += sent
            box.inherited["dropped"] += count - sent
        box.taken, box.sent = None, token

    def note(self):
        """Remember on flash that a batch was acknowledged, and delete the segment that it emptied."""
        number, done, boot = self._box.sent[:3]
        segments = self._module.Segments(self._files.root)
        if number in segments.numbers:
            segment = segments.read(number)
            safe = max(segment.notes[0] if segment else 0, self._cursor[3] if self._cursor[2] == boot else 0)
            cursor = number, done, boot, safe
            self._files.save(_CURSOR, struct.pack(_CURSOR_FORM, *cursor))
            self._cursor = cursor
            if segment is None or segment.total <= done:
                segments.remove(number)
        self._box.sent = None
        return True

    def _base_of(self, segments, segment):
        """Unix time at uptime zero in the boot of a segment: known now, or noted with a later frame."""
        if segment.tag == self._box.boot:
            return self._box.base()
        for number in segments.numbers:
            if segment.notes[2]:
                break
            later = segments.read(number)
            segment = later if later and later.tag == segment.tag else segment
        return segment.notes[2] or None


def _superseded(segments, number, done, boot, index):
    """Whether a later record on flash is of the same sensor."""
    for later in segments.numbers[segments.numbers.index(number) :]:
        while True:
            segment = segments.read(later, done, _BATCH)
            if not segment or segment.tag != boot or not segment.records:
                break
            if any([record[_INDEX] & 127 == index for record in segment.records]):
                return True
            done += len(segment.records)
        done = 0
    return False
