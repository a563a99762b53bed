"""A reconnect storm: thousands of nodes lose their broker at once. The real link and its backoff, in virtual time.

Each node is firmware/link.py on a board that has nothing but a clock, chance and a network; what it says and measures
is left out, so that ten thousand fit into two minutes.
"""

import asyncio
from collections import Counter

from backoff import delay_ms
from firmware import link as module
from tools.sim.broker import Broker
from tools.sim.hardware import Board, Hardware
from tools.sim.place import Place
from tools.sim.radio import AccessPoint
from tools.sim.undisturbed import undisturbed
from uptime import Uptime

SETTLED_S = 30  # before the outage: everybody is online
SHARE = 0.95  # of the nodes, which have to be back
_LIMIT_S = 3_600
HOME = {"reconnect_window_s": 5, "reconnect_cap_s": 60}
FLEET = {"reconnect_window_s": 60, "reconnect_cap_s": 300}


def no_jitter(attempt, window_s, cap_s, random):
    """What the backoff would be without chance."""
    return delay_ms(attempt, window_s, cap_s, 1)


class Nothing:
    """Stands for the outbox: there are no readings."""

    def __init__(self):
        self.waiting = asyncio.Event()

    def begin(self):
        """No readings become live."""

    def end(self, tokens):
        """None comes back."""

    def acknowledge(self, token):
        """None was sent."""

    def take_live(self):
        return None

    def take_batch(self):
        return None, []


class Dialect:
    """The least that a node says: who it is."""

    def __init__(self, node_id):
        self.node_id = node_id
        self.subscriptions = [(f"mote/{node_id}/command/+", 1)]

    def status(self, word):
        return f"mote/{self.node_id}/status", word, True, 1


class Storm:
    """`nodes` with these keys of `mqtt`; the broker is away for `down_s`. `delay`: the backoff, to be another one."""

    def __init__(self, seed, nodes, mqtt, down_s, delay=delay_ms):
        self.place = Place(seed)
        self.loop = self.place.loop
        self.attempts = Counter()  # second since the outage began -> connections that were tried
        self.back_s = []  # when each node was back, since the broker was
        self.nodes = nodes
        self._mqtt = mqtt
        self._down_s = down_s
        self._delay = delay
        self._broker = None
        self._lost_us = self._up_us = None

    def go(self):
        """Run it; returns {"peak_per_s", "back_95_s", "attempts_per_node"}."""
        before, module.delay_ms = module.delay_ms, self._delay
        try:
            with undisturbed():
                self.loop.run(self._main())
        finally:
            module.delay_ms = before
        enough = len(self.back_s) >= SHARE * self.nodes
        return {"peak_per_s": max(self.attempts.values()), "back_95_s": round(self.back_s[-1], 1) if enough else None,
                "attempts_per_node": round(sum(self.attempts.values()) / self.nodes, 1)}

    def curve(self):
        """[attempts in each second since the outage began]."""
        return [self.attempts[second] for second in range(max(self.attempts) + 1)]

    async def _main(self):
        self._broker = Broker(self.place.network, watcher=self)
        self.place.network.attempted = self._attempted
        links = [self._link(number) for number in range(self.nodes)]
        tasks = [self.loop.create_task(link.run()) for link in links]
        await asyncio.sleep(SETTLED_S)
        assert len(self._broker.sessions) == self.nodes, "not everybody was online before"
        self._lost_us = self.loop.now_us
        self._broker.stop()
        await asyncio.sleep(self._down_s)
        self._up_us = self.loop.now_us
        self._broker.start()
        for _ in range(_LIMIT_S):
            await asyncio.sleep(1)
            if len(self.back_s) >= SHARE * self.nodes:
                break
        self._lost_us = None
        for task in tasks:
            task.cancel()

    def _link(self, number):
        name = f"s{number:05d}"
        hardware = Hardware(self.place, name, number, [AccessPoint("home", None)], b"{}")
        hardware.path.latency_us = 2_000 + number % 40 * 1_000
        board = Near(hardware)
        link = module.Link(board, Uptime(board), Nothing(), _hear, tuple)
        mqtt = {"host": "broker", "port": 1883, "tls": None, "path": None, "user": None, "password": None,
                "keepalive_s": 3_600, "version": 4, "base": "mote", **self._mqtt}
        link.build({"wifi": {"home": {"password": None}}, "mqtt": mqtt, "telemetry": {"qos": 1},
                    "time": {"servers": ["time-a"]}}, Dialect(name))
        return link

    def _attempted(self, path):
        if self._lost_us is not None:
            self.attempts[(self.loop.now_us - self._lost_us) // 1_000_000] += 1

    # What the broker tells

    def violation(self, client, text):
        raise AssertionError(f"{client}: {text}")

    def opened(self, session):
        if self._up_us is not None:
            self.back_s.append((self.loop.now_us - self._up_us) / 1e6)

    def closed(self, session, why):
        """They all were, at once."""

    def published(self, session, topic, payload, qos, retain):
        """Only who they are."""


class Near(Board):
    """A board that is always in reach of its network, and does not ask for the time."""

    def joined(self):
        return True

    async def sync_time(self, servers):
        """There is nothing to date."""


def _hear(topic, payload, retained):
    """Nobody speaks to them."""
