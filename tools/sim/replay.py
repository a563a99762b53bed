"""A world from a CSV of real measurements: `mote sim --world FILE`.

The first line names the columns. The first of them is the time, seconds or ISO 8601, and rises; every other is a
quantity (`temperature`), or one of a single sensor (`water.temperature`). Between two rows values go in a straight
line; after the last row the file begins anew. What it does not have, the built-in world has.
"""

import bisect
import csv
import datetime
import zlib

from tools import errors
from tools.sim.world import World


def load(path):
    """What Place takes as `world_for`. Raises UserError with the line of the first mistake."""
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
    except (OSError, UnicodeError) as error:
        raise errors.UserError(f"cannot read {path}: {error}") from None
    if len(rows) < 3 or len(rows[0]) < 2:
        raise errors.UserError(f"{path}: a line of names, then two rows at least: time, then quantities")
    times, columns = [], {name.strip(): [] for name in rows[0][1:]}
    for number, row in enumerate(rows[1:], 2):
        try:
            times.append(_seconds(row[0]))
            for name, text in zip(columns, row[1:], strict=True):
                columns[name].append(float(text))
        except ValueError as error:
            raise errors.UserError(f"{path}, line {number}: {error}") from None
        if len(times) > 1 and times[-1] <= times[-2]:
            raise errors.UserError(f"{path}, line {number}: the time does not rise")
    return Replay(times, columns).world_for


def _seconds(text):
    try:
        return float(text)
    except ValueError:
        return datetime.datetime.fromisoformat(text.strip()).timestamp()


class Replay:
    """Columns of values over rising times in seconds."""

    def __init__(self, times, columns):
        self._times = [time_s - times[0] for time_s in times]
        self._columns = columns

    def world_for(self, node, clock_s):
        """The world of a node: a function from a sensor's name to its world."""
        began_s = clock_s()
        invented = World(zlib.crc32(node.encode()), clock_s).sensor

        def sensor(name):
            own = invented(name)

            def world(quantity):
                column = self._columns.get(f"{name}.{quantity}") or self._columns.get(quantity)
                return own(quantity) if column is None else self._at(column, clock_s() - began_s)

            return world

        return sensor

    def _at(self, column, passed_s):
        times = self._times
        passed_s %= times[-1]
        after = bisect.bisect_right(times, passed_s)
        before = after - 1
        share = (passed_s - times[before]) / (times[after] - times[before])
        return column[before] + (column[after] - column[before]) * share
