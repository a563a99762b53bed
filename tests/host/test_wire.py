"""Drivers that reach simulated chips in another process, over a descriptor, on both Pythons."""

import json
import os
import socket
import subprocess
import sys
import threading

import pytest

from tools import ROOT, micropython
from tools.host.wire import Wire
from tools.sim import wire_server
from tools.sim.bus import Buses

CLIENT = os.path.join(ROOT, "tests", "host", "wire_client.py")
WORLD = {"temperature": -3.5, "humidity": 61.0, "pressure": 990.5, "illuminance": 480.0, "moisture": 25.0}
SENSORS = {
    "air": {"driver": "bme280", "bus": 0, "address": 0x77},
    "sht4x": {"driver": "sht4x"},
    "sht3x": {"driver": "sht3x", "address": 0x45},
    "light": {"driver": "bh1750", "bus": 1},
    "water": {"driver": "ds18b20", "pin": 4},
    "shed": {"driver": "dht22", "pin": 5},
    "soil": {"driver": "analog", "pin": 34, "kind": "soil"},
    "door": {"driver": "digital", "pin": 14, "kind": "contact"},
}
ABSENT = {
    "no_chip": {"driver": "bh1750", "bus": 0, "address": 0x5C},
    "no_input": {"driver": "analog", "pin": 35},
    "no_pin": {"driver": "digital", "pin": 15, "kind": "motion"},
    "no_wire": {"driver": "ds18b20", "pin": 16},
    "shaken": {"driver": "sht3x", "bus": 2},
}


both = pytest.mark.parametrize("command", [
    pytest.param([sys.executable], id="cpython"),
    pytest.param(micropython.command(heap="256k"), id="micropython", marks=pytest.mark.skipif(
        not micropython.available(), reason="no interpreter for this machine")),
])


@pytest.fixture
def door():
    """A door that somebody opens and shuts all the time: every other look finds it open."""
    looks = iter(range(10_000))
    return lambda: next(looks) % 2


@pytest.fixture
def buses(door):
    def world_for(name):
        return lambda quantity: door() if quantity == "open" else WORLD[quantity]

    found = Buses({**SENSORS, "shaken": ABSENT["shaken"]}, world_for)
    found.chips["shaken"].fault = "crc"
    return found


@pytest.fixture
def line(buses):
    """Our end of a wire that is being served, and the thread that serves it."""
    ours, theirs = socket.socketpair()
    server = threading.Thread(target=wire_server.serve, args=(buses, theirs), daemon=True)
    server.start()
    yield ours, server
    ours.close()
    server.join(5)
    assert not server.is_alive()


@both
def test_drivers_over_the_wire(command, line, buses):
    ours, _ = line
    done = subprocess.run(
        [*command, CLIENT, str(ours.fileno())], input=json.dumps({**SENSORS, **ABSENT}),
        pass_fds=[ours.fileno()], env={**micropython.environment("."), "PYTHONPATH": "."}, cwd=ROOT,
        capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr + done.stdout
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["air"] == pytest.approx([-3.5, 990.5, 61.0], abs=0.03)
    assert found["sht4x"] == pytest.approx([-3.5, 61.0], abs=0.003)
    assert found["sht3x"] == pytest.approx([-3.5, 61.0], abs=0.003)
    assert found["light"] == pytest.approx([480], abs=0.5)
    assert found["water"] == [-3.5]
    assert found["shed"] == [-3.5, 61.0]
    assert found["soil"] == pytest.approx([25.0], abs=0.01)
    assert found["door"] in ([0], [1])
    for name in ("no_chip", "no_input", "no_pin", "no_wire"):
        assert found[name] == ["OSError", 19], name
    assert found["shaken"][0] == "ValueError"
    assert found["edges"] in ([1, 0] * 3, [0, 1] * 3)
    assert found["scan"] == [0x44, 0x45, 0x77]
    assert found["roms"] == [chip.rom.hex() for chip in [buses.chips["water"]]]
    assert buses.output_pin(2).level == 1


def test_a_node_that_ends_ends_the_service(line):
    ours, server = line
    ours.close()
    server.join(5)
    assert not server.is_alive()


def test_a_service_that_ends_is_an_oserror_before_and_after_a_request():
    ours, theirs = socket.socketpair()
    with ours:
        wire = Wire(os.dup(ours.fileno()))

        def serve_half():
            theirs.recv(6)
            theirs.close()

        server = threading.Thread(target=serve_half)
        server.start()
        for _ in range(2):
            with pytest.raises(OSError):
                wire.i2c(0).scan()
        server.join(5)


def test_an_error_without_a_number_still_crosses():
    for error, number in ((OSError(19), 19), (OSError("no bus"), 5), (OSError(), 5), (OSError(70000), 5)):
        assert wire_server.error_number(error) == number


def test_an_unknown_letter_ends_the_service(buses):
    with pytest.raises(ValueError):
        wire_server.Desk(buses).answer(b"?\0\0\0\0\0", b"")


def test_a_node_killed_with_a_reply_unread_ends_the_server_in_peace(buses):
    ours, theirs = socket.socketpair()
    theirs.sendall(b"s\0\0\0\0\0")
    server = threading.Thread(target=wire_server.serve, args=(buses, ours))
    errors = []
    threading.excepthook, before = errors.append, threading.excepthook
    try:
        server.start()
        theirs.recv(1, socket.MSG_PEEK)  # the reply is there, and closing now resets the line
        theirs.close()
        server.join(5)
    finally:
        threading.excepthook = before
    assert not server.is_alive() and errors == []
