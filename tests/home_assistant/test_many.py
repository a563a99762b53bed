"""Many nodes at once: their own documents, from the node's code, without the nodes."""

import time

from firmware.dialects.mote import Dialect
from lending import load
from tests.device.stage import Files

from .houses import LOOK_S

NODES = 200
LIMIT_S = 60
QUANTITIES = (("temperature", "m", "°C", 1, "temperature", -40, 85), ("humidity", "m", "%", 0, "humidity", 0, 100),
              ("pressure", "m", "hPa", 1, "atmospheric_pressure", 300, 1100))
SHOWN = 4  # sensors of a node that have a value: its quantities, and the reset cause
INTERVAL_S = 2
CONFIG = {
    "node": {"id": None, "name": None, "area": "Field", "groups": []}, "mqtt": {"base": "mote"},
    "homeassistant": {"discovery": True, "prefix": "homeassistant", "controls": True}, "power": {"mode": "always"}}


class Ghost:
    """What a node says, said by somebody else."""

    class Board:
        def __init__(self):
            self.files = Files()

        def address(self):
            return None

    def __init__(self, number, auditor):
        self.id = f"ghost-{number:03}"
        about = {"id": self.id, "firmware": "0.1.0", "board": "none", "mac": "02:00:00:00:00:00", "boot": number + 1,
                 "reset_cause": "power-on"}
        config = {**CONFIG, "node": {**CONFIG["node"], "name": f"Ghost {number}"}}
        self._dialect = Dialect(config, about, [("air", QUANTITIES, 60)])
        self._number = number
        self._auditor = auditor

    def topic(self, name):
        return f"mote/{self.id}/{name}"

    def announce(self):
        for topic, payload, retain, _ in self._dialect.birth(load, self.Board()):
            self._say(topic, payload, retain)

    def report(self):
        self._say(*self._dialect.live(("air", QUANTITIES, 1, int(time.time()), (20.5, 50, 1000 + self._number)), 1)[:3])

    def _say(self, topic, payload, retain):
        pieces = payload if isinstance(payload, str) else "".join(payload)
        self._auditor.publish(topic, pieces, retain=retain)

    def end(self):
        pass


def test_two_hundred_nodes_at_once(home):
    home.nodes = [Ghost(number, home.auditor) for number in range(NODES)]
    began = time.monotonic()
    for node in home.nodes:
        node.announce()
    print(f"{NODES} nodes announced within {time.monotonic() - began:.1f} s")
    due = 0
    while (count := home.house.ask("count")) < NODES * SHOWN:
        assert time.monotonic() - began < LIMIT_S, count
        if time.monotonic() >= due:  # what came before Home Assistant had subscribed it never heard
            due = time.monotonic() + INTERVAL_S
            for node in home.nodes:
                node.report()
        time.sleep(LOOK_S)
    print(f"all entities with their values after {time.monotonic() - began:.1f} s")
    entities = home.house.entities()
    for node in home.nodes:
        assert entities[f"{node.id}_air_pressure"]["state"] == f"{1000.0 + int(node.id[-3:])}"
    assert len({entity["entity_id"] for entity in entities.values()}) == len(entities)
