"""What every client of the comparison publishes."""

import os
import time

CLIENT = os.getenv("MOTE_BENCH_CLIENT")  # five letters: a broker ends the other connection of the same name
TOPIC = b"mote/test"
STATUS = b"mote/stat"
PAYLOAD = b"x" * 100
READINGS = 5  # of a wake cycle, beside its retained status
AT_ONCE = 20  # in flight, with clients that set no limit themselves and search all that is for each acknowledgement


def late(until_ms):
    """Whether the time that a slow client has is over; None is for ever."""
    return until_ms is not None and time.ticks_diff(time.ticks_ms(), until_ms) > 0
