"""A flight recorder's events as a schedule of faults: the pure part of `mote sim --replay FILE`.

FILE is what `mote command NODE report` printed, with --json or without, or the payload of `{base}/{id}/log`: lines of
firmware/recorder.py, each a time of day (`-` while it was not known) and up to forty letters of the node's log. What
such a line says happened *to* the node becomes a fault; what the node did about it is only compared.
"""

import json
import re
from collections import namedtuple

Event = namedtuple("Event", "at_s text")  # seconds since the first event
Wanted = namedtuple("Wanted", "kind at_s lasts_s detail line")  # a fault: see tools.sim.repeat.KINDS
Plan = namedtuple("Plan", "wanted left lasts_s")  # left: [(line, why it is not carried over)]

_DAY_S = 86_400
_STEP_S = 1  # between lines whose times are not known
_BACK_S = 3_600  # a time of day that goes back by less is a clock that was set, by more a new day
_NOTICED_S = 12  # what makes a node give up a silent connection lies so far back
_CLOCK_S = 25  # the same of a time server
_EARLY_S = 0.5  # a fault is there before the attempt that it spoils, and gone before the one that succeeds
_APART_S = 0.001  # between two faults of one kind: rounding must not make them overlap
_BOOT_S = 2  # from a reset to the first line
_LINE = re.compile(r"\s*(-|\d\d:\d\d:\d\d) (\S.*)")
_PAUSE = re.compile(r"link: next attempt in (\d+) ms")
# The node's own doing: it follows from faults, and from its configuration.
_OWN = re.compile(r"link: (joining|connecting|online|leaving|down|next attempt in |\S+:\d+ as )|asleep for |node: ")
_BEGAN = re.compile(r"boot \d+, ([a-z-]+)")
_REASONS = (  # what the reason of a failure tells, and in which states; the first that fits
    ("wrong password", "wifi-password", ("joining",)),
    ("no such network", "wifi-gone", ("joining",)),
    ("no address", "no-address", ("joining",)),
    ("", "wifi-slow", ("joining",)),
    (r"cannot resolve|name not found", "dns-fails", ("connecting",)),
    (r"^refused: ", "broker-refuses", ("connecting", "online")),
    (r"^(104|54|closed by)|reset by|connection reset|hung up", "broker-hangs-up", ("connecting", "online")),
    (r"^(111|61) ?|refused", "broker-restart", ("connecting",)),
    (r"no Wi-Fi|^118", "wifi-gone", ("connecting", "online")),
    (r"malformed|unexpected packet|bad packet id", "garbage", ("connecting", "online")),
    (r"TLS|CA$|certificate|clock not set|WebSocket", None, ("connecting", "online")),
    ("", "blocked", ("connecting", "online")),
)
# Cause of a start: (the fault that ended the one before, how long the board then stood still or was dark, at most).
_CUTS = {"power-on": ("power-cut", 5), "brownout": ("power-cut", 1), "watchdog": ("hang", 120),
         "soft": ("reset-button", 0.5), "reset": ("reset-button", 0.5)}
_VERBS = ("restart", "sample", "identify", "report")


def events(text):
    """The events of a recording, at seconds since the first, and how many other lines there are. Raises ValueError."""
    lines = _lines(text)
    found = [match.groups() for match in map(_LINE.fullmatch, lines) if match]
    if not found:
        raise ValueError("no event of a flight recorder in it: give what `mote command NODE report` printed")
    times, day_s, last_s = [], 0, None
    for stamp, _ in found:
        second = None
        if stamp != "-":
            hours, minutes, seconds = map(int, stamp.split(":"))
            second = day_s + 3600 * hours + 60 * minutes + seconds
            if last_s is not None and second < last_s - _BACK_S:
                day_s += _DAY_S
                second += _DAY_S
            second = last_s = second if last_s is None else max(second, last_s)
        times.append(second)
    texts = [text for _, text in found]
    times = _filled(times, [_after_s(text) for text in texts])
    return [Event(at_s - times[0], text) for at_s, text in zip(times, texts, strict=True)], len(lines) - len(found)


def _lines(text):
    """The lines of a reply as JSON, or of a text."""
    try:
        told = json.loads(text)
    except ValueError:
        return text.splitlines()
    log = told.get("log") if isinstance(told, dict) else told
    if not isinstance(log, list) or not all(isinstance(line, str) for line in log):
        raise ValueError("a JSON document without `log`: the node told no events")
    return [line for entry in log for line in entry.splitlines()]


def _after_s(text):
    """How long after this line the next one was written, as far as it tells."""
    pause = _PAUSE.match(text)
    return max(_STEP_S, int(pause.group(1)) / 1000) if pause else _STEP_S


def _filled(times, steps):
    """Times with those that are not known worked out from their neighbours, never falling."""
    times = list(times)
    if times[0] is None and any(at_s is not None for at_s in times):
        first = next(index for index, at_s in enumerate(times) if at_s is not None)
        for index in range(first - 1, -1, -1):
            times[index] = times[index + 1] - steps[index]
    times[0] = times[0] or 0
    for index in range(1, len(times)):
        if times[index] is None:
            later = [at_s for at_s in times[index:] if at_s is not None]
            times[index] = min([times[index - 1] + steps[index - 1], *later])
        times[index] = max(times[index], times[index - 1])
    return times


def signs(told):
    """What events mean, whichever machine's words they are in: [(event, sign)]. A sign is a tuple: ("failed", kind,
    state), ("start", cause), ("command", verb), ("sensor", name), ("clock",), ("flash", number), ("did", text), or
    ("other",)."""
    state, found = "online", []
    for event in told:
        text = event.text.removeprefix("! ")  # which marks a fault
        if text in ("link: joining", "link: connecting", "link: online", "link: down"):
            state = text[6:]
        found.append((event, _sign(text, state)))
    return found


def _sign(text, state):
    head, _, rest = text.partition(": ")
    start = _BEGAN.match(text)
    if start:
        return "start", start.group(1)
    if _OWN.match(text):
        return "did", re.sub(r"\d+|\S+:\d+ as \S+", "#", text)
    if head == "link":
        return "failed", _kind(rest.partition(" while ")[0], state), state
    if head.startswith("command "):
        return "command", head[8:]
    if head.startswith("sensor "):
        return "sensor", head[7:]
    if head == "outbox" and re.search(r"OSError (28|5)\b", rest):
        return "flash", int(re.search(r"OSError (\d+)", rest).group(1))
    return ("clock",) if head == "clock" else ("other",)


def _kind(reason, state):
    return next((kind for pattern, kind, states in _REASONS if state in states and re.search(pattern, reason)), None)


def plan(told):
    """The Plan that events make: faults at seconds since the first event."""
    wanted, left = [], []
    found = signs(told)
    for index, (event, sign) in enumerate(found):
        fault = _fault(found, index, event, sign)
        if isinstance(fault, str):
            left.append((event.text, fault))
        elif fault:
            wanted.append(fault)
    return Plan(_apart(_joined(wanted)), left, told[-1].at_s)


def _fault(found, index, event, sign):
    """The fault behind an event, None for what the node did by itself, a text where nothing can be carried over."""
    at_s, line, what = event.at_s, event.text, sign[0]
    if what == "failed":
        return _failure(found, index, event, sign)
    if what == "start" and index:
        return _cut(found, index, event, sign[1])
    if what == "command":
        known = sign[1] in _VERBS
        return Wanted("command", at_s, 0, sign[1], line) if known else "this command is not given to simulated nodes"
    if what == "sensor":
        return Wanted("sensor-missing", max(0, at_s - 2), 60, sign[1], line)
    if what == "clock":
        return Wanted("ntp-silent", max(0, at_s - _CLOCK_S), _CLOCK_S, None, line)
    if what == "flash":
        return Wanted("flash-full" if sign[1] == 28 else "flash-worn", max(0, at_s - 2), 30, None, line)
    return "the recorder keeps no more of it than these words" if what == "other" else None


def _failure(found, index, event, sign):
    """What made a session or an attempt fail: from its beginning, or as long as it took to notice, to the next one."""
    _, kind, state = sign
    if kind is None:
        return "TLS and WebSocket are not simulated"
    if kind == "broker-hangs-up" and state == "online":
        return Wanted(kind, event.at_s, 0, state, event.text)
    attempts = ("link: joining", "link: connecting")
    began_s = event.at_s - (_NOTICED_S if kind == "blocked" else 0)
    if state != "online":
        began_s = next((one.at_s for one, _ in reversed(found[:index]) if one.text in attempts), event.at_s)
    next_s = next((one.at_s for one, _ in found[index + 1:] if one.text in attempts), event.at_s)
    began_s = max(0, began_s - _EARLY_S)
    return Wanted(kind, began_s, max(_EARLY_S, next_s - _EARLY_S - began_s), state, event.text)


def _cut(found, index, event, cause):
    """How the start before this one ended. When, the recorder does not tell: as late as it may have been."""
    asked = any(sign == ("command", "restart") for _, sign in found[max(0, index - 6):index])
    if cause in ("deep-sleep", "restart") or cause == "soft" and asked:
        return None  # as its configuration, or the command, has it
    if cause not in _CUTS:
        return f"how a start by {cause!r} came about is not known"
    kind, dark_s = _CUTS[cause]
    at_s = max(found[index - 1][0].at_s + 0.1, event.at_s - dark_s - _BOOT_S)
    return Wanted(kind, at_s, max(0.5, event.at_s - _BOOT_S - at_s), None, event.text)


def _joined(wanted):
    """Failures of one kind after another are one fault; a broker that hung up and then refused was down from then."""
    result = []
    for fault in sorted(wanted, key=lambda fault: fault.at_s):
        last = result[-1] if result else None
        outage = fault.detail in ("joining", "connecting")
        if outage and last and (last.kind, fault.kind) == ("broker-hangs-up", "broker-restart"):
            result[-1] = fault._replace(at_s=last.at_s, lasts_s=fault.at_s + fault.lasts_s - last.at_s)
        elif last and last.kind == fault.kind and (outage or fault.at_s <= last.at_s + last.lasts_s + 1):
            result[-1] = last._replace(lasts_s=max(last.lasts_s, fault.at_s + fault.lasts_s - last.at_s))
        else:
            result.append(fault)
    return result


def _apart(wanted):
    """Faults of one kind that overlap are one: what has failed cannot begin to, and is not mended twice."""
    result, open_ones = [], {}  # (kind, whom it meets) -> index in `result` of the latest
    for fault in wanted:
        key = fault.kind, fault.kind == "sensor-missing" and fault.detail
        last = result[open_ones[key]] if key in open_ones else None
        if last and last.lasts_s and fault.at_s <= last.at_s + last.lasts_s + _APART_S:
            end_s = max(last.at_s + last.lasts_s, fault.at_s + fault.lasts_s)
            result[open_ones[key]] = last._replace(lasts_s=end_s - last.at_s)
        else:
            open_ones[key] = len(result)
            result.append(fault)
    return result
