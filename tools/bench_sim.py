"""`mote bench sim`: how fast the simulator goes, how much memory a node takes, on one core of this machine."""

import concurrent.futures
import multiprocessing
import time

from tools.sim.faults import KINDS
from tools.sim.run import DAY_S, Run, Setup

FLEET = Setup(seed=1, nodes=100, days=1 / 6, varied=False)
FEWER, MORE = 50, 250  # nodes; from the difference comes what one takes
YEAR = Setup(seed=1, nodes=1, days=20, faults=tuple(KINDS), varied=False)
_LOOK_S = 1_800  # when memory is looked at: everybody is online, and has measured thirty times


def measure(say):
    """The figures as a dict. Each measurement has a process of its own."""
    say("sim: 100 nodes for four hours")
    result = _apart(_rate, FLEET)
    say("sim: memory of a node")
    few, many = _apart(_memory_bytes, FEWER), _apart(_memory_bytes, MORE)
    say("sim: one node for twenty days with all faults")
    year = _apart(_rate, YEAR)
    return {
        "readings_per_s": round(result["readings"] / result["wall_s"]),
        "thousand_nodes_a_day_s": round(result["wall_s"] * 1_000 / FLEET.nodes / FLEET.days),
        "bytes_per_node": (many - few) // (MORE - FEWER),
        "node_year_with_faults_s": round(year["wall_s"] * 365 / YEAR.days),
        "ok": result["ok"] and year["ok"],
    }


def _apart(function, argument):
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, argument).result()


def _rate(setup):
    began = time.process_time()
    verdict = Run(setup).go()
    return {**verdict, "wall_s": time.process_time() - began}


def _memory_bytes(nodes):
    """Resident memory of this process while so many nodes are online."""
    seen = []
    run = Run(Setup(seed=1, nodes=nodes, days=_LOOK_S * 1.2 / DAY_S, varied=False))
    run.loop.at_us(_LOOK_S * 1_000_000, lambda: seen.append(_resident_bytes()))
    run.go()
    return seen[0]


def _resident_bytes():
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS:")) * 1024


def text(result):
    """The figures for people."""
    return "\n".join([
        "sim: on one core, in processor time; every invariant watched",
        f"  {result['readings_per_s']:,} readings a second through the whole stack (100 nodes, one a minute)",
        f"  {result['bytes_per_node'] / 1024:.0f} KB of resident memory a node, with its share of broker and watching",
        f"  1,000 nodes for a day, a reading a minute: {result['thousand_nodes_a_day_s'] / 60:.0f} minutes",
        f"  one node for a year, a reading a minute, all faults: {result['node_year_with_faults_s'] / 60:.0f} minutes",
    ] + ([] if result["ok"] else ["  with violations of an invariant: run `mote sim`"]))
