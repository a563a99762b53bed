"""`mote monitor`: a node's log, over its serial port or over MQTT, with tracebacks led back to the source."""

import time

import serial

from tools import arguments, connection, errors, topics, tracebacks
from tools.board import options, ports

HELP = "show a node's log, over the serial port or over MQTT"
EXAMPLE = "mote monitor --port /dev/ttyUSB0"

_RETRY_S = 0.5  # a board that is plugged in again is there within seconds
_PIECE_S = 0.1
_QUIET_S = 0.3  # a line without an end is shown after this
_KINDS = ("status", "info", "log", "event/+", "config", "reply")


def add_arguments(parser):
    parser.add_argument("node", nargs="?", metavar="NODE", help="over MQTT: the node whose log to show")
    options.add_port(parser)
    parser.add_argument("--seconds", type=arguments.seconds, metavar="N", help="end after so long")
    connection.add_connection_options(parser)


def run(args):
    if args.node and args.port:
        raise errors.UserError("either a node, over MQTT, or --port")
    deadline = None if args.seconds is None else time.monotonic() + args.seconds
    if args.node:
        over_mqtt(args, topics.node_id(args.node))
    else:
        [name] = options.ports(args)
        over_serial(name, deadline, print)
    return errors.DONE


def over_mqtt(args, node):
    target = connection.target(args)
    mapper = tracebacks.Mapper()
    with connection.Connection(target, topics.filters(target.base, _KINDS, node)) as link:
        for message in link.messages(args.seconds):
            _, kind, below = topics.split(target.base, message.topic)
            stamp = time.strftime("%H:%M:%S", time.localtime(message.t))
            for line in mapper.text("\n".join(said(kind, message.payload))):
                print(f"{stamp} {line if kind == 'log' else f'[{below or kind}] {line}'}", flush=True)


def said(kind, payload):
    """The lines to show of a message; of what a node is, only the traceback that led to rescue."""
    if kind != "info":
        return topics.lines(payload)
    crash = topics.document(payload).get("rescue")
    return topics.lines(crash) if isinstance(crash, str) else []


def over_serial(name, deadline, say):
    """Show what the board says until the deadline; the port may go and come back. The first time it has to be there."""
    mapper = tracebacks.Mapper()
    port = ports.opened(name)
    while True:
        try:
            _follow(port, deadline, lambda text: [say(line, flush=True) for line in mapper.line(text)])
            return
        except (serial.SerialException, OSError):
            say("-- the port is gone; waiting for it", flush=True)
        finally:
            port.close()
        port = _again(name, deadline)
        if port is None:
            return
        say("-- the port is back", flush=True)


def _follow(port, deadline, show):
    """Lines as they come, until the deadline."""
    kept, heard_s = b"", time.monotonic()
    while deadline is None or time.monotonic() < deadline:
        data = port.read(port.in_waiting or 1)
        if data:
            heard_s = time.monotonic()
            kept += data
        elif not kept:
            time.sleep(0.01)
        *lines, kept = kept.split(b"\n")
        if kept and time.monotonic() - heard_s > _QUIET_S:
            lines, kept = [*lines, kept], b""
        for line in lines:
            show(line.decode("utf-8", "replace").rstrip("\r"))


def _again(name, deadline):
    """The port once it can be opened again; None when the deadline comes first."""
    while deadline is None or time.monotonic() < deadline:
        try:
            return ports.opened(name)
        except errors.UserError:
            time.sleep(_RETRY_S)
    return None
