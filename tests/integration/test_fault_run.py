"""Faults in random order, and the truth beside: nothing is lost that was neither counted nor within the reported tail.

A node on real MicroPython, many times faster than time, sends through the proxy to a real Mosquitto. Its sensors give a
different value for each reading and write each down before they give it. `MOTE_SEED=N` repeats an order of faults.
"""

import os
import random
import struct
import time

import pytest
from segments import Segments

from tools import accounting

from . import audit
from .proxy import DOWN
from .traced_node import TracedNode

FACTOR = 20
SENSORS = 5  # each one reading a second of the node's: a hundred a second of ours
LAST_MOMENTS_S = 0.3
GIVES_UP_S = 14  # keepalive 5 s and the client's own deadline for an answer, 8 s
ONLINE_LIMIT_S = 30
DRAIN_LIMIT_S = 240
RESTART_LIMIT_S = 3  # a clean leave of a node that is many times faster than time
MEASURE_LIMIT_S = 60  # five seconds of readings, and a node that may have to start first
MOST_REPEATS = 8 * 8 + 8 + 16  # for each connection that broke: a window of batches, and live ones

SHORT = {"faults": 10, "readings": 2_000}
FULL = {"faults": 200, "readings": 100_000}


class Run:
    """The faults of one run; each method is one, and leaves everything healed but perhaps the node's connection."""

    def __init__(self, world, node, chance):
        self.world = world
        self.node = node
        self.chance = chance
        self.counts = {}

    def broker_killed(self):
        # An acknowledgement that reaches the node must mean that the auditor has the reading, and a broker that is
        # killed may take with it what it had for the auditor: so none of its last moments gets through.
        subscribed = self.world.auditor.subscriptions
        self.world.proxy.close_gate()
        self.world.proxy.freeze(DOWN)
        time.sleep(LAST_MOMENTS_S)
        self.world.broker.kill()
        self.world.proxy.reset()
        self.world.proxy.heal()
        time.sleep(self.chance.uniform(0, 1))
        self.world.broker.start()
        self.world.auditor.wait_subscribed(subscribed + 1)
        self.world.proxy.open_gate()

    def broker_stopped(self):
        self.world.broker.pause()
        time.sleep(self.chance.choice((0.2, 1, 3)))
        self.world.broker.resume()

    def half_open(self):
        began = time.monotonic()
        self.world.proxy.blackhole()
        time.sleep(self.chance.choice((0.5, 2, GIVES_UP_S)))
        self.world.proxy.heal()
        if time.monotonic() - began < GIVES_UP_S:
            self.world.proxy.reset()  # bytes are missing in the stream: no network does that and goes on

    def rst(self):
        self.world.proxy.reset()

    def drip(self):
        self.world.proxy.drip(1, *self.chance.choice(((), (DOWN,))))
        time.sleep(self.chance.choice((1, 4)))
        self.world.proxy.heal()
        self.world.proxy.reset()

    def node_killed(self):
        self.node.kill()
        time.sleep(self.chance.uniform(0, 0.5))
        self.node.start()
        if self.chance.random() < 0.3:  # before it is online again
            time.sleep(self.chance.uniform(0, 1))
            self.node.kill()
            self.node.start()

    def node_stopped(self):
        self.node.pause()
        time.sleep(self.chance.choice((0.5, 2)))
        self.node.resume()

    def node_told_to_restart(self):
        """One that is not online does not hear it, and goes on."""
        self.world.auditor.publish(self.node.topic("command/restart"), "")
        deadline = time.monotonic() + RESTART_LIMIT_S
        while not self.node.ended() and time.monotonic() < deadline:
            time.sleep(0.05)
        if self.node.ended():  # else nobody would, where enough is measured already
            self.node.start()

    def away(self):
        """Long enough for the node's RAM to fill, many times over."""
        self.world.proxy.close_gate()
        self.world.proxy.reset()
        time.sleep(self.chance.choice((1, 3)))
        if self.chance.random() < 0.5:
            self.node.kill()
            self.node.start()
            time.sleep(1)
        self.world.proxy.open_gate()

    def fault(self):
        """One of them."""
        kind = self.chance.choice((self.broker_killed, self.broker_stopped, self.half_open, self.rst, self.drip,
                                   self.node_killed, self.node_stopped, self.node_told_to_restart, self.away))
        self.counts[kind.__name__] = self.counts.get(kind.__name__, 0) + 1
        kind()

    def wait_measured(self, count):
        """Wait until the sensors have measured so many; a node that a command ended starts anew, as a board does."""
        deadline = time.monotonic() + MEASURE_LIMIT_S
        while self.node.trace() < count:
            if self.node.ended():
                self.node.start()
            assert time.monotonic() < deadline, f"{self.node.trace()} of {count} readings; faults so far: {self.counts}"
            time.sleep(0.05)

    def wait_idle(self):
        """Wait until the node has nothing left to send."""
        def idle():
            found = audit.diagnostics(self.world.auditor.since(since, self.node.topic("diagnostics")), self.node.id)
            return found and found[-1][1]["inherited"]["queued"] == 0 and found[-1][1]["queued"] <= SENSORS

        since = time.monotonic()
        self.world.auditor.wait(idle, DRAIN_LIMIT_S, "empty outbox")


def arrived(messages, node_id):
    """value -> (boot, seq) of every reading that came, and how many came more than once."""
    found, twice = {}, 0
    for _, _, reading in audit.readings(messages, node_id):
        value = round(reading["voltage"] * 1000)
        name = reading["boot"], reading["seq"]
        assert found.get(value, name) == name, f"value {value} as {found[value]} and as {name}"
        twice += value in found
        found[value] = name
    return found, twice


def on_flash(node, found):
    """Those that are still on the node's flash, after its clean end, as `arrived` gives them."""
    first = {boot: value - seq for value, (boot, seq) in found.items()}
    waiting, segments = {}, Segments(node.state)
    for number in segments.numbers:
        segment = segments.read(number, 0, 1_000_000)
        for record in segment.records:
            seq = struct.unpack(">I", record[:4])[0]
            waiting[first[segment.tag] + seq] = segment.tag, seq
    return waiting


def told_of_boots(messages, node_id):
    """boot -> (last safe seq, most that the power took, dropped), as `info` tells in the end."""
    known = {}
    for message in messages:
        if message.topic == f"mote/{node_id}/info" and message.payload:
            for boot, *rest in audit.strict(message.payload)["past"]:
                known[boot] = rest
    return known


def losses(truth, found, known):
    """(values lost of which info says that they were safe, values lost behind that) by boot; the truth is in order."""
    first = {}  # boot -> value of its seq 0
    for value, (boot, seq) in found.items():
        assert first.setdefault(boot, value - seq) == value - seq, f"boot {boot}: seq {seq} is not the reading {value}"
    safe, behind = {}, {}
    boots = sorted(first, key=first.get)
    for value in truth:
        if value in found:
            continue
        boot = ([None] + [boot for boot in boots if first[boot] < value])[-1]
        last_seq = known.get(boot, (0, 0, 0))[0]
        kind = safe if boot is not None and value - first[boot] <= last_seq else behind
        kind.setdefault(boot, []).append(value)
    return safe, behind


def run(world, faults, readings):
    seed = int(os.environ.get("MOTE_SEED", random.randrange(2**32)))
    print(f"fault run: MOTE_SEED={seed}", flush=True)
    world.say(f"MOTE_SEED={seed}")
    node = world.adopt(TracedNode(world.folder, world.configuration(
        world.proxy.port, outbox={"ram_readings": 32, "spill_after_s": 20, "flash_bytes": 4_194_304},
        telemetry={"interval_s": 1, "diagnostics_s": 20}, homeassistant={"discovery": False},
        sensors={"air": None, **{f"s{pin}": {"driver": "analog", "kind": "voltage", "pin": pin, "divider": 1000}
                                 for pin in range(SENSORS)}}), FACTOR))
    it = Run(world, node, random.Random(seed))
    node.start()
    world.auditor.wait_message(node.topic("telemetry/s0"), ONLINE_LIMIT_S)
    began = time.monotonic()
    for number in range(faults):
        it.fault()
        it.wait_measured(readings * (number + 1) / faults)
    it.wait_idle()
    assert node.terminate() == 0
    node.start()  # whose info tells of the clean end
    world.auditor.wait_message(node.topic("info"), ONLINE_LIMIT_S, time.monotonic())
    it.wait_idle()
    leaving = time.monotonic()
    assert node.terminate() == 0
    # Its goodbye comes after all that it has said: then the auditor, too, has all of it.
    world.auditor.wait_message(node.topic("status"), ONLINE_LIMIT_S, leaving, lambda one: one.payload == b"offline")
    judge(world, node, it, time.monotonic() - began)


def judge(world, node, it, took_s):
    messages, truth = world.auditor.messages, node.truth()
    found, twice = arrived(messages, node.id)
    known = told_of_boots(messages, node.id)
    waiting = on_flash(node, found)
    safe, behind = losses(truth, {**found, **waiting}, known)
    lost = sum(len(values) for values in (*safe.values(), *behind.values()))
    connections = len(world.proxy.attempts)
    world.say(f"{len(truth)} readings, {sum(it.counts.values())} faults {it.counts}, {node.lives} starts, "
              f"{connections} connections, {took_s:.0f} s: {len(found)} arrived, {twice} of them twice, {lost} went "
              f"with the RAM of {len(behind)} boots")
    assert set(found) <= set(truth)
    dropped = {boot: entry[2] for boot, entry in known.items()}
    unsafe = {boot: values for boot, values in safe.items() if len(values) > dropped.get(boot, 0)}
    assert not unsafe, f"lost, and neither counted nor in the tail: {unsafe}"
    most = max(entry[1] for entry in known.values() if entry[1] is not None)
    for boot, values in behind.items():
        # A boot of which nothing came is counted with the one before.
        starts = 1 + sum(entry[0] == 0 for entry in known.values())
        assert len(values) <= most * starts, f"more lost of boot {boot} than its tail of {most}: {values}"
    assert twice <= MOST_REPEATS * connections
    assert truth[-1] in found or truth[-1] in waiting, "the last one before a clean end"
    ledger = accounting.Accounting()
    for message in messages:
        ledger.enter("mote", message, message.t - messages[0].t)
    report = ledger.report()
    assert report["ok"], report


@pytest.mark.parametrize("interpreter", ["micropython"], indirect=True)
@pytest.mark.parametrize("engine", ["mosquitto"], indirect=True)
def test_ten_faults_lose_nothing_unseen(world):
    run(world, **SHORT)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("interpreter", ["micropython"], indirect=True)
@pytest.mark.parametrize("engine", ["mosquitto"], indirect=True)
def test_two_hundred_faults_lose_nothing_unseen(world):
    run(world, **FULL)
