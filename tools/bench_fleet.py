"""`mote bench fleet`: the highest rate at which `mote fleet` holds, beside Locust doing the same in the same run.

As many clients as readings a second, each with a connection of its own, at QoS 1, against one Mosquitto on loopback, in
two processes. One subscriber counts for both. A rate holds when nothing that was acknowledged is missing, nothing
failed, and 95 % of it arrived in the seconds in which all were there.
"""

import json
import os
import resource
import subprocess
import sys
import time
import venv

from tools import ROOT, brokers, connection, errors, topics

LOCUST = "locust[mqtt]==2.47.0"
RATES = (500, 1_000, 1_500, 2_000, 2_500, 3_000, 4_000, 5_000)
SECONDS = 30
PROCESSES = 2
SHARE = 0.95
_SPREAD_S = 10  # over which the clients come
_EDGE_S = 3  # after all have come, and before the first goes
_QUIET_S = 3  # of silence, after which nothing is on its way any more
_INSTALL_LIMIT_S = 300
_END_LIMIT_S = 120
_FOLDER = os.path.join(ROOT, "build", "peers", "locust-2.47.0")
_SCRIPT = os.path.join(ROOT, "tools", "benches", "fleet_locust.py")


def measure(say, rates=RATES, seconds=SECONDS):
    """{tool: [the row of each rate, up to the first that does not hold]}."""
    say("fleet: installing Locust")
    locust = install()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    result = {}
    for name, start in (("mote fleet", _mote), ("locust", lambda *run: _locust(locust, *run))):
        result[name] = []
        for rate in rates:
            say(f"fleet: {name}, {rate} readings a second")
            result[name].append(_row(start, rate, seconds))
            if not result[name][-1]["holds"]:
                break
    return result


def install():
    """Locust in an environment of its own below build/; returns its program. Raises UserError."""
    program = os.path.join(_FOLDER, "bin", "locust")
    if not os.path.exists(program):
        venv.create(_FOLDER, with_pip=True)
        done = subprocess.run([os.path.join(_FOLDER, "bin", "python"), "-m", "pip", "install", "--quiet", LOCUST],
                              capture_output=True, text=True, timeout=_INSTALL_LIMIT_S)
        if done.returncode:
            raise errors.UserError("cannot install Locust:\n" + done.stderr[-1_000:], errors.UNREACHABLE)
    return program


def _row(start, rate, seconds):
    with brokers.Broker("mosquitto") as broker:
        target = connection.Target(broker.host, broker.port, False, None, None, None, "mote")
        with connection.Connection(target, topics.filters(target.base, ("telemetry/+",))) as link:
            process, lost = start(broker, rate, seconds)
            arrived = _count(link, process)
            output = process.stdout.read()
            if process.wait(_END_LIMIT_S) == errors.USAGE or not output:
                raise errors.UserError("the measurement failed", errors.FAILED)
            return judged(rate, seconds, arrived, *lost(output, len(arrived)), link.dropped)


def _count(link, process):
    """The times at which messages arrived, until the process has ended and nothing comes any more."""
    arrived, heard = [], time.monotonic()
    while process.poll() is None or time.monotonic() - heard < _QUIET_S:
        for _ in link.messages(0.5):
            heard = time.monotonic()
            arrived.append(heard)
    return arrived


def judged(rate, seconds, arrived, acknowledged, missing, failed, overflow=0):
    """The row of a rate: `arrived` are times in seconds; of the others the numbers count."""
    first_s = arrived[0] + _SPREAD_S + _EDGE_S if arrived else 0
    last_s = arrived[0] + seconds - _EDGE_S if arrived else 0
    per_s = sum(first_s <= at_s < last_s for at_s in arrived) / max(1, last_s - first_s)
    return {"rate": rate, "per_s": round(per_s), "acknowledged": acknowledged, "missing": missing, "failed": failed,
            "holds": not missing and not failed and not overflow and per_s >= SHARE * rate}


def _mote(broker, rate, seconds):
    def lost(output, received):
        told = json.loads(output.splitlines()[-1])
        return told["acknowledged"], told["missing"], told["dropped"] + (not told["ok"])

    return _started([sys.executable, "-m", "tools", "fleet", "--nodes", str(rate), "--interval-s", "1", "--seconds",
                     str(seconds), "--processes", str(PROCESSES), "--broker", f"{broker.host}:{broker.port}",
                     "--json"], os.environ), lost


def _locust(program, broker, rate, seconds):
    def lost(output, received):
        rows = printed(output)
        published = [row for row in rows if row["name"].startswith("publish")]
        good = sum(row["num_requests"] - row["num_failures"] for row in published)
        return good, max(0, good - received), sum(row["num_failures"] for row in rows)

    return _started([program, "-f", _SCRIPT, "--headless", "--users", str(rate), "--spawn-rate",
                     str(max(1, rate // _SPREAD_S)), "--run-time", f"{seconds}s", "--processes", str(PROCESSES),
                     "--json", "--loglevel", "ERROR"], {**os.environ, "FLEET_PORT": str(broker.port)}), lost


def printed(output):
    """The rows that every process of Locust has printed, a JSON list each among other lines."""
    rows, at, decoder = [], output.find("["), json.JSONDecoder()
    while at >= 0:
        found, at = decoder.raw_decode(output, at)
        rows += found
        at = output.find("[", at)
    return rows


def _started(argv, environment):
    return subprocess.Popen(argv, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                            text=True)


def text(result):
    """The rows for people."""
    lines = [f"fleet: clients that send a reading a second at QoS 1 to Mosquitto on loopback, {PROCESSES} processes; "
             "one subscriber counts"]
    for name, rows in result.items():
        for row in rows:
            lines.append(f"  {name:10} {row['rate']:6,} clients {row['per_s']:6,} readings a second, "
                         f"{row['acknowledged']:8,} acknowledged, {row['missing']} missing, {row['failed']} failed: "
                         + ("holds" if row["holds"] else "does not hold"))
        held = [row["rate"] for row in rows if row["holds"]]
        lines.append(f"  {name:10} holds {max(held, default=0):,} readings a second")
    return "\n".join(lines)
