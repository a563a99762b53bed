"""`mote bench`: figures of this machine, measured now, on both Pythons."""

import json
import os
import subprocess
import sys

from tools import (
    ROOT,
    bench_battery,
    bench_deploy,
    bench_faults,
    bench_fleet,
    bench_mqtt,
    bench_node,
    bench_sim,
    bench_storm,
    bench_table,
    bench_wake,
    brokers,
    build,
    errors,
    fault_server,
    micropython,
    peers,
)

HELP = "measure speed here and now, on CPython and MicroPython"
EXAMPLE = "mote bench mqtt --part wake --client mote --client chumicro"

_SCRIPTS = os.path.join(ROOT, "tools", "benches")
_HEAP = "144k"  # what `mote run` gives a node
_LIMIT_S = 120


def add_arguments(parser):
    names = ["floor", "mote", *(peer.name for peer in peers.PEERS)]
    parser.add_argument("name", nargs="?", choices=sorted(BENCHES),
                        help=f"only this one (default: {', '.join(DEFAULT)})")
    parser.add_argument("--count", type=int, default=5000, metavar="N",
                        help="publish: messages of each kind (default 5000)")
    parser.add_argument("--engine", choices=brokers.ENGINES,
                        help="publish, node: the broker (default: the first that is here)")
    parser.add_argument("--part", action="append", choices=bench_mqtt.PARTS, help="mqtt: only this part; repeatable")
    parser.add_argument("--client", action="append", choices=names, help="mqtt, faults: only this client; repeatable")
    parser.add_argument("--json", action="store_true", help="one JSON document")


def run(args):
    if args.count < 1:
        raise errors.UserError(f"--count {args.count}: at least one message")
    results = {}
    for name in [args.name] if args.name else DEFAULT:
        measure, show = BENCHES[name]
        results[name] = measure(args)
        if not args.json:
            show(args, results[name])
    if args.json:
        print(json.dumps(results))
    return errors.DONE


def _publish(args):
    """Speed of lib/mqtt.py against a broker on loopback, a row per interpreter."""
    rows = []
    with brokers.Broker(args.engine) as broker:
        argv = [broker.host, str(broker.port), str(args.count)]
        for name, command, environment in _interpreters([os.path.join(_SCRIPTS, "publish.py"), *argv]):
            rows.append({"interpreter": name, "broker": broker.engine, **_measured(command, environment)})
    return rows


def _show_publish(args, rows):
    print(f"publish: {args.count} messages of 100 bytes over loopback, in messages per second")
    for row in rows:
        garbage = row["qos1_garbage_bytes"]
        print(f"  {row['interpreter']:12} through {row['broker']:10} QoS 0 {row['qos0_per_s']:8,}  "
              f"QoS 1 {row['qos1_per_s']:7,}" + (f"  {garbage} bytes of garbage each" if garbage else ""))


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


def _mqtt(args):
    """lib/mqtt beside its peers, on MicroPython."""
    micropython.require()
    found = bench_mqtt.subjects(args.client, _tell)
    result = bench_mqtt.measure(found, args.part or bench_mqtt.PARTS, _progress(args))
    return {**result, "targets": bench_table.targets(result["clients"])}


def _tell(text):
    print(text, file=sys.stderr)


def _progress(args):
    """Tells what is being measured, on a line of its own that the next one overwrites."""
    if args.json or not sys.stderr.isatty():
        return lambda text: None
    return lambda text: print(f"\r{text:60}", end="\r", file=sys.stderr, flush=True)


def _show_mqtt(args, result):
    link = result["link"]
    print("mqtt: 100 bytes, topic of 9, MicroPython, bytecode, through " + result["broker"])
    print(f"  round trips of {link}" if link else "  loopback")
    print(bench_table.table(result["clients"]))


def _faults(args):
    """lib/mqtt and its peers at a server that fails: two minutes."""
    micropython.require()
    rows = bench_faults.measure(bench_faults.subjects(args.client, _tell), list(fault_server.FAULTS), _progress(args))
    return {fault: {name: cell._asdict() for name, cell in cells.items()} for fault, cells in rows.items()}


def _show_faults(args, rows):
    print("faults: twenty readings at QoS 1, one at a time, from an application that does not give up, on MicroPython")
    print(bench_faults.table({fault: {name: bench_faults.Cell(**cell) for name, cell in cells.items()}
                              for fault, cells in rows.items()}))
    print(bench_faults.LEGEND)


def _node(args):
    """A whole node on each interpreter, from the sampler to the acknowledgement."""
    with brokers.Broker(args.engine) as broker:
        return {name: bench_node.measure(broker, name, _progress(args)) for name in bench_node.interpreters()}


def _show_node(args, rows):
    print("node: readings from the sampler to the broker's acknowledgement, QoS 1, loopback")
    print(bench_node.table(rows))


def _sim(args):
    """The simulator itself: three minutes."""
    return bench_sim.measure(_progress(args))


def _show_sim(args, result):
    print(bench_sim.text(result))


def _fleet(args):
    """`mote fleet` beside Locust, at rising rates: ten minutes."""
    return bench_fleet.measure(_progress(args))


def _show_fleet(args, result):
    print(bench_fleet.text(result))


def _wake(args):
    """A sleeping node's wake, over a link with a round trip: half a minute."""
    return bench_wake.measure(_progress(args))


def _show_wake(args, result):
    print(bench_wake.table(result))


def _battery(args):
    """What empties a battery, in virtual time: a minute."""
    return {name: row._asdict() for name, row in bench_battery.measure(_progress(args)).items()}


def _show_battery(args, rows):
    print(bench_battery.table({name: bench_battery.Row(**row) for name, row in rows.items()}))


def _storm(args):
    """Ten thousand reconnecting nodes: three minutes."""
    return bench_storm.measure(_progress(args))


def _show_storm(args, result):
    print(bench_storm.text(result))


def _deploy(args):
    """`mote deploy` beside `mpremote cp -r`: two minutes."""
    micropython.require()
    return bench_deploy.measure(_progress(args))


def _show_deploy(args, result):
    print(bench_deploy.table(result))


BENCHES = {"publish": (_publish, _show_publish), "mqtt": (_mqtt, _show_mqtt), "faults": (_faults, _show_faults),
           "node": (_node, _show_node), "sim": (_sim, _show_sim), "wake": (_wake, _show_wake),
           "battery": (_battery, _show_battery), "storm": (_storm, _show_storm), "deploy": (_deploy, _show_deploy),
           "fleet": (_fleet, _show_fleet)}
DEFAULT = ("publish", "node", "mqtt")
