"""The figures of `mote bench mqtt` as a table, each with what lib/mqtt is to reach and whether it does: no I/O."""

import collections

OURS = "mote"
WINDOW = 64  # QoS 1 messages in flight, which over a link bound the rate of a client that limits them

# `key` is a path into a client's figures. `limit` gives, from all clients' figures, what ours has to reach: at least
# this, or at most; None when a client that it depends on was not measured. No `limit`: nothing is promised.
Figure = collections.namedtuple("Figure", "key label least limit words", defaults=(None, None, ""))


def value(figures, key):
    """The figure at a path such as "qos1_per_s.20", None where there is none."""
    for part in key.split("."):
        figures = figures.get(part) if figures else None
    return figures


def _constant(number):
    return lambda clients: number


def _times(factor, name, key):
    """`factor` times what another client reached."""
    def limit(clients):
        other = value(clients.get(name), key)
        return None if other is None else factor * other
    return limit


def _window_rate(rtt_ms):
    """0.9 of what the window allows, or of what the fastest peer, which has none, reaches if that is less."""
    def limit(clients):
        other = value(clients.get("chumicro"), f"qos1_per_s.{rtt_ms}")
        return None if other is None else 0.9 * min(WINDOW * 1_000 / rtt_ms, other)
    return limit


FIGURES = (
    Figure("qos0_sink_per_s.0", "QoS 0, messages/s, to a mere reader", True,
           _times(2.5, "umqtt.simple", "qos0_sink_per_s.0"), "2.5 x umqtt.simple"),
    Figure("qos0_per_s.0", "  through the broker, loopback"),
    Figure("qos0_per_s.20", "  round trip 20 ms"),
    Figure("qos0_per_s.100", "  round trip 100 ms"),
    Figure("qos1_per_s.0", "QoS 1, messages/s, loopback"),
    Figure("qos1_per_s.20", "  round trip 20 ms", True, _window_rate(20), "0.9 x min(64/RTT, chumicro)"),
    Figure("qos1_per_s.100", "  round trip 100 ms", True, _window_rate(100), "0.9 x min(64/RTT, chumicro)"),
    Figure("wake_rtts.20", "wake cycle, round trips, at 20 ms"),
    Figure("wake_rtts.100", "  at 100 ms", False, _constant(2.1), "2.1"),
    Figure("wake_default_rtts.20", "  Mosquitto's default, 20 ms"),
    Figure("wake_default_rtts.100", "  Mosquitto's default, 100 ms", False, _constant(3.1), "3.1"),
    Figure("qos0_bytes", "bytes allocated per QoS 0 publish", False, _constant(0), "0"),
    Figure("callback_bytes", "  QoS 1 with a callback", False, _constant(64), "64"),
    Figure("awaited_bytes", "  QoS 1 awaited", False, _constant(320), "320"),
    Figure("imported_bytes", "heap after import, bytes"),
    Figure("connected_bytes", "heap when connected, bytes", False, _constant(12 * 1024), "12 KiB"),
    Figure("rom_connected_bytes", "  its code in ROMFS, bytes"),
    Figure("smallest_heap_kib", "smallest heap for 1,000 publishes, KiB", False, _constant(24), "24"),
    Figure("instructions", "instructions per QoS 0 publish", False, _constant(12_000), "12,000"),
    Figure("mpy_bytes", "bytes of bytecode (.mpy)"),
)


def targets(clients):
    """What our client is to reach, for each figure that was measured: a list of dicts; `reached` None is unknown."""
    found = []
    for figure in FIGURES:
        ours = value(clients.get(OURS), figure.key)
        if figure.limit is None or ours is None:
            continue
        limit = figure.limit(clients)
        reached = None if limit is None else (ours >= limit if figure.least else ours <= limit)
        found.append({"figure": figure.key, "found": ours, "target": ("at least " if figure.least else "at most ")
                      + figure.words, "limit": limit, "reached": reached})
    return found


def table(clients):
    """The figures as text: a line each, a column per client, then the target of ours and what came of it."""
    outcome = {target["figure"]: target for target in targets(clients)}
    width = max(map(len, (figure.label for figure in FIGURES)))
    lines = [_line("", [_heading(name) for name in clients], "target of mote", width)]
    for figure in FIGURES:
        values = [value(figures, figure.key) for figures in clients.values()]
        if any(number is not None for number in values):
            words = _words(outcome.get(figure.key))
            lines.append(_line(figure.label, [_number(number) for number in values], words, width))
    return "\n".join(lines)


def _line(label, cells, words, width):
    return (f"{label:{width}}" + "".join(f"{cell:>10}" for cell in cells) + "  " + words).rstrip()


def _heading(name):
    return name.removeprefix("umqtt.")


def _number(number):
    if number is None:
        return "-"
    if number >= 100 or number == int(number):
        return f"{number:,.0f}"
    return f"{number:.2f}" if number < 30 else f"{number:.1f}"


def _words(target):
    if target is None:
        return ""
    verdict = {True: "reached", False: "MISSED", None: "not known here"}[target["reached"]]
    return f"{target['target']}: {verdict}"
