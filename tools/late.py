"""Readings that came late, as the hourly statistics that Home Assistant would have made of them. Pure.

Times are Unix seconds; an hour is named by its beginning. What waits is a dict: unique id -> {"time boot seq": value},
and can be written as JSON.
"""

HOUR_S = 3600
SETTLED_S = 600  # Home Assistant makes an hour's statistics within the first minutes after it
_OWN = ("sensor", "ts", "boot", "seq")


def take(waiting, node, readings, kinds):
    """Add the readings of a `backlog` message; returns how many values. Those without a time, or of a quantity that is
    not in `kinds` (sensor -> names, as `info` tells), belong to no hour."""
    count = 0
    for reading in readings if isinstance(readings, list) else ():
        if not isinstance(reading, dict) or not isinstance(reading.get("ts"), int):
            continue
        sensor = reading.get("sensor")
        for quantity in kinds.get(sensor, ()):
            value = reading.get(quantity)
            if quantity not in _OWN and isinstance(value, (int, float)) and not isinstance(value, bool):
                place = f"{reading['ts']} {reading.get('boot')} {reading.get('seq')}"
                waiting.setdefault(f"{node}_{sensor}_{quantity}", {})[place] = value
                count += 1
    return count


def due(waiting, now_s):
    """Unique id -> {hour: values in order of time} of the hours that are over and settled."""
    found = {}
    for unique_id, values in waiting.items():
        for at_s, _, value in sorted((*map(_number, place.split(" ")[::2]), value) for place, value in values.items()):
            hour = at_s - at_s % HOUR_S
            if hour + HOUR_S + SETTLED_S <= now_s:
                found.setdefault(unique_id, {}).setdefault(hour, []).append(value)
    return found


def _number(text):
    return int(text) if text.isdigit() else 0


def forget(waiting, unique_id, hours):
    """Drop the values of these hours: they are where they belong."""
    left = {place: value for place, value in waiting.pop(unique_id).items()
            if int(place.split(" ")[0]) // HOUR_S * HOUR_S not in hours}
    if left:
        waiting[unique_id] = left


def means(hours, interval_s, rows):
    """Rows of mean, lowest and highest: {hour: {...}}. `rows` are those that Home Assistant has: an hour of which it
    saw a part keeps that, weighed by the time that the late values do not cover."""
    made = {}
    for hour, values in hours.items():
        mean, low, high = sum(values) / len(values), min(values), max(values)
        row = rows.get(hour)
        if row and row.get("mean") is not None:
            share = min(1.0, len(values) * interval_s / HOUR_S)
            mean = share * mean + (1 - share) * row["mean"]
            low, high = min(low, row["min"]), max(high, row["max"])
        made[hour] = {"mean": mean, "min": low, "max": high}
    return made


def sums(hours, rows):
    """Rows of a counter for the hours that Home Assistant has none of: what it counted at the return it then shows
    where it was counted. A counter that goes back has begun again."""
    made, state, total = {}, None, 0.0
    for hour in sorted({*hours, *rows}):
        if hour in rows:
            row = rows[hour]
            if row.get("sum") is not None:
                state, total = row.get("state"), row["sum"]
            continue
        for value in hours[hour]:
            if state is not None:
                total += value - state if value >= state else value
            state = value
        made[hour] = {"state": state, "sum": total}
    return made
