"""What a wake of a sleeping node costs on the wire: `mote bench wake`. The whole node, beside a program on umqtt.simple
that does the same job with its ten readings.
"""

import collections
import json
import os
import statistics
import subprocess
import sys
import tempfile

from tools import ROOT, brokers, build, errors, micropython, passing_certificate, peers, slow_link

RTTS_MS = (20, 100)
WAKES = 5
READINGS = 10
# Ten readings as a node brings them, in so many wakes for each connection.
Shape = collections.namedtuple("Shape", "sensors every qos tls")
SHAPES = {"5 x 2": Shape(5, 2, 1, False), "10 x 1": Shape(10, 1, 1, False), "10 x 1 QoS 0": Shape(10, 1, 0, False),
          "5 x 2 TLS": Shape(5, 2, 1, True)}
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
        with tempfile.TemporaryDirectory(prefix="mote-bench-") as folder, slow_link.best(rtt_ms) as line, line.far():
            with _broker(line, folder) as broker:
                result["broker"] = broker.engine
                row = result["rtts"][str(rtt_ms)] = {}
                for name, shape in SHAPES.items():
                    progress(f"wakes of a node at {rtt_ms} ms, {name}")
                    spans = node(line, folder, broker, shape, _FIRST + WAKES)[_FIRST:]
                    row[name] = round(statistics.median(spans) / rtt_ms, 2)
                progress(f"the same by umqtt.simple at {rtt_ms} ms")
                spans = _umqtt(line, line.address(broker.port), path)
                row["umqtt.simple"] = round(statistics.median(spans) / rtt_ms, 2)
    return result


def _broker(line, folder):
    """A Mosquitto that also speaks TLS, with a certificate in `folder`."""
    return brokers.Broker("mosquitto", host=line.host, tls=passing_certificate.write(folder, line.host))


def node(line, folder, broker, shape, connections):
    """Milliseconds on the wire of each of the first `connections` of a node on MicroPython, of a Shape."""
    file = os.path.join(folder, "config.json")
    address = line.address(broker.tls_port if shape.tls else broker.port)
    with open(file, "w", encoding="utf-8") as config:
        json.dump(_configuration(address, os.path.join(folder, "bench.crt"), shape), config)
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


def _configuration(address, authority, shape):
    chips = {f"pin_{number}": {"driver": "analog", "kind": "voltage", "pin": 32 + number}
             for number in range(shape.sensors)}
    return {
        "schema": 1, "node": {"id": "bench"},
        "mqtt": {"host": address[0], "port": address[1], "tls": {"ca": authority} if shape.tls else None},
        "telemetry": {"interval_s": _INTERVAL_S, "qos": shape.qos}, "sensors": chips,
        "power": {"mode": "deepsleep", "send_every": shape.every},
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
    lines = [f"wake: {READINGS} readings, a look at the desired configuration and a retained status, through "
             f"{result['broker']};", f"  from SYN to the last data, in round trips of {result['link']}",
             "       RTT" + "".join(f"{name if name == names[-1] else 'mote ' + name:>19}" for name in names)]
    for rtt, row in result["rtts"].items():
        lines.append(f"  {rtt + ' ms':>8}" + "".join(f"{row[name]:19}" for name in names))
    lines += ["  5 x 2: five sensors, each second wake connects. 10 x 1: ten sensors; six readings have an answer each",
              "  and the rest one for all of them, as the broker's TCP sends ten packets before the first is",
              "  acknowledged. TLS 1.2: two round trips for the handshake."]
    return "\n".join(lines)
