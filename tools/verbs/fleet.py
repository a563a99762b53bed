"""`mote fleet`: thousands of nodes in real time against a real broker, every reading of them audited."""

import argparse
import json
import signal
import subprocess
import sys
import textwrap
import threading
import time

from tools import ROOT, accounting, arguments, children, connection, errors, topics

HELP = "run many nodes against a real broker, and audit every reading"
EXAMPLE = "mote fleet --nodes 1000 --interval-s 1 --seconds 60 --broker localhost:1883"

_SPREAD_S = 10  # over which the nodes start
_SETTLE_S = 15  # at most, for what is on its way when the nodes have left
_END_S = 40  # for everybody's goodbye
_START_S = 60  # for a process until its nodes begin
_SAY_S = 5


def add_arguments(parser):
    parser.description = textwrap.fill(
        HELP + ". They are the shipped node on CPython with simulated chips and a flash in memory, named f00000 and so "
        "on. It ends by itself after --seconds, or with Ctrl-C: all nodes leave cleanly, and what they counted is held "
        "against what a subscriber got. Exit status 1 when a reading is missing, 3 when there is no broker.", 100)
    connection.add_connection_options(parser)
    parser.add_argument("--nodes", type=_count, default=100, metavar="N", help="how many (default 100)")
    parser.add_argument("--interval-s", type=_count, default=10, metavar="N", help="between readings (default 10)")
    parser.add_argument("--seconds", type=arguments.seconds, metavar="N", help="how long (default: until Ctrl-C)")
    parser.add_argument("--processes", type=_count, default=1, metavar="N", help="share the nodes (default 1)")
    parser.add_argument("--qos", type=int, choices=(0, 1), default=1, help="of the readings (default 1)")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")


def _count(text):
    number = int(text)
    if not 1 <= number <= 100_000:
        raise argparse.ArgumentTypeError(f"{text}: 1 to 100000 are possible")
    return number


def run(args):
    target = connection.target(args)
    if target.tls:
        raise errors.UserError("a fleet speaks plain MQTT: name the broker's plain port, HOST:PORT")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    ledger = accounting.Accounting()
    began = time.monotonic()
    with connection.Connection(target, topics.filters(target.base, ("status", "telemetry/+", "backlog")),
                               on_change=_say) as link:
        counted = _fleet(args, target, link, ledger, began)
    verdict = judge(args, ledger.report(), counted, link.dropped)
    print(json.dumps(verdict) if args.json else text(verdict), flush=True)
    return errors.DONE if verdict["ok"] else errors.FAILED


def _fleet(args, target, link, ledger, began):
    """Run the processes and the audit; returns what every node counted."""
    workers = [_start(args, target, index) for index in range(args.processes)]
    answers = [_Answer(worker) for worker in workers]
    try:
        until = time.monotonic() + _START_S
        while not all(answer.running.is_set() for answer in answers) and time.monotonic() < until:
            _take(link, ledger, 0.1, began)
        _listen(args, link, ledger, began, workers)
    except KeyboardInterrupt:
        _say("leaving")
    for worker in workers:
        worker.terminate()
    until = time.monotonic() + _END_S
    while any(answer.is_alive() for answer in answers) and time.monotonic() < until:
        _take(link, ledger, 0.2, began)
    for worker in workers:
        children.await_end(worker, 1)
    counted = {}
    for answer in answers:
        counted.update(answer.counted())
    until = time.monotonic() + _SETTLE_S
    while time.monotonic() < until and not _settled(ledger.report(), counted):
        _take(link, ledger, 0.5, began)
    return counted


class _Answer(threading.Thread):
    """What a process prints at its end: read as it comes, or the pipe would be full."""

    def __init__(self, worker):
        super().__init__(daemon=True)
        self._worker = worker
        self._text = ""
        self.running = threading.Event()  # its nodes have begun, or it has failed
        self.start()

    def run(self):
        self._text = self._worker.stdout.readline()
        self.running.set()
        self._text += self._worker.stdout.read()

    def counted(self):
        self.join(1)
        lines = self._text.splitlines()
        if not lines or not lines[-1].startswith("{"):
            raise errors.UserError("a process of the fleet failed:\n" + self._text[-1500:], errors.FAILED)
        return json.loads(lines[-1])


def _start(args, target, index):
    first = args.nodes * index // args.processes
    options = {"first": first, "count": args.nodes * (index + 1) // args.processes - first, "host": target.host,
               "interval_s": args.interval_s, "spread_s": min(_SPREAD_S, args.seconds or _SPREAD_S),
               "port": target.port, "user": target.user, "base": target.base, "qos": args.qos}
    return children.start([sys.executable, "-m", "tools.sim.fleet", json.dumps(options)], cwd=ROOT, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def _listen(args, link, ledger, began, workers):
    start = said = time.monotonic()
    before = 0
    while args.seconds is None or time.monotonic() - start < args.seconds:
        _take(link, ledger, 0.5, began)
        now = time.monotonic()
        if now - said >= _SAY_S:
            readings = sum(node.received for node in ledger.nodes.values())
            online = sum(node.status == "online" for node in ledger.nodes.values())
            _say(f"{online} nodes online, {(readings - before) / (now - said):.0f} readings a second")
            said, before = now, readings
        if any(worker.poll() is not None for worker in workers):
            return


def _take(link, ledger, seconds, began):
    for message in link.messages(seconds):
        ledger.enter(link.base, message, time.monotonic() - began)


def _missing(report, counted):
    """How many readings the nodes had acknowledged that nobody got."""
    return sum(max(0, acknowledged - (report["nodes"].get(name, {}).get("received", 0)
                                      - report["nodes"].get(name, {}).get("duplicates", 0)))
               for name, (_, acknowledged, _, _) in counted.items())


def _settled(report, counted):
    """Whether everything that the nodes said last has been heard."""
    words = [report["nodes"].get(name, {}).get("status") for name in counted]
    return not _missing(report, counted) and all(word == "offline" for word in words)


def judge(args, report, counted, overflow):
    """What `mote fleet --json` tells."""
    sums = [sum(column) for column in zip(*counted.values(), strict=True)] or [0] * 4
    nodes = [node for name, node in report["nodes"].items() if name in counted]
    received = sum(node["received"] - node["duplicates"] for node in nodes)
    missing = _missing(report, counted)
    left = sum(node["status"] == "offline" for node in nodes)
    return {
        "nodes": len(counted), "left": left, "produced": sums[0], "acknowledged": sums[1], "queued": sums[2],
        "dropped": sums[3], "received": received, "duplicates": sum(node["duplicates"] for node in nodes),
        "missing": missing, "overflow": overflow,
        "ok": not missing and not overflow and len(counted) == args.nodes == left and received > 0,
    }


def text(verdict):
    """The verdict for people."""
    return (f"{verdict['nodes']} nodes took {verdict['produced']:,} readings: {verdict['acknowledged']:,} "
            f"acknowledged, {verdict['queued']} queued, {verdict['dropped']} dropped\n"
            f"a subscriber got {verdict['received']:,} of them, {verdict['duplicates']} twice, {verdict['missing']} "
            f"missing; {verdict['left']} nodes left with a goodbye: " + ("ok" if verdict["ok"] else "NOT ok"))


def _say(line):
    print("fleet:", line, file=sys.stderr, flush=True)
