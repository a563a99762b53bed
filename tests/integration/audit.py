"""What the messages of a node must have in common, worked out from nothing but what a subscriber got."""

import json
import time


def strict(payload):
    """Decode JSON as other programs do: without Infinity and NaN, which are Python's own. Raises ValueError."""
    return json.loads(payload, parse_constant=_refuse)


def _refuse(word):
    raise ValueError(f"{word} is not JSON")


def readings(messages, node_id):
    """Every reading that arrived, live or from the backlog: a list of (how, sensor, reading)."""
    top = f"mote/{node_id}/"
    found = []
    for message in messages:
        if message.topic.startswith((top + "telemetry/", top + "event/")):
            found.append(("live", message.topic.rsplit("/", 1)[1], strict(message.payload)))
        elif message.topic == top + "backlog":
            found += [("backlog", reading["sensor"], reading) for reading in strict(message.payload)]
    return found


def numbers(messages, node_id):
    """boot -> the set of seq that arrived, one way or the other."""
    found = {}
    for _, _, reading in readings(messages, node_id):
        found.setdefault(reading["boot"], set()).add(reading["seq"])
    return found


def diagnostics(messages, node_id):
    """(time of arrival, decoded) of every diagnostics message, oldest first."""
    topic = f"mote/{node_id}/diagnostics"
    return [(message.t, strict(message.payload)) for message in messages if message.topic == topic]


def accounting_errors(messages):
    """Diagnostics whose counters do not add up: produced = acknowledged + queued + dropped, at every instant."""
    wrong = []
    for message in messages:
        if message.topic.endswith("/diagnostics"):
            counters = strict(message.payload)
            accounted = counters["acknowledged"] + counters["queued"] + sum(counters["dropped"].values())
            old = counters.get("inherited")  # a sleeping node counts on from wake to wake instead
            found = old and old["acknowledged"] + old["queued"] + old["dropped"]
            if counters["produced"] != accounted or old and old["found"] != found:
                wrong.append((message.topic, counters))
    return wrong


def unordered_backlogs(messages):
    """Backlog messages that are not oldest first, as lists of (boot, seq)."""
    batches = [[(reading["boot"], reading["seq"]) for reading in strict(message.payload)]
               for message in messages if message.topic.endswith("/backlog")]
    return [batch for batch in batches if batch != sorted(batch)]


def wait_complete(auditor, node_id, limit_s, since):
    """Wait until everything that the first diagnostics after `since` call produced has arrived.

    Returns that diagnostics document. What is missing is named when the time is over.
    """
    report = auditor.wait_json(f"mote/{node_id}/diagnostics", limit_s, since)
    wanted = set(range(1, report["produced"] + 1))

    def arrived():
        return wanted <= numbers(auditor.messages, node_id).get(report["boot"], set())

    try:
        auditor.wait(arrived, limit_s, "complete set of readings")
    except AssertionError:
        lost = sorted(wanted - numbers(auditor.messages, node_id).get(report["boot"], set()))
        raise AssertionError(f"lost of {report['produced']} readings: {lost}; last diagnostics {report}") from None
    return report


def stale_live(seen, limit_s):
    """Readings that a node sent as live more than `limit_s` after it took them; `seen` is Proxy.frames(...)."""
    epoch_s = time.time() - time.monotonic()
    stale = []
    for frame_seen in seen:
        if frame_seen.frame.topic and "/telemetry/" in frame_seen.frame.topic:
            reading = strict(frame_seen.frame.payload)
            if reading["ts"] is not None and frame_seen.t + epoch_s - reading["ts"] > limit_s:
                stale.append(reading)
    return stale


def stale_diagnostics_s(seen):
    """Seconds by which the oldest diagnostics were stale when the node sent them; `seen` is Proxy.frames(...)."""
    born = [frame_seen.t - strict(frame_seen.frame.payload)["uptime_s"] for frame_seen in seen
            if frame_seen.frame.topic and frame_seen.frame.topic.endswith("/diagnostics")]
    return max(born) - min(born)


def longest_gap_s(messages, node_id):
    """The longest time between two consecutive readings of a node with one sensor, by their own time stamps."""
    times = sorted({reading["seq"]: reading["ts"] for _, _, reading in readings(messages, node_id)}.items())
    return max(later[1] - earlier[1] for earlier, later in zip(times, times[1:], strict=False))
