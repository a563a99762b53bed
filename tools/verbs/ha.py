"""`mote ha`: what Home Assistant needs done once, from outside."""

import json
import textwrap
import time

from tools import arguments, connection, errors, migration, topics

HELP = "move a node in Home Assistant from classic discovery to one document, its entity ids kept"
EXAMPLE = "mote ha migrate esp32-a1b2c3"

_PREFIX = "homeassistant"
_KEPT_S = 2  # what a broker keeps comes at once after the subscription; this is for a slow link
_WAIT_S = 120
_STEP_S = 2  # Home Assistant takes its entities down, and up again, in tasks of their own, and answers nothing


def add_arguments(parser):
    parser.description = HELP
    verbs = parser.add_subparsers(dest="do", metavar="VERB", required=True)
    migrate = verbs.add_parser("migrate", help=HELP, description=textwrap.fill(
        "Classic discovery is a message for each entity (homeassistant/sensor/NODE/KEY/config). Home Assistant refuses "
        "to have an entity from two places, so that a node whose newer firmware sends one document is shown as it was "
        "until this is run. Entities that the document has under the same key and unique id keep their ids, names "
        "and history. Best before the new firmware starts: this waits for it. Exit status 1: some entities are left, "
        "3: no document came.", 100))
    connection.add_connection_options(migrate)
    migrate.add_argument("node", metavar="NODE")
    migrate.add_argument("--prefix", default=_PREFIX, metavar="NAME",
                         help=f"homeassistant.prefix of the node (default {_PREFIX})")
    migrate.add_argument("--clear-others", action="store_true",
                         help="also clear entities that the document does not have: Home Assistant deletes them")
    migrate.add_argument("--wait", type=arguments.seconds, default=_WAIT_S, metavar="S",
                         help=f"seconds to wait for the node's document (default {_WAIT_S})")
    migrate.add_argument("--json", action="store_true", help="one JSON object: migrated, cleared, left")


def run(args):
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
