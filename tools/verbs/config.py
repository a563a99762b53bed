"""`mote config`: read, change and check the configuration of nodes."""

import argparse
import getpass
import json
import os
import sys
import textwrap
import time
from collections import namedtuple

import signed
from firmware import desired
from tools import arguments, connection, errors, keys, moving, patching, topics

HELP = "read, change and check the configuration of nodes"
EXAMPLE = "mote config set esp32-a1b2c3 telemetry.interval_s=10"

_READ_S = 5  # a kept report comes at once; a report of a node that is just being born takes a little
_QUIET_S = 1  # kept reports of a whole fleet come in one go: a pause is its end
_WAIT_S = 30
_KINDS = ("config", "status")
_DAY_S = 86_400  # of silence, above which a node wants to hear twice that it is meant
_AFTER_TRIAL_S = 10  # a node on trial decides when its time is over, and then has to tell

Outcome = namedtuple("Outcome", "status state text errors revision")
_KEY_VALUE = ("VALUE is read as JSON, else as text. null takes a key away: the default holds, a sensor or network is "
              "gone; `mote config unset` brings back what was provisioned. A secret is better given as KEY alone: its "
              "value is then asked for, or read as a line of standard input.")


def add_arguments(parser):
    connection.add_connection_options(parser)
    actions = parser.add_subparsers(dest="action", required=True, metavar="get|set|unset|diff|validate|key")
    _action(actions, "get", get, "mote config get esp32-a1b2c3 telemetry",
            "show the configuration that a node reports", ("NODE", None), ("KEY", "?"))
    for name, example, operand, text in (
            ("set", "telemetry.interval_s=10 sensors.door=null", "KEY=VALUE", "change keys of a node. " + _KEY_VALUE),
            ("unset", "telemetry.interval_s", "KEY", "make what was provisioned hold again for keys of a node")):
        action = _action(actions, name, change, f"mote config {name} esp32-a1b2c3 {example}", text, ("WORD", "+"))
        action.usage = f"mote config {name} [options] (NODE | --group G) {operand} ..."
        action.add_argument("--group", metavar="G",
                            help="every node of this group, one after the other: the first, which is online, is the "
                                 "canary, and the first failure is the end of it")
        action.add_argument("--keep-going", action="store_true", help="with --group: go on after a failure")
        action.add_argument("--new-broker", metavar="ADDRESS",
                            help="the broker that the change leads to, as this computer reaches it and as whom, when "
                                 "that is not mqtt.host and mqtt.port, and nobody; the password comes from the "
                                 "environment variable MOTE_NEW_PASSWORD. The document is left there, too: a node "
                                 "moves to another broker only when it finds it there")
        action.add_argument("--new-ca", metavar="FILE", help="authority that signed the new broker's certificate, PEM")
        action.add_argument("--long-silence", action="store_true",
                            help="yes, the node may be silent for more than a day at a time (it goes back otherwise)")
        action.add_argument("--wait", type=arguments.seconds, default=_WAIT_S, metavar="S",
                            help=f"seconds to wait for the answer of each node (default {_WAIT_S})")
    _action(actions, "diff", diff, "mote config diff esp32-a1b2c3",
            "show what differs from what a node was provisioned with", ("NODE", None))
    _action(actions, "validate", validate, "mote config validate config.json",
            "check a file as a node does: every mistake at once", ("FILE", None))
    action = _action(actions, "key", key, "mote config key greenhouse --into config.json",
                     "draw a key for a node, and keep it on this computer for its owner alone. With config.key set, a "
                     "node obeys only documents that are signed with it: `mote config set` and `mote command` do that",
                     ("NODE", None))
    action.add_argument("--into", metavar="FILE", help="also set config.key in this configuration, for its owner alone")


def _action(actions, name, function, example, text, *operands):
    parser = actions.add_parser(name, help=text.partition(". ")[0], description=textwrap.fill(text, 100),
                                epilog="example:\n  " + example, formatter_class=argparse.RawDescriptionHelpFormatter)
    for operand, count in operands:
        parser.add_argument(operand.lower(), metavar=operand, nargs=count)
    if function not in (validate, key):
        connection.add_connection_options(parser, default=argparse.SUPPRESS)  # given before the action, they hold too
    parser.add_argument("--json", action="store_true", help="JSON instead of text")
    parser.set_defaults(function=function)
    return parser


def run(args):
    return args.function(args)


def get(args):
    report = _report_of(args, topics.node_id(args.node))
    value = report.get("config")
    path = patching.path_of(args.key) if args.key else ()
    for part in path:
        if not isinstance(value, dict) or part not in value:
            raise errors.UserError(f"{args.node} has no {args.key}", errors.FAILED)
        value = value[part]
    if args.json:
        print(json.dumps(value if args.key else report))
    elif isinstance(value, dict):
        print("\n".join([_head(args.node, report), *patching.lines(value, path)]))
    else:
        print(patching.shown(value))
    return errors.DONE


def diff(args):
    report = _report_of(args, topics.node_id(args.node))
    if args.json:
        print(json.dumps({"node": args.node, **{key: report.get(key) for key in ("revision", "state", "patch")}}))
    else:
        different = patching.lines(report.get("patch") or {}) or ["as provisioned"]
        print("\n".join([_head(args.node, report), *different]))
    return errors.DONE


def validate(args):
    try:
        with open(args.file, "rb") as file:
            problems = patching.mistakes(file.read())
    except OSError as error:
        raise errors.UserError(f"cannot read {args.file}: {error.strerror}") from None
    if args.json:
        found = [{"key": key, "found": found, "allowed": allowed} for key, found, allowed in problems]
        print(json.dumps({"ok": not problems, "errors": found}))
    else:
        head = f"{args.file} has {len(problems)} mistake(s)" if problems else f"{args.file} is a good configuration"
        print("\n".join([head, *patching.told(problems)]))
    return errors.FAILED if problems else errors.DONE


def key(args):
    path = keys.path_of(args.node)
    document = None
    if args.into:
        try:
            with open(args.into, "rb") as file:
                document = topics.decode(file.read())
            document.setdefault("config", {})
        except (OSError, ValueError, AttributeError) as error:
            raise errors.UserError(f"cannot read {args.into} as a configuration: {error}") from None
    new = keys.load(args.node) is None
    word = keys.create(args.node) if new else keys.load(args.node)
    if document is not None:
        document["config"]["key"] = word
        with open(args.into + ".new", "w", encoding="utf-8", opener=_private) as file:
            json.dump(document, file, indent=1, ensure_ascii=False)
        os.replace(args.into + ".new", args.into)
    if args.json:
        print(json.dumps({"node": args.node, "file": path, "new": new}))
    else:
        print(f"{args.node}: {'a new key is' if new else 'its key was already'} in {path}; a node takes it from its "
              "config.json" + (f", and {args.into} has it now" if args.into else ": `--into FILE`, and deploy that"))
    return errors.DONE


def _private(path, flags):
    return os.open(path, flags, 0o600)


def change(args):
    """set and unset: node by node, until one does not do it. The status is that of the first failure."""
    status = errors.DONE
    grouped = args.group is not None
    node, words = (None, args.word) if grouped else (topics.node_id(args.word[0]), args.word[1:])
    group = topics.group(args.group) if grouped else None
    if not words:
        raise errors.UserError(f"nothing to {args.action}: see `mote config {args.action} --help`")
    edit = _edit(args.action, words)
    target = connection.target(args)
    moved = _moved(target.base, node or "+", words)
    with connection.Connection(target, topics.filters(target.base, _KINDS, node or "+") + [moved]) as link:
        reports = _reports_of_group(link, group) if grouped else {node: _await_report(link, node)}
        for count, (name, report) in enumerate(reports.items(), 1):
            report = _with_pending(target, name, report)
            outcome = _change_one(args, link, name, report, edit(report.get("patch") or {}), moved.replace("+", name))
            print(_json_of(name, outcome) if args.json else f"{name}: {outcome.text}", flush=True)
            status = status or outcome.status
            if status and not args.keep_going:
                _say_left(list(reports)[count:])
                break
    return status


def _change_one(args, link, node, report, patch, moved):
    """Send a node its patch, at the new broker, too, when that leads to one; returns the Outcome."""
    places = {f"{link.base}/{node}/config", moved}
    place = moving.address(report, patch, args.new_broker)
    if place is None:
        return send(link, node, report, patch, args.wait, places, long_silence=args.long_silence)
    with moving.connected(place, link.target, args, [moved]) as there:
        new = moving.Post(there, moved + "/set", moved.split("/")[-2])
        return send(link, node, report, patch, args.wait, places, new, args.long_silence)


def _with_pending(target, node, report):
    """The report with the change in it that the broker still keeps for a node that is away: the next builds on it."""
    with connection.Connection(target, topics.filters(target.base, ("config/set",), node)) as link:
        message = link.wait_for(lambda one: one.retain, _QUIET_S)
    pending = topics.document(_text(message.payload)) if message else {}
    revision, patch = pending.get("revision"), pending.get("patch")
    ahead = isinstance(revision, int) and isinstance(patch, dict) and revision > report["revision"]
    return {**report, "revision": revision, "patch": patch} if ahead else report


def _text(payload):
    """What a document says, signed or not."""
    return payload[signed.SIGNATURE_BYTES:] if signed.looks_signed(payload) else payload


def _asked(key):
    """(path, value) of a secret, which other users of this computer must not read in our command line."""
    path = patching.path_of(key)
    if not patching.is_secret(path):
        raise errors.UserError(f"{key!r}: not of the form KEY=VALUE, such as telemetry.interval_s=10")
    return path, getpass.getpass(f"{key}: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")


def _moved(base, node, words):
    """The topic at which a node reports that is given another id or base."""
    given = dict(word.split("=", 1) for word in words if word.startswith(("node.id=", "mqtt.base=")))
    if node == "+" and "node.id" in given:
        raise errors.UserError("node.id: two nodes of one id throw each other out; set it node by node")
    return f"{given.get('mqtt.base', base)}/{given.get('node.id', node)}/config"


def _edit(action, words):
    """What the words do to a patch."""
    if action == "set":
        assignments = [_asked(word) if "=" not in word else patching.assignment(word) for word in words]
        return lambda patch: patching.changed(patch, assignments)
    paths = [patching.path_of(word) for word in words]

    def forget(patch):
        for path in paths:
            patch = patching.without(patch, path)
        return patch

    return forget


def send(link, node, report, patch, wait_s, places, new=None, long_silence=False):
    """Send a node its desired patch, above the revision it reported; return the Outcome, read from the topics `places`.

    `new` is the moving.Post at the broker to which the patch leads. A broker keeps the document, so that a node that is
    away meets it later, and in the end only the one where the node is; but none keeps one that was refused, and one
    with a secret only until the node has it. `long_silence`: give the second word that more than a day of it needs.
    """
    posts = ([new] if new else []) + [moving.Post(link, f"{link.base}/{node}/config/set", node)]
    document = {"revision": report["revision"] + 1, "patch": patch}
    secret, signs = patching.has_secret(patch), keys.wanted(report)
    tried_s = _trial_s(report) + _AFTER_TRIAL_S if new or patching.may_be_tried(report.get("patch") or {}, patch) else 0
    outcome = None

    def publish():
        for post in posts:  # the new broker first: there it must be when the node comes
            message = keys.message(post.node, "config", document, signs, node)
            post.link.publish(post.topic, message, retain=True)

    def confirm(seen):
        silent_s = _silent_s(seen)
        if silent_s > _DAY_S and not long_silence:
            print(f"mote: {node} would be silent for {silent_s / _DAY_S:g} days at a time, and goes back now: if that "
                  "is meant, say --long-silence", file=sys.stderr, flush=True)
        elif silent_s > _DAY_S and seen["revision"] == report["revision"] + 1:
            document["revision"] += 1
            publish()

    try:
        sent = time.time()
        publish()
        ears = moving.Ears([post.link for post in posts]) if new else link
        outcome = _await_outcome(ears, document, wait_s, lambda one: (
            not one.retain and (one.topic in places and (one.t >= sent or _is_ahead(one, document))
                                or one.topic == f"{link.base}/{node}/status" and one.t >= sent)), tried_s, confirm)
        if outcome is None:
            outcome = _no_answer(node, document, wait_s, secret)
    finally:
        _clear(posts, secret, outcome, publish)
    return outcome


def _trial_s(report):
    """How long the trial of a node takes that reports this."""
    section = report.get("config")
    section = section.get("config") if isinstance(section, dict) else None
    seconds = section.get("trial_s") if isinstance(section, dict) else None
    return seconds if isinstance(seconds, (int, float)) else 0


def _silent_s(report):
    """For how long at a time the node that reports this says nothing."""
    try:
        return desired.longest_s(report["config"])
    except (KeyError, TypeError, AttributeError):  # it may report anything
        return 0


def _clear(posts, secret, outcome, publish):
    """Take a document back from where it must not stay."""
    failed, done = (outcome and outcome.status == status for status in (errors.FAILED, errors.DONE))
    for post in posts:
        if secret or failed or done and post is not posts[0]:
            post.link.publish(post.topic, b"", retain=True)
    if done and len(posts) > 1 and not secret:
        posts[:] = posts[:1]
        publish()  # once more, as two ports may be of one broker


def _is_ahead(message, document):
    """Whether a report, from before we sent our document, already has its revision: somebody else was quicker."""
    revision = topics.document(message.payload).get("revision")
    return isinstance(revision, int) and revision >= document["revision"]


def _await_outcome(link, document, wait_s, is_answer, tried_s=0, on_trial=None):
    """What the node made of a document, from messages that `is_answer` likes; None when it says nothing in time.

    A node that goes away has `tried_s` to come back. `on_trial(report)` is called when it reports that it tries it.
    """
    deadline = time.monotonic() + wait_s
    while (left := deadline - time.monotonic()) > 0:
        message = link.wait_for(is_answer, left)
        report = topics.document(message.payload) if message else {}
        if message and message.payload == b"offline":
            deadline = max(deadline, time.monotonic() + tried_s)
        elif report.get("state") == "trial" and report.get("revision") == document["revision"]:
            trial_s = report.get("config", {}).get("config", {}).get("trial_s", 0)
            deadline = max(deadline, time.monotonic() + trial_s + _AFTER_TRIAL_S)
            print("mote: applied on trial, waiting for its end", file=sys.stderr, flush=True)
            if on_trial:
                on_trial(report)
        elif outcome := judged(document, report):
            return outcome
    return None


def judged(document, report):
    """The Outcome that a report is for a document, None when it says nothing about it."""
    revision, wanted = report.get("revision"), document["revision"]
    if report.get("state") == "rolled-back" and isinstance(revision, int) and revision < wanted:
        return None  # what became of an earlier one
    if report.get("state") in ("rejected", "rolled-back"):
        problems = report.get("errors") or []
        told = patching.told([(one.get("key"), one.get("found"), one.get("allowed")) for one in problems])
        text = "\n".join([topics.text(f"{report['state']}: {report.get('reason')}"), *told])
        return Outcome(errors.FAILED, report["state"], text, problems, revision)
    if not isinstance(revision, int) or revision < wanted:
        return None
    if revision > wanted or not patching.equal(document["patch"], report.get("patch")):
        text = f"somebody else changed it at the same time (revision {revision}): look, and try again"
        return Outcome(errors.FAILED, "conflict", text, [], revision)
    return Outcome(errors.DONE, "applied", f"applied as revision {revision}", [], revision)


def _no_answer(node, document, wait_s, secret):
    text = f"no answer within {wait_s:g} s; "
    text += ("the document had a secret and was taken back" if secret else
             "the broker keeps the document, and the node will get it when it connects")
    return Outcome(errors.UNREACHABLE, "no-answer", text, [], document["revision"])


def _report_of(args, node):
    """What a node reports, fit to be shown."""
    target = connection.target(args)
    with connection.Connection(target, topics.filters(target.base, ("config",), node)) as link:
        report = _await_report(link, node)
    return {**report, **{key: patching.masked(report[key]) for key in ("patch", "config") if key in report}}


def _await_report(link, node):
    """What a node reports. Raises UserError when there is none."""
    message = link.wait_for(lambda one: one.topic == f"{link.base}/{node}/config" and _is_report(one), _READ_S)
    if message is None:
        raise errors.UserError(
            f"{node} has not reported its configuration at {link.target.host}:{link.target.port}: is that its id and "
            "its broker? `mote watch` shows who is there", errors.UNREACHABLE)
    return topics.document(message.payload)


def _is_report(message):
    return isinstance(topics.document(message.payload).get("revision"), int)


def _reports_of_group(link, group):
    """node -> report of all nodes of a group, those that are online first. Raises UserError when there is none."""
    reports, online = {}, set()
    for message in link.messages(_READ_S, quiet_s=_QUIET_S):
        node, kind, _ = topics.split(link.base, message.topic) or (None, None, None)
        if kind == "status" and message.payload == b"online":
            online.add(node)
        elif kind == "config" and _is_report(message):
            reports[node] = topics.document(message.payload)
    members = [node for node, report in reports.items() if group in _groups(report)]
    if not members:
        raise errors.UserError(f"no node has reported that it is of the group {group!r}", errors.UNREACHABLE)
    return {node: reports[node] for node in sorted(members, key=lambda node: (node not in online, node))}


def _groups(report):
    try:
        return report["config"]["node"]["groups"] or ()
    except (KeyError, TypeError):
        return ()


def _head(node, report):
    reason = f" ({report['reason']})" if report.get("reason") else ""
    return topics.text(f"{node}: revision {report['revision']}, {report.get('state')}{reason}")


def _json_of(node, outcome):
    return json.dumps({"node": node, "state": outcome.state, "revision": outcome.revision, "errors": outcome.errors})


def _say_left(nodes):
    if nodes:
        print("mote: stopped; not sent to " + ", ".join(nodes), file=sys.stderr)
