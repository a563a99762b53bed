"""One node as a user starts it: `mote run` in a process of its own, with a flash folder that survives it."""

import json
import os
import signal
import sys
import time

from tools import ROOT

from . import processes

EXIT_LIMIT_S = 10  # a clean leave has deadlines of its own that are shorter
USER = "planted-user"
PASSWORD = "planted-secret-7f3a"  # in every configuration; the fixtures look for it wherever the node speaks

SENSORS = {
    "air": {"driver": "bme280", "bus": 0, "address": 118},
    "room": {"driver": "sht4x", "bus": 0, "address": 68},
    "light": {"driver": "bh1750", "bus": 0, "address": 35},
    "computer": {"driver": "host"},
}


def merged(base, patch):
    """`base` with the sections of `patch` laid over it; neither is changed."""
    result = dict(base)
    for key, value in patch.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        result[key] = merged(base[key], value) if both else value
    return result


def configuration(port, **sections):
    """A quick node with one sensor: readings and diagnostics each second, keepalive 5 s, back within a second."""
    return merged({
        "schema": 1,
        "node": {"id": "node-a", "name": "Test node", "area": "Bench", "groups": ["lab"]},
        "wifi": {"test-net": {"password": None}},
        "mqtt": {"host": "127.0.0.1", "port": port, "user": USER, "password": PASSWORD, "keepalive_s": 5,
                 "reconnect_window_s": 1, "reconnect_cap_s": 2},
        "telemetry": {"interval_s": 1, "qos": 1, "diagnostics_s": 1},
        "sensors": {"air": SENSORS["air"]},
    }, sections)


class Node:
    """`config` is what config.json holds; `folder` gets it, the flash and the log."""

    def __init__(self, folder, config, interpreter, *options):
        self.config = config
        self.id = config["node"]["id"]
        self.state = os.path.join(folder, f"{self.id}-flash")
        self._file = os.path.join(folder, f"{self.id}.json")
        self._log = os.path.join(folder, f"{self.id}.log")
        self._options = ["--interpreter", interpreter, *options]
        self._process = None
        self._wanted = False

    def start(self):
        """Start the process; returns at once."""
        self._wanted = True
        with open(self._file, "w") as file:
            json.dump(self.config, file)
        command = [sys.executable, "-m", "tools", "run", "--config", self._file, "--state", self.state, *self._options]
        self._process = processes.start(command, self._log, cwd=ROOT)
        return self

    def topic(self, name):
        """`name` below the node's own part of the topic tree."""
        return f"mote/{self.id}/{name}"

    def as_wanted(self):
        """Whether the process runs, or has ended because the test ended it."""
        return not self._wanted or self._process.poll() is None

    def terminate(self):
        """SIGTERM, the clean leave; returns the exit status."""
        self._wanted = False
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(EXIT_LIMIT_S)

    def kill(self):
        """SIGKILL; returns (monotonic) when it was sent."""
        self._wanted = False
        sent = time.monotonic()
        self._process.kill()
        self._process.wait(EXIT_LIMIT_S)
        return sent

    def pause(self):
        """SIGSTOP; returns (monotonic) when it was sent."""
        sent = time.monotonic()
        self._process.send_signal(signal.SIGSTOP)
        return sent

    def resume(self):
        """SIGCONT."""
        self._process.send_signal(signal.SIGCONT)

    def end(self):
        """Whatever state it is in, it ends."""
        if self._process.poll() is None:
            self.kill()

    def log(self):
        """All that it has printed so far."""
        with open(self._log, errors="replace") as file:
            return file.read()

    def flash(self):
        """Name -> bytes of every file on its flash."""
        files = {}
        for folder, _, names in os.walk(self.state):
            for name in names:
                path = os.path.join(folder, name)
                with open(path, "rb") as file:
                    files[os.path.relpath(path, self.state)] = file.read()
        return files
