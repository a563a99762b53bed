"""Many shipped nodes in one process, in real time, against a real broker: what `mote fleet` starts, once per process.

`python -m tools.sim.fleet OPTIONS` (JSON: first, count, interval_s, spread_s, host, port, user, base, qos) says
`running`, runs until SIGTERM, then lets every node leave, and prints a line of JSON: what each of them counted. The
broker's password is in MOTE_PASSWORD.
"""

import asyncio
import gc
import json
import os
import resource
import signal
import sys
import time

from firmware.node import Node
from lending import load
from tools.host.cpython_world import HostBoard
from tools.sim import probe
from tools.sim.bus import Buses
from tools.sim.flash import Flash, Shelf
from tools.sim.world import World

_GRACE_S = 20  # for the goodbyes of everybody
_COLLECT_AT = 20_000


class FleetBoard(HostBoard):
    """A host board with its flash in memory and its configuration at hand."""

    def __init__(self, shelf, store, name, number, document):
        world = World(number, time.time)
        super().__init__({
            "config": "", "state": "/" + name, "mac": "02:00:00:" + number.to_bytes(3, "big").hex(":"),
            "model": "a fleet's", "chips": "simulated", "buses": Buses(document["sensors"], world.sensor)})
        shelf.flashes.setdefault(name, Flash())
        self.files = store("/" + name)
        self._document = json.dumps(document).encode()

    def read_config(self):
        return self._document

    def log(self, text):
        """A thousand nodes have too much to say."""


def configuration(number, options):
    """config.json of one node of the fleet."""
    return {
        "schema": 1,
        "node": {"id": f"f{number:05d}", "name": f"Fleet {number}", "groups": ["fleet"]},
        "mqtt": {"host": options["host"], "port": options["port"], "user": options["user"], "base": options["base"],
                 "password": os.environ.get("MOTE_PASSWORD") if options["user"] else None},
        "telemetry": {"interval_s": options["interval_s"], "qos": options["qos"]},
        "sensors": {"air": {"driver": "sht4x"}},
        "homeassistant": {"discovery": False},
    }


class Worker:
    """The nodes of one process."""

    def __init__(self, options):
        self._options = options
        self._shelf = Shelf()
        self._store = self._shelf.bound("store").Store
        self._bound = {name: self._shelf.bound(name) for name in ("segments", "segments_writer")}
        self._nodes = {}
        self._leaving = asyncio.Event()

    async def run(self):
        """Run all until SIGTERM; returns {node: its counters}."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._leave)
        first, count = self._options["first"], self._options["count"]
        lives = [asyncio.create_task(self._live(number, index * self._options["spread_s"] / count))
                 for index, number in enumerate(range(first, first + count))]
        print("running", flush=True)
        await self._leaving.wait()
        await asyncio.wait(lives, timeout=_GRACE_S)
        for life in lives:
            if life.done() and life.exception():
                raise life.exception()
        told = {}
        for name, node in self._nodes.items():
            counters = probe.counters(node)
            told[name] = [counters["produced"], counters["acknowledged"], counters["queued"],
                          sum(counters["dropped"].values())]
        return told

    def _leave(self):
        self._leaving.set()
        for node in self._nodes.values():
            node.stop()

    async def _live(self, number, wait_s):
        """One node, from its turn on: all at once would measure a storm."""
        await asyncio.wait([asyncio.create_task(self._leaving.wait())], timeout=wait_s)
        document = configuration(number, self._options)
        name = document["node"]["id"]
        while not self._leaving.is_set():
            board = FleetBoard(self._shelf, self._store, name, number, document)
            node = self._nodes[name] = Node(board, self._fetch)
            await node.run()

    def _fetch(self, name):
        return self._bound.get(name) or load(name)


def main():
    options = json.loads(sys.argv[1])
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # Nodes collect before they load code; of a thousand on CPython each time would take a second.
    gc.collect = lambda *generation: 0
    gc.set_threshold(_COLLECT_AT, 10, 10)
    print(json.dumps(asyncio.run(Worker(options).run())), flush=True)


if __name__ == "__main__":
    main()
