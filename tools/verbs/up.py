"""`mote up`: everything in one go, from a new board to a node that is online with its first reading."""

import contextlib
import json
import sys
import time

from tools import connection, errors, provisioning, topics, tracebacks
from tools.board import files, flasher, options, ports, repl
from tools.checks import reach
from tools.verbs import deploy, flash, provision

HELP = "flash, deploy, provision and start a board, and wait until its node is online"
EXAMPLE = "mote up --port /dev/ttyUSB0 --broker mqtt://192.168.1.10 --wifi my-network --name Greenhouse"

_ONLINE_S = 120  # joining may take 20 s, a first time a lookup as long; then a session, discovery, a reading
_LISTEN_S = 0.1
_ABOUT = ("ts", "boot", "seq")  # of a reading; the rest is measured
_LOCAL = ("localhost", "127.", "::1")


def add_arguments(parser):
    options.add_port(parser)
    options.add_image(parser)
    provision.add_document(parser)
    parser.add_argument("--wait", type=float, default=_ONLINE_S, metavar="S",
                        help=f"seconds to wait for the node (default {_ONLINE_S})")
    parser.add_argument("--json", action="store_true", help="one JSON object at the end")


def run(args):
    args.out = None
    [name] = options.ports(args)
    if args.broker or args.profile:
        reached_by(name, args)  # raises, before anything is done
    began = time.monotonic()
    wanted = files.wanted()
    with ports.opened(name) as port:
        board = repl.Repl(port, name)
        state = looked_at(board, args)
        document, target = settled(board, state, args)
        if state is None:
            flash.flash(port, name, args, options.firmware(args), lambda text: say(args, text))
            board.enter()
            state = files.look(board)
        todo = files.plan(wanted, state)
        say(args, f"{len(todo.send)} of {len(wanted)} files to send, {todo.bytes:,} bytes")
        show = flasher.bar("sending")
        files.carry_out(board, wanted, todo, state, lambda done, total: show(done, total, ""))
        for line in deploy.kept(state):
            say(args, line)
        document = provision.onto_board(board, document, args, state)
        node = document["node"]["id"]
        if args.acl:
            paths = provisioning.write_access(args.acl, args.engine, {node: document})
            say(args, f"wrote {' and '.join(paths)}: the broker has to load them")
        say(args, f"{node} is configured: {', '.join(document['sensors']) or 'no sensors'}")
        result = awaited(board, node, document, target, args)
    result.update(node=node, seconds=round(time.monotonic() - began, 1), sent=len(todo.send))
    print(json.dumps(result) if args.json else summary(node, document, result, args))
    return errors.DONE


def summary(node, document, result, args):
    """The last words for a person: what there is now, and how to go on."""
    reading = {name: value for name, value in (result["reading"] or {}).items() if name not in _ABOUT}
    at = f" --broker {args.broker}" if args.broker else ""
    return "\n".join([
        f"{node} is online after {result['seconds']} s",
        *([f"  {result['sensor']}: " + ", ".join(f"{name} {value}" for name, value in reading.items())]
          if reading else []),
        f"Home Assistant, at the same broker, shows it as {document['node']['name']}. Here: mote watch{at}"])


def reached_by(name, args):
    """The broker, as the board at a port is to reach it. Raises UserError when it cannot."""
    target = connection.target(args)
    if "://" not in name and target.host.startswith(_LOCAL):
        raise errors.UserError("a board cannot reach this computer as localhost: name its address in --broker "
                               f"({reach.own_address()})")
    return target


def looked_at(board, args):
    """The State of a board that needs no flashing, at its prompt; None for one that does, or is to be flashed."""
    if args.image or args.erase:
        return None
    try:
        board.enter()
        return files.look(board)
    except errors.Trouble as error:
        say(args, f"{error.what}: flashing it")
        return None


def settled(board, state, args):
    """(document, broker) by the options and the person's answers, before anything is done to the board."""
    try:
        document = provision.settled(provision.beginning(board if state else None, args), args)
        return document, reached_by(board.name, args)
    except (KeyboardInterrupt, errors.UserError):
        if state:
            with contextlib.suppress(errors.UserError):
                board.restart()  # it goes on as it was
        raise


def awaited(board, node, document, target, args):
    """Restart the board, and wait at the broker for `online`, discovery and a reading. Raises UserError with what the
    node said last when they do not come."""
    base, prefix = document["mqtt"].get("base") or "mote", document.get("homeassistant", {}).get("prefix")
    discovery = f"{prefix or 'homeassistant'}/device/{node}/config"
    missing = {"online", "discovery", "reading"} if document["sensors"] else {"online", "discovery"}
    result, heard = {"sensor": None, "reading": None}, b""
    with connection.Connection(target, [f"{base}/{node}/#", discovery]) as link:
        link.publish(f"{base}/{node}/status", b"", retain=True)  # of an earlier life
        board.restart()
        deadline = time.monotonic() + args.wait
        while missing and time.monotonic() < deadline:
            heard = (heard + board.listen(_LISTEN_S))[-4_000:]
            message = link.receive(0.2)
            if message is None:
                continue
            kind = topics.split(base, message.topic)
            if message.topic == discovery and message.payload:
                missing.discard("discovery")
            elif kind and kind[1] == "status" and message.payload == b"online":
                missing.discard("online")
            elif kind and kind[1] == "telemetry" and not message.retain:
                missing.discard("reading")
                result = {"sensor": kind[2], "reading": topics.decode(message.payload)}
    if missing:
        raise errors.UserError(why(node, missing, heard), errors.UNREACHABLE)
    return result


# What the node's log says, and what to do about it.
_HINTS = (
    ("wrong password", "the Wi-Fi password is wrong: MOTE_WIFI_PASSWORD, then `mote provision`"),
    ("no such network", "no network of that name is in reach: --wifi, 2.4 GHz only"),
    ("cannot read /config.json", "the configuration is not on the board: `mote provision`"),
    ("not authorised", "the broker refuses the node's user: give the broker the password file of --acl, and reload it"),
    ("ECONNREFUSED", "nothing listens at the broker's address: is it the right one, and does it listen beyond "
     "localhost?"),
)


def why(node, missing, heard):
    """What to say of a node that did not come."""
    said = heard.decode("utf-8", "replace")
    hints = [hint for sign, hint in _HINTS if sign in said]
    lines = [line for line in tracebacks.Mapper().text(said) if line.strip()][-8:]
    return "\n".join([f"{node}: {', '.join(sorted(missing))} did not come in time"
                      + (f"; {hints[0]}" if hints else ""), "its last words:", *(f"  {line}" for line in lines)])


def say(args, text):
    if not args.json:
        print(text, file=sys.stdout, flush=True)
