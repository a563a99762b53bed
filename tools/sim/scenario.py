"""What a run consists of: the nodes that a seed makes, each with a configuration of its own."""

import json
import random

from tools.sim.hardware import Hardware
from tools.sim.mote import Mote
from tools.sim.place import TIME_SERVERS
from tools.sim.radio import AccessPoint

SSID, PASSWORD = "attic", "correct horse 47"
KEY = "5ec2e7" * 10 + "beef"
SECRETS = (PASSWORD, KEY)
# Sensors, of which every node has one or two: all buses occur.
_CHOICES = (
    ("air", {"driver": "sht4x"}),
    ("room", {"driver": "bme280"}),
    ("water", {"driver": "ds18b20", "pin": 4}),
    ("yard", {"driver": "dht22", "pin": 5}),
    ("light", {"driver": "bh1750"}),
    ("soil", {"driver": "analog", "pin": 34, "kind": "soil"}),
    ("wall", {"driver": "sht3x", "address": 69}),
)


def configuration(rng, number, interval_s=60, varied=True):
    """config.json of node `number`. `varied`: sensors, QoS, key and periods by chance; else one SHT4x, and defaults."""
    chosen = [_CHOICES[0]]
    if varied:
        chosen = [_CHOICES[int(rng.random() * len(_CHOICES))] for _ in range(1 + int(rng.random() * 2))]
    document = {
        "schema": 1,
        "node": {"id": f"n{number:05d}", "name": f"Node {number}", "groups": [f"g{number % 3}"]},
        "wifi": {SSID: {"password": PASSWORD}},
        "mqtt": {"host": "broker"},
        "telemetry": {"interval_s": interval_s},
        "sensors": dict(chosen),
        "time": {"servers": list(TIME_SERVERS)},
    }
    if varied:
        document["telemetry"]["qos"] = 0 if rng.random() < 0.15 else 1
        document["outbox"] = {"ram_readings": 16 + int(rng.random() * 100)}
        document["mqtt"]["keepalive_s"] = (15, 30, 60, 120)[int(rng.random() * 4)]
        if rng.random() < 0.2:
            document["config"] = {"key": KEY}
    return document


def motes(place, watch, count, interval_s=60, varied=True):
    """The nodes of a run."""
    made = []
    for number in range(count):
        rng = random.Random(f"{place.seed}/node/{number}")
        document = configuration(rng, number, interval_s, varied)
        name = document["node"]["id"]
        points = [AccessPoint(SSID, PASSWORD, -40 - int(rng.random() * 45))]
        hardware = Hardware(place, name, number, points, json.dumps(document).encode())
        hardware.drift_ppm = int(rng.random() * 80) - 40  # a usual crystal and its temperature
        hardware.path.latency_us = 2_000 + int(rng.random() * 30_000)
        made.append(Mote(hardware, watch, document["sensors"], number))
    return made
