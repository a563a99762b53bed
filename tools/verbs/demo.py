"""`mote demo`: a broker and three nodes on this computer, live; at the end, what a subscriber saw of them."""

import contextlib
import json
import os
import signal
import sys
import tempfile
import textwrap
import time
from collections import namedtuple

from tools import ROOT, accounting, arguments, brokers, children, connection, errors, micropython, readings, topics
from tools.verbs import watch

HELP = "show it all: a broker and three simulated nodes on this computer"
EXAMPLE = "mote demo --seconds 20"

_START_S = 90  # bytecode is compiled first, and the machine may be slow and busy
_LEAVE_S = 15
_QUIET_S = 1  # what the broker keeps comes in one go
_LOOK_S = 0.5  # how soon the death of a node is noticed
_LOG_LINES = 5
_SHOWN = ("status", "telemetry", "event", "backlog")
_DISCOVERY = "homeassistant/device/{}/config"

Plan = namedtuple("Plan", "node name area interpreter sensors")
PLANS = (
    Plan("demo-garden", "Greenhouse", "Garden", "cpython", {
        "air": {"driver": "bme280", "bus": 0, "address": 118},
        "bed": {"driver": "analog", "pin": 34, "kind": "soil"},
        "door": {"driver": "digital", "pin": 4, "kind": "contact"}}),
    Plan("demo-attic", "Attic", "House", "micropython", {
        "room": {"driver": "sht4x", "bus": 0, "address": 68},
        "light": {"driver": "bh1750", "bus": 0, "address": 35}}),
    Plan("demo-computer", "This computer", "Desk", "cpython", {"computer": {"driver": "host"}}),
)


def add_arguments(parser):
    parser.description = textwrap.fill(
        HELP + ". One of the nodes runs on real MicroPython where that is installed, and one has real sensors: this "
        "computer's own. With --seconds it ends by itself, with a summary of what a subscriber got; the exit status "
        "is 0 only when that is all that should be.", 100)
    parser.add_argument("--seconds", type=arguments.seconds, metavar="N",
                        help="so long from the first reading of every node on (default: until Ctrl-C)")
    parser.add_argument("--engine", choices=("mosquitto", "iotcore"),
                        help="default: Mosquitto when it is installed, else the embedded iotcore (rumqttd)")


def run(args):
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="mote-demo-"))
        broker = stack.enter_context(brokers.Broker(args.engine))
        target = connection.Target(broker.host, broker.port, False, None, None, None, "mote")
        filters = topics.filters(target.base) + [_DISCOVERY.format("+")]
        show = Show(stack.enter_context(connection.Connection(target, filters)))
        greet(broker)
        nodes = [stack.enter_context(Node(plan, broker.port, folder)) for plan in plans()]
        try:
            show.until(lambda: show.heard_all(nodes), _START_S, nodes)
            show.until(lambda: False, args.seconds, nodes)
        except KeyboardInterrupt:
            print()
        return finish(show, nodes)


def plans():
    """What to start; without a MicroPython interpreter everything runs on CPython, and it is said."""
    if micropython.available():
        return PLANS
    print("There is no MicroPython interpreter for this machine: all nodes run on CPython.")
    return [plan._replace(interpreter="cpython") for plan in PLANS]


def greet(broker):
    """What the person may do meanwhile."""
    where = f"--broker localhost:{broker.port}"
    print(f"""{broker.engine} listens on port {broker.port} (WebSocket: {broker.ws_port}), and three nodes are starting.
In another terminal:
  mote watch {where}
  mote config set {PLANS[0].node} telemetry.interval_s=1 {where}
  mote command {PLANS[1].node} sample {where}
""", flush=True)


class Node:
    """One `mote run` as a context manager; leaving it kills what still runs."""

    def __init__(self, plan, port, folder):
        self.plan = plan
        self._port = port
        self._path = os.path.join(folder, plan.node)
        self._process = None

    def __enter__(self):
        os.makedirs(self._path)
        config = self._file("config.json")
        with open(config, "w", encoding="utf-8") as file:
            json.dump({"schema": 1, "node": {"id": self.plan.node, "name": self.plan.name, "area": self.plan.area},
                       "mqtt": {"host": brokers.HOST, "port": self._port, "keepalive_s": 15},
                       "telemetry": {"interval_s": 2, "diagnostics_s": 5}, "sensors": self.plan.sensors}, file)
        with open(self._file("log"), "wb") as log:
            self._process = children.start(
                [sys.executable, "-m", "tools", "run", "--config", config, "--state", self._file("flash"),
                 "--interpreter", self.plan.interpreter], cwd=ROOT, stdout=log, stderr=log)
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()

    def alive(self):
        """Whether it runs."""
        return self._process.poll() is None

    def leave(self):
        """Ask it to leave."""
        self._process.terminate()

    def status(self):
        """Its exit status, once it has left."""
        return children.await_end(self._process, _LEAVE_S)

    def last_words(self):
        """The end of its log."""
        with open(self._file("log"), errors="replace") as log:
            return [topics.text(line.rstrip("\n")) for line in log.readlines()[-_LOG_LINES:]]

    def _file(self, name):
        return os.path.join(self._path, name)


class Show:
    """The subscriber: prints what it gets, and keeps account of it."""

    def __init__(self, link):
        self.link = link
        self.ledger = accounting.Accounting()
        self._fleet = readings.Fleet()
        self._began = time.time()

    def until(self, done, seconds, nodes):
        """Show what comes until done(), for at most so many seconds (None: no end), and while all nodes live."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while not done() and all(node.alive() for node in nodes):
            left = _LOOK_S if deadline is None else min(_LOOK_S, deadline - time.monotonic())
            if left <= 0:
                return
            message = self.link.receive(left)
            if message:
                self._take(message)

    def heard_all(self, nodes):
        """Whether every node has sent a reading."""
        return all(self.report(node)["received"] for node in nodes)

    def offline_all(self, nodes):
        """Whether every node has said, or had it said, that it left."""
        return all(self.report(node)["status"] == "offline" for node in nodes)

    def report(self, node):
        """What the ledger has of a node."""
        return self.ledger.nodes.get(node.plan.node, accounting.Node()).report()[0]

    def _take(self, message):
        self.ledger.enter(self.link.base, message, message.t - self._began)
        found = watch.decoded(self.link.base, message)
        line = found and self._fleet.take(message.t, *found)
        if line and found[1] in _SHOWN:
            print(line, flush=True)


def finish(show, nodes):
    """Let the nodes leave, look at what the broker keeps before and after, and say what was seen."""
    before = kept(show.link.target)
    for node in nodes:
        node.leave()
    ends = {node.plan.node: node.status() for node in nodes}
    show.until(lambda: show.offline_all(nodes), _LEAVE_S, ())
    after = kept(show.link.target)
    print("\nWhat the subscriber saw:")
    problems = []
    for node in nodes:
        line, wrong = judged(node.plan, show.report(node), ends[node.plan.node], before, after)
        print("  " + line)
        problems += [f"{node.plan.node}: {text}" for text in wrong]
        if wrong:
            problems += ["    its log: " + words for words in node.last_words()]
    print("\n".join(problems) if problems else "All as it should be.", flush=True)
    return errors.FAILED if problems else errors.DONE


def kept(target):
    """topic -> payload of what the broker keeps of the nodes, as a newcomer gets it."""
    filters = topics.filters(target.base, ("status", "info")) + [_DISCOVERY.format("+")]
    with connection.Connection(target, filters) as link:
        return {message.topic: message.payload for message in link.messages(_LEAVE_S, quiet_s=_QUIET_S)
                if message.retain}


def judged(plan, report, end, before, after):
    """(a line about a node, a list of what is not as it should be)."""
    info = topics.document(before.get(f"mote/{plan.node}/info", b""))
    interpreter = topics.text(info.get("interpreter") or "no interpreter named")
    discovery = topics.document(before.get(_DISCOVERY.format(plan.node), b""))
    missing = accounting.size([(first, last) for _, first, last in report["gaps"]])
    checks = (
        (report["received"] > 0, "no reading arrived"),
        (missing == 0, f"{missing} readings are missing"),
        (report["malformed"] == 0, "messages that were not of the form that nodes use"),
        (interpreter.lower().startswith(plan.interpreter), f"it should run on {plan.interpreter}"),
        (before.get(f"mote/{plan.node}/status") == b"online", "the broker kept no `online`"),
        (bool(discovery.get("cmps")), "the broker kept nothing for Home Assistant to discover"),
        (after.get(f"mote/{plan.node}/status") == b"offline", "the broker keeps no `offline` after it left"),
        (report["status"] == "offline", "`offline` did not arrive"),
        (end == 0, f"it ended with status {end}"),
    )
    line = (f"{plan.node:14} on {interpreter:19} {report['received']:4} readings, {missing} missing, discovery with "
            f"{len(discovery.get('cmps') or ())} entities, then {report['status']}")
    return line, [text for good, text in checks if not good]
