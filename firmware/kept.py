"""What a sleeping node keeps over its sleep, in slot SLEEP of lib/retained.py: counters, facts of the last session, and
the readings that have not been sent.

Layout, big endian: the format, the counters of _FIELDS (4 bytes each), length of the hints (2), the hints (JSON), then
readings, each with its length (1 byte) before it. A reading is sequence number (4), time (4), sensor index (1), one
float32 for each quantity (NaN: no value), as in firmware/outbox.py.
"""

import json
import struct

LIMIT_BYTES = 1_006  # what the slot holds
_FIELDS = (
    "boot",
    "seq",
    "acknowledged",
    "dropped",
    "wakes",  # since the boot
    "unsent",  # wakes since the last attempt to send
    "failed",  # wakes that could not send, since the boot
    "fails",  # the same, in a row
    "retry_s",  # no attempt before this (clock_ms of the board, in seconds)
    "sync_s",  # the clock is due to be set then
    "tell_s",  # all that is retained is due to be said again then
    "told",  # CRC-32 of what was said
    "desired",  # CRC-32 of the desired configuration that was looked at last
    "sensors",  # CRC-32 of the list of sensors that the indexes of readings mean
    "ordered",  # whether the broker has shown that retained messages come before later acknowledgements
    "awake_ms",  # how long the wake before this one lasted
    "total_ms",  # and all of them since the boot
    "stored",  # readings of this boot on flash
    "inherited",  # and of earlier ones
    "missing",  # readings that never were, by cause
    "bad",
    "range",
    "set_s",  # the board's drift: when the clock was last set (Unix seconds)
    "slow_ppm",  # and by how much it is slow
)
_FORMAT = 3  # comes first; another one is another program's, and a new beginning
_HEAD = ">%dI" % (1 + len(_FIELDS))
_HEAD_BYTES = 4 + 4 * len(_FIELDS)
_UPTIME = 128  # flag in the sensor index: the time is of a clock that nobody had set
_SPARE_BYTES = 400  # for hints, and the readings of a wake
_NAN = float("nan")


class Kept:
    """`data` as `dump` made it; anything else is a new beginning, with `boot` 0. `readings` are the oldest first."""

    def __init__(self, data):
        values = (_FORMAT,) + (0,) * len(_FIELDS)
        self.hints = None
        self.readings = []
        if data and len(data) > _HEAD_BYTES and struct.unpack(">I", data[:4])[0] == _FORMAT:
            values = struct.unpack(_HEAD, data[:_HEAD_BYTES])
            self._parse(data, _HEAD_BYTES + 2)
        for name, value in zip(_FIELDS, values[1:]):
            setattr(self, name, value)
        self.slow_ppm -= self.slow_ppm >> 31 << 32  # may be negative

    def _parse(self, data, at):
        end = at + (data[at - 2] << 8 | data[at - 1])
        self.hints = json.loads(data[at:end]) if end > at else None
        while end < len(data):
            at, end = end + 1, end + 1 + data[end]
            self.readings.append(data[at:end])

    def full(self):
        """Whether the next readings may find no room."""
        return sum([1 + len(reading) for reading in self.readings]) > LIMIT_BYTES - _HEAD_BYTES - _SPARE_BYTES

    def dump(self):
        """All of it as bytes, within LIMIT_BYTES: the oldest readings that find no room are dropped, and counted."""
        hints = json.dumps(self.hints).encode() if self.hints else b""
        room = LIMIT_BYTES - _HEAD_BYTES - 2 - len(hints)
        size = sum([1 + len(reading) for reading in self.readings])
        while size > room:
            size -= 1 + len(self.readings.pop(0))
            self.dropped += 1
        parts = [struct.pack(_HEAD, _FORMAT, *[getattr(self, name) & 0xFFFFFFFF for name in _FIELDS])]
        parts += [struct.pack(">H", len(hints)), hints]
        for reading in self.readings:
            parts += [bytes((len(reading),)), reading]
        return b"".join(parts)

    def add(self, index, values, time_s, clock_s):
        """Take a reading of sensor `index`, at Unix time `time_s`, or None: then the clock shows `clock_s`."""
        self.seq += 1
        known = time_s is not None
        reading = struct.pack(">IIB", self.seq, time_s if known else clock_s, index if known else index | _UPTIME)
        for value in values:
            reading += struct.pack(">f", _NAN if value is None else value)
        self.readings.append(reading)

    def set_clock(self, jump_s, known):
        """The clock jumped by so many seconds: what was timed by it follows. `known`: it shows the time now, and has
        not only been moved."""
        for name in ("retry_s", "sync_s", "tell_s"):
            setattr(self, name, max(0, getattr(self, name) + jump_s))
        for at, reading in enumerate(self.readings):
            seq, when, index = struct.unpack_from(">IIB", reading)
            if index & _UPTIME:
                index = index & 127 if known else index
                self.readings[at] = struct.pack(">IIB", seq, when + jump_s, index) + reading[9:]

    def acknowledge(self, readings):
        """The broker has these."""
        for reading in readings:
            self.readings.remove(reading)
        self.acknowledged += len(readings)

    def unpacked(self, reading, sensors):
        """(name, quantities, seq, Unix time or None, values); `sensors` is a list of (name, quantities)."""
        seq, when, index = struct.unpack_from(">IIB", reading)
        name, quantities = sensors[index & 127]
        values = struct.unpack_from(">%df" % len(quantities), reading, 9)
        when = None if index & _UPTIME else when
        return name, quantities, seq, when, [None if value != value else value for value in values]
