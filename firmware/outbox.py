"""Readings that wait, or are on their way: every one is acknowledged, queued or counted as dropped.

A reading waits as a packed record: sequence number, time, sensor index, then one float32 for each quantity (NaN:
no value). Live readings are those of this connection; whatever a broken connection left becomes backlog.
"""

import asyncio
import struct

_LIVE_SLOTS = 16  # fresh readings that wait for a place in the window; a slower link makes backlog of them
_BATCH = 8  # readings in one backlog message: about 1 KB
_BATCH_MS = 500  # between two of them: within what hosted brokers allow, and live readings never wait for them
_IDLE_MS = 5_000

_HEAD = ">IIB"
_HEAD_BYTES = 9
_UPTIME = 128  # flag in the sensor index: the time is uptime, as the clock was not known


class Outbox:
    """`waiting` is set when there is something to send. `resize` comes first."""

    def __init__(self, board, uptime, ring):
        self._board = board
        self._uptime = uptime
        self._ring = ring
        self._width = 0
        self._old = self._live = ring(0, 0)
        self._sensors = []  # (name, quantities); an index into it outlives the sensor's removal
        self._online = False
        self._flying = 0
        self.waiting = asyncio.Event()
        self._batch_ms = 0
        self._batch_due = False
        self.seq = 0
        self.acknowledged = 0
        self.dropped = {"overflow": 0}

    @property
    def queued(self):
        """Readings that wait or are in flight."""
        return len(self._old) + len(self._live) + self._flying

    def declare(self, name, quantities):
        """The index under which readings of this sensor are added. Raises ValueError after 127 different ones."""
        sensor = (name, quantities)
        if sensor not in self._sensors:
            if len(self._sensors) == _UPTIME - 1:
                raise ValueError("too many sensors since the start: restart")
            self._sensors.append(sensor)
        return self._sensors.index(sensor)

    def resize(self, slots):
        """Make room for `slots` readings of every declared sensor; what waits stays, the oldest goes first."""
        width = max([len(quantities) for _, quantities in self._sensors] + [1])
        if width == self._width and slots == self._old.slots:
            return
        old, live, self._width = self._old, self._live, width
        size = _HEAD_BYTES + 4 * width
        self._old = self._ring(slots, size)
        self._live = self._ring(_LIVE_SLOTS, size)
        for source in (old, live):
            while len(source):
                self._age(self._padded(source.pop()))

    def add(self, index, values):
        """Take a reading of the sensor that was declared as `index`."""
        self.seq += 1
        when = self._board.time_s()
        if when is None:
            when = self._uptime.ms() // 1000
            index |= _UPTIME
        record = struct.pack(_HEAD, self.seq, when, index)
        for value in values:
            record += struct.pack(">f", _NAN if value is None else value)
        record = self._padded(record)
        if not self._online:
            self._age(record)
            return
        if len(self._live) == _LIVE_SLOTS:
            self._age(self._live.pop())
        self._live.push(record)
        self.waiting.set()

    def begin(self):
        """A connection is up: from now on readings are live."""
        self._online = True
        self._batch_ms = 0
        self.waiting.set()

    def turn(self, now):
        """Let the next batch of the backlog go when it is due; returns milliseconds until the one after."""
        if not self._online or not len(self._old):
            return _IDLE_MS
        if now >= self._batch_ms:
            self._batch_ms = now + _BATCH_MS
            self._batch_due = True
            self.waiting.set()
        return self._batch_ms - now

    def end(self, tokens):
        """The connection is over; `tokens` are what it did not acknowledge, in any order: they wait again."""
        self._online = False
        for token in tokens:
            if isinstance(token, (bytes, list)):
                for record in [token] if isinstance(token, bytes) else token:
                    self._flying -= 1
                    self.dropped["overflow"] += self._old.insert(self._padded(record))
        while len(self._live):
            self._age(self._live.pop())

    def take_live(self):
        """The oldest live record, which is in flight from now on, or None."""
        if not len(self._live):
            return None
        self._flying += 1
        return self._live.pop()

    def take_batch(self):
        """The oldest records of the backlog when a batch is due, in flight from now on; a list that may be empty."""
        if not self._batch_due:
            return []
        self._batch_due = False
        batch = [self._old.pop() for _ in range(min(_BATCH, len(self._old)))]
        self._flying += len(batch)
        return batch

    def acknowledge(self, token):
        """The broker has it: a record or a batch that was taken."""
        count = len(token) if isinstance(token, list) else 1
        self._flying -= count
        self.acknowledged += count

    def reading(self, record, late):
        """(name, quantities, seq, Unix time or None, values) of a record.

        A time that was not known is worked out from the uptime when the reading is `late`; live it stays unknown.
        """
        seq, when, index = struct.unpack_from(_HEAD, record)
        name, quantities = self._sensors[index & 127]
        if index & _UPTIME:
            now = self._board.time_s() if late else None
            when = None if now is None else now - self._uptime.ms() // 1000 + when
        values = struct.unpack_from(">%df" % len(quantities), record, _HEAD_BYTES)
        return name, quantities, seq, when, [None if value != value else value for value in values]

    def _padded(self, record):
        return record + bytes(_HEAD_BYTES + 4 * self._width - len(record))

    def _age(self, record):
        self.dropped["overflow"] += self._old.push(record)


_NAN = float("nan")
