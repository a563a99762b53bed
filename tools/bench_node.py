"""A whole node at work, from the sampler to the broker's acknowledgement: `mote bench node`.

`mote run` on loopback, eight sensors of the computer, QoS 1. Each command `sample` makes all due at once; the next one
is sent when all eight readings have come back from the broker. So what is measured is everything that a reading meets:
command, sampler, driver, outbox, dialect, MQTT client, and the broker.
"""

import json
import os
import statistics
import sys
import tempfile
import time

from tools import ROOT, brokers, children, connection, errors, micropython

SENSORS = 8  # fewer than an outbox takes live at once
ROUNDS = 400
WARM_UP = 20
NODE = "bench"
_HEAP = "256k"  # room enough that it is not the collector that is measured
_PATIENCE_S = 20  # for the node's birth and for any round
_INTERVAL_S = 3_600  # nothing is read but on command


def measure(broker, interpreter, progress):
    """The figures of a node on one interpreter, as a dict."""
    with tempfile.TemporaryDirectory(prefix="mote-bench-") as folder:
        process = _start(folder, broker, interpreter)
        try:
            target = connection.Target(broker.host, broker.port, False, None, None, None, "mote")
            filters = [f"mote/{NODE}/telemetry/#", f"mote/{NODE}/diagnostics"]
            with connection.Connection(target, filters) as link:
                return _rounds(link, process.pid, progress)
        finally:
            children.stop(process)


def _start(folder, broker, interpreter):
    path = os.path.join(folder, "config.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(configuration(broker.port), file)
    command = [sys.executable, "-m", "tools", "run", "--config", path, "--state", folder, "--interpreter", interpreter,
               "--heap", _HEAP, "--chips", "none"]
    log = os.open(os.path.join(folder, "log"), os.O_CREAT | os.O_WRONLY)
    try:
        return children.start(command, cwd=ROOT, stdout=log, stderr=log)
    finally:
        os.close(log)


def configuration(port):
    """Of a node that reads only on command."""
    return {
        "schema": 1, "node": {"id": NODE, "name": "Bench"},
        "mqtt": {"host": brokers.HOST, "port": port},
        "telemetry": {"interval_s": _INTERVAL_S, "qos": 1, "diagnostics_s": 1},
        "sensors": {f"sensor{number}": {"driver": "host"} for number in range(SENSORS)},
    }


def _rounds(link, pid, progress):
    """Let the node read again and again; what the rounds took."""
    _all_read(link)  # at its birth
    for _ in range(WARM_UP):
        _round(link)
    began, cpu_ns, spans = time.monotonic(), _cpu_ns(pid), []
    for turn in range(ROUNDS):
        if not turn % 50:
            progress(f"readings: {turn * SENSORS} of {ROUNDS * SENSORS}")
        spans.append(_round(link) * 1_000)
    seconds, cpu_ns = time.monotonic() - began, _cpu_ns(pid) - cpu_ns
    report = _report(link)
    readings = ROUNDS * SENSORS
    return {
        "readings": readings, "readings_per_s": round(readings / seconds),
        "cpu_us_per_reading": round(cpu_ns / 1_000 / readings, 1),
        "round_ms": round(statistics.median(spans), 2), "slowest_round_ms": round(max(spans), 2),
        "dropped": sum(report["dropped"].values()), "heap_free_bytes": report["heap_free"]}


def _round(link):
    """Seconds from the command to the last reading."""
    began = time.monotonic()
    link.publish(f"mote/{NODE}/command/sample", "")
    _all_read(link)
    return time.monotonic() - began


def _all_read(link):
    """Wait until every sensor's reading has come. Raises UserError when one does not."""
    missing = set(range(SENSORS))
    until = time.monotonic() + _PATIENCE_S
    while missing:
        message = link.receive(max(0, until - time.monotonic()))
        if message is None:
            raise errors.UserError(f"the node did not send {len(missing)} of {SENSORS} readings", errors.FAILED)
        name = message.topic.rpartition("/")[2]
        if name.startswith("sensor"):
            missing.discard(int(name[len("sensor"):]))


def _report(link):
    """The node's next diagnostics."""
    while True:
        message = link.receive(_PATIENCE_S)
        if message is None:
            raise errors.UserError("the node sends no diagnostics", errors.FAILED)
        if message.topic.endswith("/diagnostics"):
            return json.loads(message.payload)


def table(rows):
    """The figures as text: a line per interpreter."""
    return "\n".join(
        f"  {name:12}{row['readings_per_s']:7,} readings/s, {row['cpu_us_per_reading']:6.1f} us of CPU each, "
        f"{SENSORS} at once in {row['round_ms']:.1f} ms (slowest {row['slowest_round_ms']:.1f}), "
        f"{row['dropped']} dropped"
        for name, row in rows.items())


def _cpu_ns(pid):
    """Nanoseconds that a process has run, its one thread."""
    with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
        return int(file.read().split()[0])


def interpreters():
    """Those that this machine has."""
    return ["cpython", *(["micropython"] if micropython.available() else [])]
