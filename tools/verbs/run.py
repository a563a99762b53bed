"""`mote run`: one node on this computer, in real time, against a real broker. One process is one node: what happens to
the process (SIGTERM, SIGKILL, SIGSTOP) happens to the node, on MicroPython too."""

import argparse
import asyncio
import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import sys
import tempfile
import time
import zlib

from firmware import config as configuration
from firmware import desired
from tools import build, connection, errors, micropython, patching, rom
from tools.host import cpython_identity
from tools.host.wire import Wire
from tools.sim import wire_server
from tools.sim.bus import Buses
from tools.sim.world import World

HELP = "run one node on this computer, against a real broker"
EXAMPLE = "mote run --config config.json --interpreter micropython --heap 128k"

# The current folder comes first on the interpreter's path: it would find sources there, and compile them on its heap.
ENTRY = """
import sys
sys.path.pop(0)
from tools.host.micropython_boot import start
start()
del start
try:
    from lending import lend
    lend("tools.host.micropython_main").main()
except Exception as error:
    from tools.host.micropython_boot import remember
    remember(error)
    raise
"""

_RESET = 75  # tools.host.board.RESET
_ASLEEP = 76  # tools.host.micropython_main.ASLEEP
_PIN_S = 0.05  # how often a pin that wakes is looked at
_SIGSET_BYTES = 128  # sigset_t of glibc and musl


def add_arguments(parser):
    parser.add_argument("--config", required=True, metavar="FILE", help="the configuration, as config.json.example")
    parser.add_argument("--interpreter", choices=("cpython", "micropython"), default="cpython")
    parser.add_argument("--heap", type=_heap, default="144k", metavar="SIZE",
                        help="MicroPython's heap, such as 128k or 1m (default 144k)")
    parser.add_argument("--rom", action="store_true",
                        help="MicroPython runs the code out of read-only memory, as on a board that has ROMFS")
    parser.add_argument("--state", metavar="DIR",
                        help="the node's flash, kept between runs (default: a new one, thrown away at the end)")
    parser.add_argument("--seconds", type=_positive, metavar="N", help="leave cleanly after N seconds")
    parser.add_argument("--chips", choices=("simulated", "none"), default="simulated",
                        help="what is on the buses (default simulated)")
    parser.add_argument("--access-point", action="append", default=[], metavar="SSID[=PASSWORD]",
                        help="a model of Wi-Fi with this network, and no other than those given (default: the "
                             "computer's own network, whatever the configuration says of Wi-Fi)")
    connection.add_connection_options(parser)


def _heap(text):
    try:
        return micropython.heap_size(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a heap size such as 96k or 1m") from None


def _positive(text):
    number = float(text)
    if not number > 0:
        raise ValueError(text)
    return number


def run(args):
    given = read_config(args.config)
    document = _redirected(given, args)
    with contextlib.ExitStack() as stack:
        state = args.state or stack.enter_context(tempfile.TemporaryDirectory(prefix="mote-"))
        os.makedirs(state, exist_ok=True)
        path = args.config if document is given else _provision(document, state)
        options = {"config": os.path.abspath(path), "state": os.path.abspath(state), "chips": args.chips}
        options.update(cpython_identity.identity(state))
        with contextlib.suppress(FileNotFoundError):
            os.remove(os.path.join(state, "rtc-memory"))  # this process is a power-on
        points = [point.partition("=") for point in args.access_point]
        options["access_points"] = {ssid: password if equals else None for ssid, equals, password in points}
        live = _live_on_micropython if args.interpreter == "micropython" else _live_on_cpython
        return live(options, document, args)


def read_config(path):
    """The configuration in a file. Raises UserError with every mistake at once."""
    try:
        with open(path, "rb") as file:
            document = desired.parsed(file.read())
    except OSError as error:
        raise errors.UserError(
            f"cannot read {path} ({error.strerror}): copy config.json.example and edit it") from None
    except desired.ConfigError as error:
        raise errors.UserError(f"{path}: {error.args[0]}") from None
    problems = configuration.mistakes(document)
    if problems:
        raise errors.UserError("\n".join([f"{path} has {len(problems)} mistake(s)", *patching.told(problems)]))
    return document


def _redirected(document, args):
    """The configuration with what the connection options say over its own section `mqtt`."""
    if not (args.broker or args.ca or args.base or args.profile):
        return document
    mqtt = dict(document["mqtt"])
    target = connection.target(args)
    if mqtt.get("tls") and (args.broker or args.profile) and not target.tls:
        raise errors.UserError("--broker without TLS would send in the clear what mqtt.tls is to protect: "
                               "say mqtts://HOST, or take tls out of the configuration")
    if args.broker or args.profile:
        if target.user is not None:
            mqtt.update(user=target.user, password=target.password)
        mqtt.update(host=target.host, port=target.port,
                    tls=_tls(mqtt.get("tls"), target.ca) if target.tls else None)
    if args.base or args.profile:
        mqtt["base"] = target.base
    return {**document, "mqtt": mqtt}


def _tls(section, ca):
    """The section `mqtt.tls` with this authority, if one was named."""
    section = {**(section or {}), **({"ca": ca} if ca else {})}
    if not section.get("ca"):
        raise errors.UserError("a node trusts no authority of its own: name the broker's with --ca FILE")
    return section


def _provision(document, state):
    """Put a changed configuration on the node's flash, readable for its owner alone; return the path."""
    path = os.path.join(state, "provisioned.json")
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        json.dump(document, file, ensure_ascii=False)
    return path


def _buses(document):
    """Simulated chips for the configuration's sensors, in a world of the node's own."""
    seed = zlib.crc32(json.dumps(document.get("node"), sort_keys=True).encode())
    return Buses(document.get("sensors"), World(seed, time.time).sensor)


def _live_on_cpython(options, document, args):
    from tools.host import cpython_main

    if args.chips == "simulated":
        options["buses"] = _buses(document)
    asyncio.run(cpython_main.live(options, args.seconds))
    return errors.DONE


def _live_on_micropython(options, document, args):
    """Become the interpreter: this very process, so that signals meet the node and not a parent of it."""
    micropython.require()
    build.build()
    wire = _serve_chips(_buses(document)) if args.chips == "simulated" else None
    options["asleep"] = os.path.join(options["state"], "asleep.json")
    _signals_to_stdin(args.seconds)
    entry, folders = ENTRY, _short(build.path())
    if args.rom:
        memory, mount = rom.mounted(rom.image())  # which lasts as long as this function
        entry, folders = mount + ENTRY, rom.path()
    os.environ.update(micropython.environment(*folders))
    sys.stdout.flush()
    import micropython_unix

    argv = ["micropython", *micropython.arguments("-c", entry, heap=args.heap)]
    while True:  # each time with a memory of its own, as a board has after a reset
        options["wire"] = os.dup(wire.fileno()) if wire else None  # the interpreter closes what it had open
        os.environ["MOTE_OPTIONS"] = json.dumps(options)  # not an argument: those end at 255 bytes
        status = micropython_unix.run_main(argv)
        options.update(cause="hard", woken_by_pin=False)
        if status == _ASLEEP:
            options["cause"] = "deep-sleep"
            with open(options["asleep"], encoding="utf-8") as file:
                rest = json.load(file)
            if _left_in_sleep(options, rest, wire):
                return errors.DONE
        elif status != _RESET:
            return status


def _left_in_sleep(options, rest, wire):
    """Wait until the sleep is over, by its time or its pin; returns whether a signal came first."""
    ms, pin, level = rest
    over = time.monotonic() + ms / 1000
    port = Wire(os.dup(wire.fileno())).input_pin(pin) if wire and pin is not None else None
    while (left := over - time.monotonic()) > 0:
        if port and port.value() != level:
            options["woken_by_pin"] = True
            return False
        if select.select([0], [], [], min(left, _PIN_S) if port else left)[0]:
            return True
    return False


def _short(folders):
    """Other paths to the folders, which this process keeps open: each module on a heap holds the path to its file, and
    a board's are as short."""
    return [f"/dev/fd/{os.open(folder, os.O_PATH | os.O_DIRECTORY)}" for folder in folders]


def _serve_chips(buses):
    """Start a process that has the chips, since they do not belong on the node's heap; return our end of the line.

    It ends when that line does, however the node ended, and no signal to the group ends it before.
    """
    ours, theirs = socket.socketpair()
    sys.stdout.flush()
    if os.fork() == 0:
        try:
            ours.close()
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            wire_server.serve(buses, theirs)
            os._exit(0)
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(1)
    theirs.close()
    return ours


def _signals_to_stdin(seconds):
    """Let SIGTERM, SIGINT and the deadline arrive on standard input, and nowhere else.

    While MicroPython runs no handler of ours can, and its own one for SIGINT raises KeyboardInterrupt inside whichever
    task is running, which then never comes to its end.
    """
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)
    signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    mask = sum(1 << (number - 1) for number in numbers)
    descriptor = ctypes.CDLL(None, use_errno=True).signalfd(-1, mask.to_bytes(_SIGSET_BYTES, "little"), 0)
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), "signalfd")
    os.dup2(descriptor, 0)
    if seconds is not None:
        signal.setitimer(signal.ITIMER_REAL, seconds)
