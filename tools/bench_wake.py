"""What a wake of a sleeping node costs on the wire: `mote bench wake`. The whole node, beside a program on umqtt.simple
that does the same job with its ten readings.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile

from tools import ROOT, brokers, build, errors, micropython, peers, slow_link

RTTS_MS = (20, 100)
WAKES = 5
READINGS = 10
# Ten readings as a node brings them: (sensors, wakes until it connects).
SHAPES = {"5 x 2": (5, 2), "10 x 1": (10, 1)}
TARGET_RTTS = 2.2  # of the first, at 100 ms
_FIRST = 2  # wakes that introduce the node and learn the broker's order
_INTERVAL_S = 1
_LIMIT_S = 60
_UMQTT = os.path.join(ROOT, "tools", "benches", "wake_umqtt.py")


def measure(progress):
    """{"link", "broker", "rtts": {RTT in ms: {shape or "umqtt.simple": median round trips}}}. Raises UserError."""
    micropython.require()
    build.build()
    path = peers.install(next(peer for peer in peers.PEERS if peer.name == "umqtt.simple"))
    result = {"link": slow_link.best(RTTS_MS[0]).kind, "rtts": {}}
    for rtt_ms in RTTS_MS:
        with slow_link.best(rtt_ms) as line, line.far(), brokers.Broker(host=line.host) as broker:
            result["broker"] = broker.engine
            address = line.address(broker.port)
            row = result["rtts"][str(rtt_ms)] = {}
            for name, (sensors, every) in SHAPES.items():
                progress(f"wakes of a node at {rtt_ms} ms, {name}")
                spans = node(line, address, sensors, every, _FIRST + WAKES)[_FIRST:]
                row[name] = round(statistics.median(spans) / rtt_ms, 2)
            progress(f"the same by umqtt.simple at {rtt_ms} ms")
            row["umqtt.simple"] = round(statistics.median(_umqtt(line, address, path)) / rtt_ms, 2)
    return result


def node(line, address, sensors, every, connections):
    """Milliseconds on the wire of each of the first `connections` of a node on MicroPython that has so many sensors and
    connects in each `every`-th wake."""
    with tempfile.TemporaryDirectory(prefix="mote-bench-") as folder:
        file = os.path.join(folder, "config.json")
        with open(file, "w", encoding="utf-8") as config:
            json.dump(_configuration(address, sensors, every), config)
        command = [sys.executable, "-m", "tools", "run", "--config", file, "--interpreter", "micropython"]
        with open(os.path.join(folder, "log"), "w+", encoding="utf-8") as log:
            process = subprocess.Popen(line.near(command), cwd=ROOT, stdout=log, stderr=log)
            try:
                return [line.span_ms() for _ in range(connections)]
            except errors.UserError as error:
                log.seek(0)
                raise errors.UserError(f"{error}; the node said:\n{log.read()[-600:]}", errors.FAILED) from None
            finally:
                process.terminate()
                process.wait(_LIMIT_S)


def _configuration(address, sensors, every):
    chips = {f"pin_{number}": {"driver": "analog", "kind": "voltage", "pin": 32 + number} for number in range(sensors)}
    return {
        "schema": 1, "node": {"id": "bench"}, "mqtt": {"host": address[0], "port": address[1]},
        "telemetry": {"interval_s": _INTERVAL_S}, "sensors": chips, "power": {"mode": "deepsleep", "send_every": every},
    }


def _umqtt(line, address, path):
    """Milliseconds on the wire of each cycle of the program on umqtt.simple."""
    command = micropython.command(_UMQTT, *map(str, address), str(READINGS), str(WAKES))
    done = subprocess.run(line.near(command), env=micropython.environment(path), capture_output=True, text=True,
                          timeout=_LIMIT_S)
    if done.returncode:
        raise errors.UserError("umqtt.simple failed:\n" + (done.stdout + done.stderr)[-600:], errors.FAILED)
    return [line.span_ms() for _ in range(WAKES)]


def table(result):
    """The result for people."""
    names = [*SHAPES, "umqtt.simple"]
    lines = [f"wake: {READINGS} readings at QoS 1, a look at the desired configuration and a retained status, through "
             f"{result['broker']};", f"  from SYN to the last data, in round trips of {result['link']}",
             "       RTT" + "".join(f"{name if name == names[-1] else 'mote ' + name:>14}" for name in names)]
    for rtt, row in result["rtts"].items():
        lines.append(f"  {rtt + ' ms':>8}" + "".join(f"{row[name]:14}" for name in names))
    lines += ["  5 x 2: five sensors, each second wake connects. 10 x 1: ten sensors; that many answers are more than",
              "  the ten packets that TCP lets a broker send before the first is acknowledged."]
    return "\n".join(lines)
