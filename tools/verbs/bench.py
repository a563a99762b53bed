"""`mote bench`: figures of this machine, measured now, on both Pythons."""

import json
import os
import subprocess
import sys

from tools import ROOT, brokers, build, errors, micropython

HELP = "measure speed here and now, on CPython and MicroPython"
EXAMPLE = "mote bench publish --count 5000"

_SCRIPTS = os.path.join(ROOT, "tools", "benches")
_HEAP = "144k"  # what `mote run` gives a node
_LIMIT_S = 120


def add_arguments(parser):
    parser.add_argument("name", nargs="?", choices=sorted(BENCHES), help="only this one (default: all)")
    parser.add_argument("--count", type=int, default=5000, metavar="N", help="messages of each kind (default 5000)")
    parser.add_argument("--engine", choices=brokers.ENGINES, help="the broker (default: the first that is here)")
    parser.add_argument("--json", action="store_true", help="one JSON document")


def run(args):
    if args.count < 1:
        raise errors.UserError(f"--count {args.count}: at least one message")
    results = {name: BENCHES[name](args) for name in ([args.name] if args.name else BENCHES)}
    if args.json:
        print(json.dumps(results))
        return errors.DONE
    for name, rows in results.items():
        print(f"{name}: {args.count} messages of 100 bytes over loopback, in messages per second")
        for row in rows:
            garbage = row["qos1_garbage_bytes"]
            print(f"  {row['interpreter']:12} through {row['broker']:10} QoS 0 {row['qos0_per_s']:8,}  "
                  f"QoS 1 {row['qos1_per_s']:7,}" + (f"  {garbage} bytes of garbage each" if garbage else ""))
    return errors.DONE


def _publish(args):
    """Speed of lib/mqtt.py against a broker on loopback, a row per interpreter, and of umqtt.simple beside it."""
    rows = []
    with brokers.Broker(args.engine) as broker:
        argv = [broker.host, str(broker.port), str(args.count)]
        for name, command, environment in _interpreters([os.path.join(_SCRIPTS, "publish.py"), *argv]):
            rows.append({"interpreter": name, "broker": broker.engine, **_measured(command, environment)})
        if os.path.exists(os.path.join(ROOT, "build", "umqtt", "simple.py")) and micropython.available():
            *_, (_, command, environment) = _interpreters([os.path.join(_SCRIPTS, "publish_umqtt.py"), *argv])
            rows.append({"interpreter": "umqtt.simple", "broker": broker.engine, **_measured(command, environment)})
    return rows


def _interpreters(argv):
    """(name, command line, environment) of each interpreter that this machine has."""
    path = os.pathsep.join([ROOT, os.path.join(ROOT, "lib")])
    yield "CPython", [sys.executable, *argv], {**os.environ, "PYTHONPATH": path}
    if micropython.available():
        build.build()
        yield "MicroPython", micropython.command(*argv, heap=_HEAP), micropython.environment(*build.path())


def _measured(command, environment):
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_LIMIT_S)
    if done.returncode:
        raise errors.UserError("the measurement failed:\n" + (done.stdout + done.stderr)[-1000:], errors.FAILED)
    return json.loads(done.stdout)


BENCHES = {"publish": _publish}
