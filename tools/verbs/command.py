"""`mote command`: tell a node to do something, and wait for its reply."""

import json
import re
import secrets
import textwrap

from tools import arguments, connection, errors, keys, patching, topics, tracebacks

HELP = "tell a node to do something now, and print its reply"
EXAMPLE = "mote command esp32-a1b2c3 identify"

_WAIT_S = 10
_KEPT_S = 2  # a kept report comes at once; without one a node that has a key here is taken to demand it
_VERB = re.compile(r"[a-z][a-z0-9-]{0,31}")


def add_arguments(parser):
    parser.description = textwrap.fill(
        HELP + ". Every node knows restart, sample (measure now), identify (blink and log), report (say everything "
        "again, and what the flight recorder has) and factory-reset (be as provisioned); one that knows the verb not "
        "says what it knows. Exit status 1: the node refused, 3: no reply.", 100)
    connection.add_connection_options(parser)
    parser.add_argument("node", metavar="NODE")
    parser.add_argument("verb", metavar="VERB")
    parser.add_argument("word", metavar="WORD", nargs="?", help="a word for the verb, or a JSON object with more")
    parser.add_argument("--wait", type=arguments.seconds, default=_WAIT_S, metavar="S",
                        help=f"seconds to wait for the reply (default {_WAIT_S})")
    parser.add_argument("--json", action="store_true", help="the reply as it came")


def run(args):
    node = topics.node_id(args.node)
    if not _VERB.fullmatch(args.verb):
        raise errors.UserError(f"{args.verb!r} is no verb: such as restart, sample, identify or report")
    request = payload(args.word, secrets.token_hex(6))
    target = connection.target(args)
    signed = keys.load(node) is not None and _wants_signature(target, node)
    if signed:
        request = {"n": keys.number(), **request}
    with connection.Connection(target, topics.filters(target.base, ("reply", "status", "log"), node)) as link:
        link.publish(f"{target.base}/{node}/command/{args.verb}", keys.message(node, args.verb, request, signed))
        reply = await_reply(link, node, request["id"], args.wait)
    print(json.dumps(reply) if args.json else text(node, reply))
    return errors.DONE if reply.get("ok") is True else errors.FAILED


def _wants_signature(target, node):
    """Whether a node has reported that it has a key; what it keeps at the broker comes at once."""
    with connection.Connection(target, topics.filters(target.base, ("config",), node)) as link:
        report = link.receive(_KEPT_S)
    return report is None or keys.wanted(topics.document(report.payload))


def payload(word, request_id):
    """The JSON object of a command; what the person gave as an object is kept. Raises UserError."""
    if word is None:
        return {"id": request_id}
    if not word.startswith("{"):
        return {"id": request_id, "word": word}
    try:
        return {"id": request_id, **topics.decode(word)}
    except ValueError as error:
        raise errors.UserError(f"{word!r} is no JSON object: {error}") from None


def await_reply(link, node, request_id, wait_s):
    """The reply of this id. Raises UserError when none comes in time, with what is known of the node."""
    status = log = None
    for message in link.messages(wait_s):
        if message.topic.endswith("/status"):
            status = topics.text(message.payload)
        elif message.topic.endswith("/log"):  # what `report` tells of the time before, said before its reply
            log = [line for line in topics.lines(message.payload) if line]
        elif topics.document(message.payload).get("id") == request_id:
            return {**topics.document(message.payload), **({"log": log} if log else {})}
    known = {None: f"no node of this name has been at {link.target.host}:{link.target.port}",
             "online": "it is online, but did not answer"}.get(status, f"it is {status}")
    raise errors.UserError(f"no reply from {node} within {wait_s:g} s: {known}", errors.UNREACHABLE)


def text(node, reply):
    """The reply for people."""
    if reply.get("ok") is not True:
        return topics.text(f"{node}: refused: {reply.get('error')}")
    more = {key: value for key, value in reply.items() if key not in ("id", "verb", "ok", "error", "log")}
    head = topics.text(f"{node}: {reply.get('verb')} done")
    log = tracebacks.Mapper().text("\n".join(reply.get("log", ())))
    return "\n".join([head, *("  " + line for line in [*patching.lines(more), *log])])
