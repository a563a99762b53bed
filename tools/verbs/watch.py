"""`mote watch`: nodes, their status and their last readings, live."""

import json
import shutil
import sys
import textwrap
import time

from tools import arguments, connection, errors, readings, topics

HELP = "show nodes, their status and their readings, live"
EXAMPLE = "mote watch --broker localhost:1883 --seconds 30"

_REDRAW_S = 0.5
_HOME, _REST_OF_LINE, _REST_OF_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"


def add_arguments(parser):
    parser.description = textwrap.fill(
        HELP + ". In a terminal, a table that follows; elsewhere a line for each message, and the table at the end.",
        100)
    connection.add_connection_options(parser)
    parser.add_argument("--seconds", type=arguments.seconds, metavar="N", help="how long (default: until Ctrl-C)")
    parser.add_argument("--json", action="store_true",
                        help='a line of JSON for each message: {"t", "node", "kind", "data", "retained"}')


def run(args):
    target = connection.target(args)
    show = _print_json if args.json else _redraw if sys.stdout.isatty() else _print_lines
    with connection.Connection(target, topics.filters(target.base), on_change=_say) as link:
        try:
            show(link, args.seconds)
        except KeyboardInterrupt:
            pass  # the way to end it
    if link.dropped:
        _say(f"too slow for {link.dropped} messages, which are not shown")
    return errors.DONE


def _say(line):
    print("watch:", line, file=sys.stderr, flush=True)


def decoded(base, message):
    """(node, kind, data) of a message: data is what JSON it holds, else its text. None when it is no node's."""
    parts = topics.split(base, message.topic)
    if parts is None:
        return None
    node, kind, below = parts
    if kind in ("status", "log"):
        return node, kind, "\n".join(topics.lines(message.payload))
    try:
        data = topics.decode(message.payload)
    except ValueError:
        data = message.payload.decode("utf-8", "replace")
    if kind in ("telemetry", "event") and isinstance(data, dict):
        data = {**data, "sensor": below}
    return node, kind, data


def _print_json(link, seconds):
    for message in link.messages(seconds):
        found = decoded(link.base, message)
        if found:
            node, kind, data = found
            print(json.dumps({"t": round(message.t, 3), "node": node, "kind": kind, "data": data,
                              "retained": message.retain}), flush=True)


def _print_lines(link, seconds):
    fleet = readings.Fleet()
    try:
        for message in link.messages(seconds):
            found = decoded(link.base, message)
            if found:
                print(fleet.take(message.t, *found), flush=True)
    finally:
        print("\n".join(["", *fleet.table(time.time())]), flush=True)


def _redraw(link, seconds):
    fleet = readings.Fleet()
    end = None if seconds is None else time.monotonic() + seconds
    print(_HOME + _REST_OF_SCREEN, end="")
    while end is None or time.monotonic() < end:
        for message in link.messages(_REDRAW_S):
            found = decoded(link.base, message)
            if found:
                fleet.take(message.t, *found)
        columns, rows = shutil.get_terminal_size()
        now = time.time()
        head = f"{link.base} on {link.target.host}:{link.target.port} at {readings.clock(now)}; Ctrl-C ends"
        lines = [head, "", *fleet.table(now)]
        screen = "\n".join(line[:columns] + _REST_OF_LINE for line in lines[:rows - 1])
        print(_HOME + screen + "\n" + _REST_OF_SCREEN, end="", flush=True)
