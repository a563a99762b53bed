"""What nodes say, for people: a line a message, and a table of how things stand."""

import time

from tools import topics, tracebacks


def clock(t):
    """Unix seconds as local time of day."""
    return time.strftime("%H:%M:%S", time.localtime(t))


def values(reading, units):
    """The quantities of a reading (an object) with their units (name -> text or None)."""
    parts = []
    for name, value in reading.items():
        if name not in ("sensor", "ts", "boot", "seq"):
            unit = units.get(name)
            shown = "no value" if value is None else f"{value} {unit}" if unit else str(value)
            parts.append(f"{name} {shown}")
    return topics.text(", ".join(parts))


class Fleet:
    """What is known of every node so far. take() each message; table() shows it."""

    def __init__(self):
        self._status = {}
        self._info = {}
        self._last = {}  # node -> sensor -> (time of arrival, reading)

    def take(self, t, node, kind, data):
        """Take a message with its decoded data (as `mote watch --json` gives it); returns the line that tells it."""
        tell = getattr(self, "_tell_" + kind, None)
        said = tell(t, node, data) if tell and _fits(kind, data) else topics.text(f"{kind}: {data}")
        return f"{clock(t)}  {node:16}  {said}"

    def table(self, now):
        """The nodes, their status and their last readings, as a list of lines."""
        lines = []
        for node in sorted({*self._status, *self._info, *self._last}):
            lines.append(f"{node:16}  {self._status.get(node, 'unknown'):9}  {self._who(node)}".rstrip())
            for sensor, (t, reading) in sorted(self._last.get(node, {}).items()):
                age = f"{max(0, now - t):.0f} s ago"
                lines.append(f"    {sensor:12}  {age:>9}  {values(reading, self._units(node, sensor))}")
        return lines or ["no nodes yet"]

    def _who(self, node):
        info = self._info.get(node, {})
        place = [str(info[key]) for key in ("name", "area") if info.get(key)]
        about = [str(info[key]) for key in ("interpreter", "board") if info.get(key)]
        return topics.text(", ".join(place + about))

    def _units(self, node, sensor):
        units = self._info.get(node, {})
        for key in ("sensors", sensor, "quantities"):
            units = units.get(key)
            if not isinstance(units, dict):
                return {}
        return units

    def _tell_status(self, t, node, data):
        self._status[node] = topics.text(data)
        return f"is {self._status[node]}"

    def _tell_info(self, t, node, data):
        self._info[node] = data
        if "rescue" in data:
            crash = data["rescue"]
            why = topics.text(tracebacks.Mapper().brief(crash)) if isinstance(crash, str) else "nobody knows why"
            return f"is {self._who(node)}, in its recovery program: {why}"
        return f"is {self._who(node)}, boot {data.get('boot')}, chips {data.get('chips')}"

    def _tell_log(self, t, node, data):
        said = tracebacks.Mapper().text("\n".join(topics.lines(data)).strip())
        return "log: " + " | ".join(line.strip() for line in said)

    def _tell_telemetry(self, t, node, data):
        sensor = topics.text(data["sensor"])
        self._last.setdefault(node, {})[sensor] = (t, data)
        return f"{sensor:12}  {values(data, self._units(node, sensor))}"

    def _tell_event(self, t, node, data):
        return topics.text(f"{data['sensor']:12}  {data.get('event_type')}")

    def _tell_backlog(self, t, node, data):
        return f"{len(data)} readings from before"

    def _tell_diagnostics(self, t, node, data):
        names = ("produced", "acknowledged", "queued", "heap_free", "heap_low", "reconnects", "uptime_s")
        parts = [f"{name} {data[name]}" for name in names if name in data]
        for name in ("dropped", "rejected"):
            counts = data.get(name)
            counts = counts.items() if isinstance(counts, dict) else ()
            parts += [f"{name} {cause} {count}" for cause, count in counts if count]
        return topics.text("diagnostics: " + ", ".join(parts))

    def _tell_config(self, t, node, data):
        return topics.text(f"configuration: revision {data.get('revision')}, {data.get('state')}")


def _fits(kind, data):
    """Whether data has the shape that this kind of message should have; others are shown as they are."""
    if kind in ("status", "log"):
        return isinstance(data, str)
    return isinstance(data, list if kind == "backlog" else dict)
