"""Late readings into Home Assistant's long-term statistics, over its WebSocket API."""

import datetime
import time

from tools import late

_BEFORE_S = 31 * 86_400  # as far back as the last sum of a counter is looked for
_SEEN_S = 20  # the recorder writes in its own time; what it has not written by then is tried again next time
_LOOK_S = 0.5
_MEAN_TYPE = (2025, 11)  # from this release on `mean_type` and `unit_class` are asked for, before it they are refused


def bring(link, waiting, intervals, now_s):
    """Bring what is due of `waiting` into the statistics of `link` (a home.Home), and take it out of there.

    Returns {"hours": n, "left": {unique id: why}}. `intervals` are seconds by unique id.
    """
    due = late.due(waiting, now_s)
    told = {"hours": 0, "left": {}}
    if not due:
        return told
    names = {entry["unique_id"]: entry["entity_id"] for entry in link.call("config/entity_registry/list")
             if entry["platform"] == "mqtt"}
    known = {entry["statistic_id"]: entry for entry in link.call("recorder/list_statistic_ids")}
    for unique_id, hours in sorted(due.items()):
        entry = known.get(names.get(unique_id))
        if not entry:
            told["left"][unique_id] = "Home Assistant has no statistics of it"
            continue
        rows = _rows(link, entry, min(hours) - _BEFORE_S, max(hours) + late.HOUR_S)
        if entry.get("has_sum"):
            made = late.sums(hours, rows)
        else:
            made = late.means(hours, intervals.get(unique_id, 60), rows)
        if made and not _import(link, entry, made):
            told["left"][unique_id] = "not written yet"
            continue
        late.forget(waiting, unique_id, hours)
        told["hours"] += len(made)
    return told


def _rows(link, entry, first_s, last_s):
    """The hourly rows of one statistic, in its own unit: {hour: row}."""
    unit, kind = entry.get("statistics_unit_of_measurement"), entry.get("unit_class")
    found = link.call(
        "recorder/statistics_during_period", start_time=_text(first_s), end_time=_text(last_s), period="hour",
        statistic_ids=[entry["statistic_id"]], types=["mean", "min", "max", "state", "sum"],
        units={kind: unit} if kind and unit else {})
    return {int(row["start"]) // 1000: row for row in found.get(entry["statistic_id"], ())}


def _import(link, entry, made):
    """Write rows, and see them; False when they have not come in time."""
    metadata = {"has_sum": bool(entry.get("has_sum")), "name": None, "source": "recorder",
                "statistic_id": entry["statistic_id"],
                "unit_of_measurement": entry.get("statistics_unit_of_measurement")}
    stats = [{"start": _text(hour), **row} for hour, row in sorted(made.items())]
    if link.version >= _MEAN_TYPE:
        metadata.update(mean_type=entry.get("mean_type"), unit_class=entry.get("unit_class"))
    else:
        metadata["has_mean"] = bool(entry.get("has_mean"))
    link.call("recorder/import_statistics", metadata=metadata, stats=stats)
    deadline = time.monotonic() + _SEEN_S
    while time.monotonic() < deadline:
        rows = _rows(link, entry, min(made), max(made) + late.HOUR_S)
        if all(_same(rows.get(hour), row) for hour, row in made.items()):
            return True
        time.sleep(_LOOK_S)
    return False


def _same(found, made):
    return found is not None and all(
        found.get(key) is not None and abs(found[key] - value) <= 1e-6 * max(1, abs(value))
        for key, value in made.items())


def _text(at_s):
    return datetime.datetime.fromtimestamp(at_s, datetime.timezone.utc).isoformat()
