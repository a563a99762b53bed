"""What the recovery node tries, one attempt after the other, to be reached, with a broker that is not there."""

import json

from firmware import config, desired, rescue, starts
from lending import load
from minitest import equal
from stage import Board

BASE = {"wifi": {"home": {"password": None}}, "mqtt": {"host": "broker.test", "tls": {"ca": "ca.pem"}}}
OTHER = {"wifi": {"home": None, "roof": {"password": None}}, "mqtt": {"host": "other.test"}}
MINE = {"config": config, "desired": desired, "starts": starts}


class Over(Exception):
    """The board's reset."""


class Scene(Board):
    """A board on which waiting takes no time, with rescue on it; `run` returns the brokers that it tried."""

    reset_cause = "hard"

    def __init__(self, base=BASE):
        super().__init__(base)
        self.network = False
        self.tried = []

    async def sleep_ms(self, ms):
        self.now_ms += ms

    def reset(self):
        raise Over()

    def run(self, attempts):
        scene = self

        class Client:
            """umqtt's, whose broker never answers."""

            def __init__(self, name, host, *_, **__):
                scene.tried.append(host)

            def set_callback(self, callback):
                """Nothing will come."""

            def set_last_will(self, *_):
                """Nobody will tell."""

            def connect(self):
                if len(scene.tried) == attempts:
                    scene.now_ms += rescue.RETRY_MS
                raise OSError(113)

        Simple = type("Simple", (), {"MQTTClient": Client})
        node = rescue.Rescue(self, lambda name: MINE.get(name) or load(name), Simple)
        try:
            node.run()
        except Over:
            return self.tried


def test_both_configurations_are_tried_each_in_its_own_network():
    scene = Scene()
    starts.prove(scene, {})
    scene.files.save("config", json.dumps({"revision": 1, "patch": OTHER}).encode())
    equal(scene.run(4), ["broker.test", "other.test"] * 2)
    equal([list(networks) for networks in scene.joins], [["home"], ["roof"]] * 2)


def test_without_the_time_of_day_it_goes_on_with_what_the_board_guesses():
    scene = Scene()
    scene.unix_s, scene.sync_fails = None, OSError("no time server answers")
    equal(scene.run(2), ["broker.test"] * 2)
    equal(len(scene.syncs), 2, "it asks anew each time:")


def test_a_damaged_config_json_leads_to_the_copy_of_the_last_that_worked():
    for damaged in (b"", b'{"mqtt": {"ho', b'{"mqtt": {"host": 5}}'):
        scene = Scene()
        starts.prove(scene, {"node": {"name": "Attic"}})
        scene.config = damaged
        equal(scene.run(1), ["broker.test"], damaged)


def test_a_supply_that_came_and_went_costs_little_time():
    for cause, count, minutes in (("power-on", 9, 1.5), ("hard", 9, 15), ("watchdog", 9, 15), ("power-on", 1, 15)):
        scene = Scene()
        scene.reset_cause = cause
        scene.files.save("starts", b"%d" % count)
        scene.run(10_000)  # more than there is time for
        took = scene.now_ms / 60_000
        assert minutes <= took < minutes + 1, (cause, count, took)
        equal(starts.early(scene.files), starts.LIMIT - 1, "one more start for the node:")
