"""What a sleeping node keeps over its sleep, in slot SLEEP of lib/retained.py: counters, facts of the last session, and
the readings that have not been sent.

Layout, big endian: the format, the counters of _FIELDS (4 bytes each), length of the hints (2), the hints (JSON),
length of what was said (1), what was said, then readings, each with its length (1 byte) before it. A reading is number
(4), time (4), sensor index (1), one float32 for each quantity (NaN: no value), as in firmware/outbox.py. What a
sensor with a deadband has said last: index (1), clock (4), how many values (1), these as float64, as none of them must
look like another one.
"""

import json
import struct

LIMIT_BYTES = 1_006  # what the slot holds
_FIELDS = (
    "boot",
    "seq",
    "acknowledged",
    "dropped",  # as there was no room
    "policy",  # or as the sensor's `keep` has it
    "unchanged",  # measured, and nothing new
    "wakes",  # since the boot
    "touches",  # wakes by the pin, in a row
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
    "older_s",  # MQTT 3.1.1 is spoken until then, whatever mqtt.version says
)
_FORMAT = 5  # comes first; another one is another program's, and a new beginning
_HEAD = ">%dI" % (1 + len(_FIELDS))
_HEAD_BYTES = 4 + 4 * len(_FIELDS)
_UPTIME = 128  # flag in the sensor index: the time is of a clock that nobody had set
_SPARE_BYTES = 400  # for hints, and the readings of a wake
_PAUSE_S = 3_600  # no longer between two attempts, however many have failed
_SHARE = 720  # but so many times as long as one takes that fails: two minutes a day in all
_SAID_BYTES = 200  # who finds no room reports each time
_NAN = float("nan")


class Kept:
    """`data` as `dump` made it; anything else is a new beginning, with `boot` 0. `readings` are the oldest first;
    `said` is (values, when by the clock in seconds) by the index of a sensor with a deadband."""

    def __init__(self, data):
        values = (_FORMAT,) + (0,) * len(_FIELDS)
        self.hints = None
        self.readings = []
        self.said = {}
        if data and len(data) > _HEAD_BYTES and struct.unpack(">I", data[:4])[0] == _FORMAT:
            values = struct.unpack(_HEAD, data[:_HEAD_BYTES])
            self._parse(data, _HEAD_BYTES + 2)
        for name, value in zip(_FIELDS, values[1:]):
            setattr(self, name, value)
        self.slow_ppm -= self.slow_ppm >> 31 << 32  # may be negative

    def _parse(self, data, at):
        end = at + (data[at - 2] << 8 | data[at - 1])
        self.hints = json.loads(data[at:end]) if end > at else None
        at, end = end + 1, end + 1 + data[end]
        while at < end:
            index, when, count = struct.unpack_from(">BIB", data, at)
            values = struct.unpack_from(">%dd" % count, data, at + 6)
            self.said[index] = [None if value != value else value for value in values], when
            at += 6 + 8 * count
        while end < len(data):
            at, end = end + 1, end + 1 + data[end]
            self.readings.append(data[at:end])

    def full(self):
        """Whether the next readings may find no room."""
        room = LIMIT_BYTES - _HEAD_BYTES - _SPARE_BYTES - len(self._dump_said())
        return sum([1 + len(reading) for reading in self.readings]) > room

    def dump(self):
        """All of it as bytes, within LIMIT_BYTES: the oldest readings that find no room are dropped, and counted."""
        hints = json.dumps(self.hints).encode() if self.hints else b""
        said = self._dump_said()
        room = LIMIT_BYTES - _HEAD_BYTES - 3 - len(hints) - len(said)
        size = sum([1 + len(reading) for reading in self.readings])
        while size > room:
            size -= 1 + len(self.readings.pop(0))
            self.dropped += 1
        parts = [struct.pack(_HEAD, _FORMAT, *[getattr(self, name) & 0xFFFFFFFF for name in _FIELDS])]
        parts += [struct.pack(">H", len(hints)), hints, bytes((len(said),)), said]
        for reading in self.readings:
            parts += [bytes((len(reading),)), reading]
        return b"".join(parts)

    def _dump_said(self):
        said = b""
        for index in sorted(self.said):
            values, when = self.said[index]
            one = struct.pack(">BIB", index, when, len(values))
            for value in values:
                one += struct.pack(">d", _NAN if value is None else value)
            said += one if len(said) + len(one) <= _SAID_BYTES else b""
        return said

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
        for name in ("retry_s", "sync_s", "tell_s", "older_s"):
            setattr(self, name, max(0, getattr(self, name) + jump_s))
        self.said = {index: (values, max(0, when + jump_s)) for index, (values, when) in self.said.items()}
        for at, reading in enumerate(self.readings):
            seq, when, index = struct.unpack_from(">IIB", reading)
            if index & _UPTIME:
                index = index & 127 if known else index
                self.readings[at] = struct.pack(">IIB", seq, when + jump_s, index) + reading[9:]

    def fail(self, clock_s, period_s, awake_ms):
        """A wake of so many milliseconds could not send. Returns the seconds until the next attempt, twice as many
        each time."""
        self.failed += 1
        self.fails += 1
        most_s = max(_PAUSE_S, period_s, awake_ms * _SHARE // 1_000)
        pause_s = min(period_s << min(self.fails, 12), most_s)
        self.retry_s = clock_s + pause_s - period_s // 2
        return pause_s

    def shed(self, keep):
        """In an outage: drop what is not to wait. `keep` has "all", "latest" or "none" by the index of a sensor."""
        newest, left = {}, []
        for reading in reversed(self.readings):
            index = reading[8] & 127
            if keep[index] == "all" or keep[index] == "latest" and newest.setdefault(index, reading) is reading:
                left.append(reading)
        self.policy += len(self.readings) - len(left)
        self.readings = list(reversed(left))

    def acknowledge(self, readings):
        """The broker has these."""
        for reading in readings:
            self.readings.remove(reading)
        self.acknowledged += len(readings)

    def refuse(self, readings):
        """The broker does not want these."""
        for reading in readings:
            self.readings.remove(reading)
        self.dropped += len(readings)

    def unpacked(self, reading, sensors):
        """(name, quantities, seq, Unix time or None, values); `sensors` is a list of (name, quantities)."""
        seq, when, index = struct.unpack_from(">IIB", reading)
        name, quantities = sensors[index & 127]
        values = struct.unpack_from(">%df" % len(quantities), reading, 9)
        when = None if index & _UPTIME else when
        return name, quantities, seq, when, [None if value != value else value for value in values]
