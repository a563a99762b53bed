"""`mote doctor`: what is wrong at the broker, with this computer, a board or a configuration; why it matters, and what
to type."""

import json
import textwrap
import time

from tools import arguments, battery, connection, errors, topics, tracebacks
from tools.board import ports as serial_ports
from tools.board.pins import PINS
from tools.checks import Finding

HELP = "say what is wrong with broker, computer, board or configuration, and what to type"
EXAMPLE = "mote doctor --clean esp32-a1b2c3"

_WAIT_S = 2  # what a broker keeps comes at once after the subscription; this is for a slow link
_PREFIX = "homeassistant"
ALIVE = ("online", "sleeping", "rescue")

_WAKE_S = 10  # beyond the time at which a node should wake
_LONGEST_WAIT_S = 3_600
_ASSUMED = (f"Assumed: {battery.AWAKE_MA} mA awake, {battery.LINKED_MA} mA in light sleep, in deep sleep what "
            f"--asleep-ua says, {battery.USABLE:.0%} of the capacity (docs/power.md).")
_NOTHING = "Nothing is wrong with what the broker keeps."


def add_arguments(parser):
    parser.description = textwrap.fill(
        HELP + ". Without options: what the broker keeps (retained messages) of dead nodes. Exit status 0: "
        "nothing is wrong, 1: there are findings, 3: the broker cannot be reached.", 100)
    parser.add_argument("--computer", action="store_true", help="look at this computer: tools, ports")
    parser.add_argument("--port", nargs="?", const="", metavar="PORT",
                        help="look at the board there (default: the only one there is), and at its configuration")
    parser.add_argument("--config", metavar="FILE",
                        help="look at this configuration: pins, buses, broker, certificates, user, clock")
    parser.add_argument("--chip", choices=sorted(PINS), default="esp32", help="whose pins --config is about (esp32)")
    connection.add_connection_options(parser)
    parser.add_argument("--clean", metavar="NODE", nargs="+", default=[],
                        help="clear what the broker keeps of these nodes, also for Home Assistant; "
                             "refused while one of them is online or sleeping")
    parser.add_argument("--prefix", default=_PREFIX, metavar="NAME",
                        help=f"homeassistant.prefix of the nodes (default {_PREFIX})")
    parser.add_argument("--wait", type=arguments.seconds, default=_WAIT_S, metavar="S",
                        help=f"seconds to wait for what the broker keeps (default {_WAIT_S})")
    parser.add_argument("--battery", type=int, metavar="MAH",
                        help="how many days nodes in light sleep live on so many mAh, and nodes in deep "
                             "sleep: for their next wake it waits")
    parser.add_argument("--asleep-ua", type=float, default=battery.ASLEEP_UA, metavar="UA",
                        help=f"--battery: what a board takes asleep, in uA (default {battery.ASLEEP_UA}: a chip)")
    parser.add_argument("--json", action="store_true", help="one JSON object: findings, and the topics now cleared")


def run(args):
    if args.computer or args.port is not None or args.config:
        found = elsewhere(args)
        if args.json:
            print(json.dumps({"findings": [finding._asdict() for finding in found], "cleared": []}))
        else:
            print(text(found, (), ()).replace(_NOTHING, "Nothing is wrong."))
        return errors.FAILED if found else errors.DONE
    return on_battery(args) if args.battery else at_broker(args)


def on_battery(args):
    """How long nodes that save power live: what each reports is kept, how long it is awake it says in its next wake."""
    if args.battery < 1 or args.asleep_ua < 0:
        raise errors.UserError("--battery and --asleep-ua: a capacity in mAh, and a current in uA that is not negative")
    target = connection.target(args)
    found, configs, deadline = {}, {}, time.monotonic() + args.wait
    with connection.Connection(target, topics.filters(target.base, ("config", "info", "diagnostics"), "+")) as link:
        while (left := deadline - time.monotonic()) > 0:
            message = link.wait_for(lambda one: True, left)
            node, kind = ((message and topics.split(target.base, message.topic)) or (None, None))[:2]
            document = topics.document(message.payload) if message else {}
            if kind == "config":
                configs[node] = document
            elif kind == "info" and isinstance(document.get("wake_every_s"), int):
                deadline = max(deadline, time.monotonic() + min(document["wake_every_s"] + _WAKE_S, _LONGEST_WAIT_S))
            if node in configs:
                told = document if kind == "diagnostics" else {}
                one = battery.of_node(args.battery, configs[node], told, args.asleep_ua)
                found.update({node: one} if one else {})
            wanted = {name for name in configs if battery.mode(configs[name]) == "deepsleep"}
            if wanted and kind == "diagnostics" and wanted <= set(found):
                break
    if args.json:
        print(json.dumps({node: one._asdict() for node, one in found.items()}))
    else:
        print("\n".join([battery.text(node, found[node], args.battery) for node in sorted(found)] + [_ASSUMED]
                        if found else ["No node is in light sleep, and none in deep sleep has told of a wake."]))
    return errors.DONE if found else errors.UNREACHABLE


def elsewhere(args):
    """Findings about this computer, a board, a configuration, as the options ask for."""
    from tools.checks import boards, computer, reach, wiring
    from tools.verbs import run as run_verb

    found = computer.findings() + computer.port_findings() if args.computer else []
    if args.port is not None:
        ports = computer.port_findings() if not args.port else []
        found += ports
        if not ports:
            name = serial_ports.chosen(args.port or None)
            more, document = boards.findings(name)
            found += for_this(more + (reach.findings(document) if document else []), document, name)
    if args.config:
        document = run_verb.read_config(args.config)
        found += wiring.findings(document, args.chip) + reach.findings(document)
    return found


def for_this(found, document, name):
    """What to type about the board at the port `name`, ready to be pasted: with its own node, with this port."""
    node = ((document or {}).get("node") or {}).get("id") or "NODE"
    return [finding._replace(do=finding.do.replace("config set NODE ", f"config set {node} ")
                             .replace("mote provision --broker", f"mote provision --port {name} --broker"))
            for finding in found]


def at_broker(args):
    """What the broker keeps, and clearing it."""
    wanted = [topics.node_id(name) for name in args.clean]
    target = connection.target(args)
    filters = [f"{target.base}/+/#", f"{args.prefix}/device/+/config"]
    with connection.Connection(target, filters) as link:
        kept = {message.topic: message.payload for message in link.messages(args.wait)
                if message.retain and message.payload}
        nodes = by_node(kept, target.base, args.prefix)
        found = findings(nodes)
        cleared = clear(link, {node: nodes.get(node, {}) for node in wanted})
    if args.json:
        print(json.dumps({"findings": [finding._asdict() for finding in found if finding.node not in wanted],
                          "cleared": cleared}))
    else:
        print(text(found, wanted, cleared))
    return errors.FAILED if [finding for finding in found if finding.node not in wanted] else errors.DONE


def by_node(kept, base, prefix):
    """Node -> {topic: payload} of what is kept; the discovery document is among it."""
    nodes = {}
    for topic in kept:
        split = topics.split(base, topic)
        node = split[0] if split else topic[len(prefix) + 8:-7] if topic.startswith(prefix + "/device/") else None
        if node and topics.is_node_id(node) and (split or announced_by_mote(kept[topic])):
            nodes.setdefault(node, {})[topic] = kept[topic]
    return nodes


def announced_by_mote(payload):
    """Whether a discovery document is one of ours: other firmware shares Home Assistant's topics."""
    origin = topics.document(payload).get("o")
    return isinstance(origin, dict) and origin.get("name") == "Mote"


def status(messages):
    """The kept status word of a node, None when there is none."""
    words = [topics.text(payload) for topic, payload in messages.items() if topic.endswith("/status")]
    return words[0] if words else None


def crashed(messages):
    """What a node in rescue says that it ended with, as the end of a sentence."""
    infos = [topics.document(payload).get("rescue") for topic, payload in messages.items() if topic.endswith("/info")]
    if not infos or not isinstance(infos[0], str):
        return ""
    return topics.text("; before, it ended with " + tracebacks.Mapper().brief(infos[0]))


def findings(nodes):
    """What is wrong with what is kept, node by node."""
    found = []
    for node, messages in sorted(nodes.items()):
        word = status(messages)
        if word is None:
            found.append(Finding(node, "messages are kept of a node that has no status",
                                 "Home Assistant may show a device that is not there", f"mote doctor --clean {node}"))
        elif word == "offline":
            found.append(Finding(node, "offline, and the broker keeps what it said last",
                                 "if it is gone for good, Home Assistant goes on showing it as unavailable",
                                 f"switch it on, or, when it is gone: mote doctor --clean {node}"))
        elif word == "rescue":
            found.append(Finding(node, "runs its recovery program" + crashed(messages), "it takes no measurements",
                                 f"mote config get {node}"))
        for topic in sorted(messages):
            if "/command/" in topic:
                found.append(Finding(node, f"a command is kept on {topics.text(topic)}",
                                     "nodes ignore it, but other firmware would obey it at each connection",
                                     f"mosquitto_pub -r -n -t '{topics.text(topic)}'"))
    return found


def clear(link, nodes):
    """Clear everything that is kept of these nodes; returns the topics. Raises UserError, before anything is cleared,
    when one of them is alive."""
    for node, messages in nodes.items():
        if status(messages) in ALIVE:
            raise errors.UserError(
                f"{node} is {status(messages)}: switch it off first, or it will say everything again", errors.FAILED)
    cleared = sorted(topic for messages in nodes.values() for topic in messages)
    for topic in cleared:
        link.publish(topic, b"", retain=True)
    return cleared


def text(found, wanted, cleared):
    """The report for people."""
    lines = [f"cleared {topics.text(topic)}" for topic in cleared]
    for finding in found:
        if finding.node not in wanted:
            lines += [f"{finding.node}: {finding.what}", f"  why it matters: {finding.why}",
                      f"  what to do: {finding.do}"]
    return "\n".join(lines) or _NOTHING
