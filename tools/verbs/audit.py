"""`mote audit`: does every reading arrive, once?"""

import json
import sys
import textwrap
import time

from tools import accounting, arguments, connection, errors, topics

HELP = "count every gap and duplicate in what nodes send"
EXAMPLE = "mote audit --seconds 60 --json"

_FILTERS = ("status", "info", "telemetry/+", "event/+", "backlog", "diagnostics")
_PROGRESS_S = 10


def add_arguments(parser):
    parser.description = textwrap.fill(
        HELP + ". Readings are known by (boot, seq), live ones, events and backlog together. Of each boot, all is due "
        "from the first live reading heard on; of a boot that begins meanwhile, all from the first. A gap that the "
        "node itself counted as dropped, may still have in its queue, or lost with its power, is told and forgiven "
        "(tail_unknown: at most so many that nobody can know of yet, null where that has no bound); any "
        "other makes the exit status 1. When nothing was heard at all it is 3.", 100)
    connection.add_connection_options(parser)
    parser.add_argument("--seconds", type=arguments.seconds, metavar="N",
                        help="how long to listen (default: until Ctrl-C)")
    parser.add_argument("--settle", type=arguments.seconds, default=10, metavar="N",
                        help="at most so many seconds more for what is missing or on its way (default 10)")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")


def run(args):
    ledger = accounting.Accounting()
    target = connection.target(args)
    with connection.Connection(target, topics.filters(target.base, _FILTERS), on_change=say) as link:
        say(f"subscribed to {target.base} on {target.host}:{target.port}")
        try:
            listen(link, ledger, args.seconds, args.settle)
        except KeyboardInterrupt:
            say("interrupted")
        report = {**ledger.report(), "interruptions": link.interruptions, "overflow": link.dropped}
    print(json.dumps(report) if args.json else text(report), flush=True)
    if not any(node["received"] for node in report["nodes"].values()):
        say("no readings at all: is a node online? `mote watch` shows who is")
        return errors.UNREACHABLE
    return errors.DONE if report["ok"] else errors.FAILED


def say(line):
    """Progress, apart from the result."""
    print("audit:", line, file=sys.stderr, flush=True)


def listen(link, ledger, seconds, settle_s):
    """Feed the ledger for so many seconds (None: no end), then until nothing is open or `settle_s` more are over."""
    began = said = time.monotonic()
    for message in link.messages(seconds):
        now = time.monotonic()
        ledger.enter(link.base, message, now - began)
        if now - said >= _PROGRESS_S and sys.stderr.isatty():
            said = now
            say(summary(ledger.report()))
    if ledger.settled():
        return
    say(f"waiting up to {settle_s:g} s for what is missing or on its way")
    for message in link.messages(settle_s):
        ledger.enter(link.base, message, time.monotonic() - began)
        if ledger.settled():
            return


def summary(report):
    """All nodes in one line."""
    nodes = report["nodes"].values()
    missing = sum(missing_of(node) for node in nodes)
    return f"{len(nodes)} nodes, {sum(node['received'] for node in nodes)} readings, {missing} missing"


def missing_of(node):
    """How many readings a node's gaps hold."""
    return sum(last - first + 1 for _, first, last in node["gaps"])


def tail(most):
    """What nobody can know yet: readings that wait in a node, or went with the memory of one that lost its power."""
    return "no tail" if most == 0 else "tail unknown" if most is None else f"tail unknown, at most {most}"


def text(report):
    """The report for people."""
    lines = []
    for name, node in report["nodes"].items():
        lines.append(
            f"{name:23}  {node['status'] or 'no status':9}  {node['received']} readings, {missing_of(node)} missing, "
            f"{node['duplicates']} twice, {node['counted_dropped']} dropped by the node, {tail(node['tail_unknown'])}")
        lines += [f"    missing: boot {boot}, seq {first}" + (f" to {last}" if last > first else "")
                  for boot, first, last in node["gaps"]]
        if node["malformed"]:
            lines.append(f"    {node['malformed']} messages that were not of the form that nodes use")
    if report["interruptions"]:
        lines.append(f"The audit itself lost its connection {report['interruptions']} times: what was sent meanwhile "
                     "is missing here, whoever's fault that is.")
    if report["overflow"]:
        lines.append(f"The audit itself was too slow for {report['overflow']} messages.")
    lines.append("ok" if report["ok"] else "NOT ok")
    return "\n".join(lines)
