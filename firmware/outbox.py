"""Readings that wait, or are on their way: every one is acknowledged, queued or counted as dropped.

A reading waits as a packed record: sequence number, time, sensor index, then one float32 for each quantity (NaN:
no value). Live readings are those of this connection; whatever a broken connection left becomes backlog, in RAM
first, then on flash: firmware/spool.py puts them there and firmware/drain.py reads them again, each loaded when there
is something to do for it, then forgotten.
"""

import asyncio
import gc
import struct

_BATCH = 8  # readings in one backlog message: about 1 KB
_BATCH_MS = 500  # between two of them: within what hosted brokers allow, and live readings never wait for them
_IDLE_MS = 5_000
_RETRY_MS = 60_000  # after flash, or memory, has failed

_HEAD = ">IIB"
_HEAD_BYTES = 9
_UPTIME = 128  # flag in the sensor index: the time is uptime, as the clock was not known


class Outbox:
    """`waiting` is set when there is something to send. First, firmware/slots.py tells it its sensors and its room.
    `fetch` loads modules that are seldom needed (lending.lend); `rules` is the section `outbox` of the configuration.
    Without them nothing goes to flash.

    `stored` is how many readings of this boot are on flash, `inherited` counts those of earlier boots.
    """

    def __init__(self, board, uptime, ring, fetch=None):
        self._board = board
        self._uptime = uptime
        self._fetch = fetch
        self._drain = None
        self.old = self.fresh = ring(0, 0)
        self.sensors = []  # (name, quantities); an index into it outlives the sensor's removal
        self.keep = {}  # index: which readings wait through an outage, "all", only the "latest", or "none"
        self.rules = None
        self._online = False
        self.flying = 0
        self.taken = self.sent = None  # a batch from flash: in flight; acknowledged, which flash does not know yet
        self.waiting = asyncio.Event()
        self._batch_ms = self._retry_ms = 0
        self._spill_ms = None
        self._batch_due = False
        self.boot = self.seq = self.safe = 0
        self.acknowledged = self.stored = 0
        self.dropped = {"overflow": 0, "flash": 0, "policy": 0}
        self.inherited = {"found": 0, "acknowledged": 0, "queued": 0, "dropped": 0}

    @property
    def settled(self):
        """Readings of any boot that the broker has answered for: a count that goes up as long as the session moves."""
        return self.acknowledged + self.inherited["acknowledged"] + self.dropped["policy"]

    @property
    def queued(self):
        """Readings of this boot that wait, in RAM or on flash, or are in flight."""
        return len(self.old) + len(self.fresh) + self.flying + self.stored

    async def run(self, boot, life):
        """Be there for a boot as long as `life`, an awaitable, in which readings are taken and sent. What earlier boots
        left on flash is backlog from now on; at the end, when nobody takes any more, all that waits goes there."""
        self.start(boot)
        try:
            await life
        finally:
            self.close()

    def start(self, boot):
        """Begin a boot, as `run` does."""
        self.boot = boot
        self.flash("begin")

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
        if not self._online:
            self.age(record)
            return
        if len(self.fresh) == self.fresh.slots:
            self.age(self.fresh.pop())
        self.fresh.push(self._padded(record))
        self.waiting.set()

    def begin(self):
        """A connection is up: from now on readings are live."""
        self._online = True
        self._batch_ms = 0
        self.waiting.set()

    def turn(self, now):
        """Spill what has waited for long, and let the next batch of the backlog go when it is due; returns
        milliseconds until the one after."""
        if self.sent and now >= self._retry_ms and self.flash("note") is None:
            self._retry_ms = now + _RETRY_MS
        if not len(self.old) or not self.rules:
            self._spill_ms = None
        elif self._spill_ms is None:
            self._spill_ms = now + 1000 * self.rules["spill_after_s"]
        elif now >= self._spill_ms:
            self._spill_ms = None
            self._spill()
        if not self._online or not (len(self.old) or self.stored or self.inherited["queued"] or self.sent):
            self._drain = None
            return _IDLE_MS
        if now >= self._batch_ms:
            self._batch_ms = now + _BATCH_MS
            self._batch_due = True
            self.waiting.set()
        return self._batch_ms - now

    def end(self, tokens):
        """The connection is over; `tokens` are what it did not acknowledge, in any order: they wait again."""
        self._online = False
        self.taken = self._drain = None  # what was taken from flash is still there
        for token in tokens:
            if isinstance(token, (bytes, list)):
                for record in [token] if isinstance(token, bytes) else token:
                    self.age(record)
                    self.flying -= 1
        while len(self.fresh):
            self.age(self.fresh.pop())

    def close(self):
        """Put all that waits on flash, before a reset: the connection is over."""
        for verb in ("note", "close") if self.sent else ("close",):
            self.flash(verb)

    def take_live(self):
        """The oldest live record, which is in flight from now on, or None."""
        if len(self.fresh):
            self.flying += 1
            return self.fresh.pop()

    def take_batch(self):
        """(token, readings) of the oldest batch of the backlog when one is due, in flight from now on; else (None, []).

        What is on flash is older than what is in RAM, and of that one batch at a time is in flight.
        """
        if not self._batch_due or self.taken or self.sent:
            return None, []
        self._batch_due = False
        if self.stored or self.inherited["queued"]:
            found = self.flash("take")
            if found is None:
                self._batch_ms += _RETRY_MS
            return found or (None, [])
        self._drain = None
        batch = [self.old.pop() for _ in range(min(_BATCH, len(self.old)))]
        self.flying += len(batch)
        return batch or None, [self.reading(record, True) for record in batch]

    def acknowledge(self, token):
        """The broker has it: a record or a batch that was taken."""
        if isinstance(token, tuple):
            self._drain.acknowledge(token)  # still there, as the session is
            return
        count = len(token) if isinstance(token, list) else 1
        self.flying -= count
        self.acknowledged += count

    def refused(self, token):
        """The broker does not want it, now or later (MQTT 5)."""
        if isinstance(token, tuple):
            return self._drain.acknowledge(token[:4] + (0,))  # none of them was sent: dropped
        count = len(token) if isinstance(token, list) else 1
        self.flying -= count
        self.dropped["policy"] += count

    def reading(self, record, late):
        """(name, quantities, seq, Unix time or None, values) of a record.

        A time that was not known is worked out from the uptime when the reading is `late`; live it stays unknown.
        """
        seq, when, index = struct.unpack_from(_HEAD, record)
        name, quantities = self.sensors[index & 127]
        if index & _UPTIME:
            base = self.base() if late else None
            when = base and base + when
        values = struct.unpack_from(">%df" % len(quantities), record, _HEAD_BYTES)
        return name, quantities, seq, when, [None if value != value else value for value in values]

    def base(self):
        """Unix time at uptime zero, None while the clock is not set."""
        now = self._board.time_s()
        return now and now - self._uptime.ms() // 1000

    def _padded(self, record):
        return record + bytes(self.old.size - len(record))

    def age(self, record):
        """Let a reading wait, or drop it, as the policy of its sensor has it."""
        keep = self.keep[record[8] & 127]
        if keep == "none":
            self.dropped["policy"] += 1
            return
        if len(self.old) == self.old.slots:
            self._spill()
        self.dropped["overflow"] += self.old.insert(self._padded(record))
        if keep == "latest":
            self.flash("latest", record[8] & 127)

    def _spill(self):
        """Move the backlog from RAM to flash. What cannot go stays, and is tried again a minute later."""
        now = self._uptime.ms()
        if self.rules and self.rules["flash_bytes"] and now >= self._retry_ms:
            if self.flash("spill") is None:
                self._retry_ms = now + _RETRY_MS

    def flash(self, verb, *arguments):
        """Call a method of firmware.spool or firmware.drain; None when flash or memory fails, which is logged."""
        if not self._fetch:
            return None
        try:
            if verb not in ("take", "note"):
                gc.collect()  # the code wants room in one piece
                return getattr(self._fetch("firmware.spool").Spool(self, self._board, self._fetch), verb)(*arguments)
            if self._drain is None:  # which stays until all is drained
                gc.collect()
                self._drain = self._fetch("firmware.drain").Drain(self, self._board, self._fetch)
            return getattr(self._drain, verb)()
        except (OSError, MemoryError) as error:
            self._board.log("! outbox: %s: %s %s" % (verb, type(error).__name__, error))
            if not self.taken:
                self._drain = None


_NAN = float("nan")
