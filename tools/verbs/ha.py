"""`mote ha`: what Home Assistant needs done from outside."""

import json
import os
import sys
import textwrap
import time

from tools import arguments, connection, errors, home, late, migration, statistics, topics

HELP = "move a node in Home Assistant to device discovery, and bring late readings into its statistics"
EXAMPLE = "mote ha migrate esp32-a1b2c3"
_MIGRATE = "move a node from classic discovery to one document, its entity ids kept"
_BACKFILL = "bring readings that came late into the long-term statistics of their hours"

_PREFIX = "homeassistant"
_KEPT_S = 2  # what a broker keeps comes at once after the subscription; this is for a slow link
_WAIT_S = 120
_STEP_S = 2  # Home Assistant takes its entities down, and up again, in tasks of their own, and answers nothing


def add_arguments(parser):
    parser.description = HELP
    verbs = parser.add_subparsers(dest="do", metavar="VERB", required=True)
    _add_migrate(verbs.add_parser("migrate", help=_MIGRATE, description=textwrap.fill(
        "Classic discovery is a message for each entity (homeassistant/sensor/NODE/KEY/config). Home Assistant refuses "
        "to have an entity from two places, so that a node whose newer firmware sends one document is shown as it was "
        "until this is run. Entities that the document has under the same key and unique id keep their ids, names "
        "and history. Best before the new firmware starts: this waits for it. Exit status 1: some entities are left, "
        "3: no document came.", 100)))
    _add_backfill(verbs.add_parser("backfill", help=_BACKFILL, description=textwrap.fill(
        "After an outage a node sends what it kept on `backlog`. Home Assistant shows none of it as a state, rightly; "
        "this gives it to the statistics of the hours that it belongs to as soon as these are over. The broker keeps "
        "a session for it, and what waits for the end of its hour is in a file, so that none is lost however it ends. "
        "It runs until Ctrl-C, or for --seconds. The token, a long-lived one of an administrator, comes from the "
        "environment variable MOTE_HA_TOKEN. Exit status 3: no broker, or no Home Assistant.", 100)))


def _add_migrate(migrate):
    connection.add_connection_options(migrate)
    migrate.add_argument("node", metavar="NODE")
    migrate.add_argument("--prefix", default=_PREFIX, metavar="NAME",
                         help=f"homeassistant.prefix of the node (default {_PREFIX})")
    migrate.add_argument("--clear-others", action="store_true",
                         help="also clear entities that the document does not have: Home Assistant deletes them")
    migrate.add_argument("--wait", type=arguments.seconds, default=_WAIT_S, metavar="S",
                         help=f"seconds to wait for the node's document (default {_WAIT_S})")
    migrate.add_argument("--json", action="store_true", help="one JSON object: migrated, cleared, left")


def _add_backfill(backfill):
    connection.add_connection_options(backfill)
    backfill.add_argument("--url", default="http://homeassistant.local:8123", metavar="URL",
                          help="the address of its page (default http://homeassistant.local:8123)")
    backfill.add_argument("--state", metavar="FILE", default=os.path.join(
        os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state"), "mote", "ha-backfill.json"),
        help="what waits for the end of its hour (default ~/.local/state/mote/ha-backfill.json)")
    backfill.add_argument("--seconds", type=arguments.seconds, metavar="N", help="how long (default: until Ctrl-C)")
    backfill.add_argument("--json", action="store_true", help="the sums as one JSON object")


def run(args):
    return _backfill(args) if args.do == "backfill" else _run_migrate(args)


def _run_migrate(args):
    node = topics.node_id(args.node)
    target = connection.target(args)
    with connection.Connection(target, migration.filters(args.prefix, node)) as link:
        kept = {message.topic: message.payload for message in link.messages(_KEPT_S) if message.retain}
        found = migration.classics(kept, args.prefix, node)
        told = {"migrated": [], "cleared": [], "left": []}
        if found:
            told = _migrate(link, args, found, kept.get(migration.document_topic(args.prefix, node)))
    print(json.dumps(told) if args.json else _text(node, told))
    return errors.FAILED if told["left"] else errors.DONE


def _migrate(link, args, found, payload):
    """Take the entities down as things to be migrated, send the document, clear what announced them before."""
    if payload:
        found, others = migration.sorted_out(found, topics.document(payload))
        _publish(link, found, migration.MIGRATE)
    else:  # the node is still to come, and what it will have is not known
        _say(args, f"{len(found)} entities are ready to move: start {args.node} with its new firmware now")
        _publish(link, found, migration.MIGRATE)
        payload = _await_document(link, args, found)
        found, others = migration.sorted_out(found, topics.document(payload))
        _put_back(link, [classic for classic, _ in others])
    time.sleep(_STEP_S)
    link.publish(migration.document_topic(args.prefix, args.node), payload, retain=True)
    time.sleep(_STEP_S)
    cleared = [classic for classic, _ in others] if args.clear_others else []
    _publish(link, found + cleared, b"", retain=True)
    left = [] if args.clear_others else [[classic.topic, why] for classic, why in others]
    return {"migrated": [classic.topic for classic in found], "cleared": [classic.topic for classic in cleared],
            "left": left}


def _publish(link, found, payload, retain=False):
    for classic in found:
        link.publish(classic.topic, payload, retain)


def _put_back(link, found):
    """Announce entities again as they were."""
    for classic in found:
        link.publish(classic.topic, classic.payload, retain=True)


def _await_document(link, args, found):
    topic = migration.document_topic(args.prefix, args.node)
    message = link.wait_for(lambda message: message.topic == topic and message.payload, args.wait)
    if message is None:
        _put_back(link, found)
        raise errors.UserError(
            f"{args.node} sent no document within {args.wait:g} s, and nothing was cleared: is it on, with "
            "homeassistant.discovery true? Run this again when it is", errors.UNREACHABLE)
    return message.payload


def _say(args, line):
    if not args.json:
        print(topics.text(line), flush=True)


def _text(node, told):
    """The report for people."""
    lines = [f"moved    {topic}" for topic in told["migrated"]] + [f"cleared  {topic}" for topic in told["cleared"]]
    lines += [f"left     {topic}: {why}" for topic, why in told["left"]]
    if told["left"]:
        lines.append("What is left is shown as before; --clear-others deletes it in Home Assistant.")
    return "\n".join(topics.text(line) for line in lines) or f"Nothing is kept of {node} from classic discovery."


_SESSION = "mote-ha-backfill"
_QUIET_S = 0.5
_EVERY_S = 60  # hours end seldom


def _backfill(args):
    token = os.environ.get("MOTE_HA_TOKEN")
    if not token:
        raise errors.UserError("MOTE_HA_TOKEN is not set: make a long-lived access token on the page of an "
                               "administrator, under Security")
    target = connection.target(args)
    history = History(args.state)
    told = {"late": 0, "hours": 0, "waiting": 0, "left": {}}
    with home.Home(args.url, token):
        pass  # what is wrong with it is said now, not after an hour
    filters = topics.filters(target.base, ("info", "backlog"))
    with connection.Durable(target, filters, _SESSION, _tell) as link:
        end = None if args.seconds is None else time.monotonic() + args.seconds
        look = 0
        try:
            while end is None or time.monotonic() < end:
                told["late"] += history.follow(link)
                if time.monotonic() >= look:
                    look = time.monotonic() + _EVERY_S
                    _bring(args, token, history, told)
            _bring(args, token, history, told)
        except KeyboardInterrupt:
            _tell("ends")
    told["waiting"] = sum(len(values) for values in history.waiting.values())
    print(json.dumps(told) if args.json else _sums(told), flush=True)
    return errors.DONE


def _bring(args, token, history, told):
    with home.Home(args.url, token) as link:
        done = statistics.bring(link, history.waiting, history.intervals, time.time())
    history.save()
    told["hours"] += done["hours"]
    told["left"] = done["left"]


def _tell(line):
    print("backfill:", line, file=sys.stderr, flush=True)


def _sums(told):
    lines = [f"{told['late']} values came late, {told['hours']} hours of statistics written, "
             f"{told['waiting']} values wait"]
    return "\n".join(lines + [topics.text(f"left  {name}: {why}") for name, why in told["left"].items()])


class History:
    """What waits for the end of its hour, in a file; `intervals` are seconds by unique id, from the nodes' `info`."""

    def __init__(self, path):
        self._path = path
        self._kinds = {}  # node -> sensor -> names of quantities
        self.intervals = {}
        try:
            with open(path, encoding="utf-8") as file:
                self.waiting = json.load(file)
        except FileNotFoundError:
            self.waiting = {}
        except (OSError, ValueError) as error:
            raise errors.UserError(f"cannot read {path}: {error}") from None

    def follow(self, link):
        """Take what comes, until it is quiet for a moment; the broker may forget it once it is in the file."""
        messages = list(link.messages(_EVERY_S, quiet_s=_QUIET_S))
        count = 0
        for message in messages:
            node, kind, _ = topics.split(link.base, message.topic) or (None, None, None)
            if kind == "info":
                self._know(node, topics.document(message.payload).get("sensors"))
        for message in messages:
            node, kind, _ = topics.split(link.base, message.topic) or (None, None, None)
            if kind == "backlog":
                count += self._take(node, message.payload)
        if count:
            self.save()
        link.acknowledge(messages)
        return count

    def _know(self, node, sensors):
        if isinstance(sensors, dict):
            self._kinds[node] = {name: list(about["quantities"]) for name, about in sensors.items()}
            for name, about in sensors.items():
                for quantity in about["quantities"]:
                    self.intervals[f"{node}_{name}_{quantity}"] = about["interval_s"]

    def _take(self, node, payload):
        try:
            return late.take(self.waiting, node, topics.decode(payload), self._kinds.get(node, {}))
        except ValueError:
            return 0

    def save(self):
        """Replace the file, all or nothing."""
        os.makedirs(os.path.dirname(os.path.abspath(self._path)), exist_ok=True)
        with open(self._path + ".new", "w", encoding="utf-8") as file:
            json.dump(self.waiting, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(self._path + ".new", self._path)
