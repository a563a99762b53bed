"""A quick node on MicroPython whose sensors write down what they measured, so that nothing can get lost unseen."""

import json
import os
import socket
import struct
import subprocess
import sys

from tools import ROOT, build, micropython

from . import nodes

HERE = os.path.dirname(os.path.abspath(__file__))
ENTRY = "import sys\nsys.path.pop(0)\n"
HEAP = "384k"
EXIT_LIMIT_S = 20


class TracedNode(nodes.Node):
    """As nodes.Node, but `factor` times faster than time. Everything that its sensors measured is in `trace`."""

    def __init__(self, folder, config, factor):
        super().__init__(folder, config, "micropython")
        self._factor = factor
        self._trace = os.path.join(folder, f"{self.id}.trace")
        self.lives = 0

    def start(self):
        """Start the node, and its sensors anew."""
        self._wanted = True
        self.lives += 1
        os.makedirs(self.state, exist_ok=True)
        with open(self._file, "w") as file:
            json.dump(self.config, file)
        ours, theirs = socket.socketpair()
        with ours, theirs:
            with open(self._log, "ab") as log:
                command = [sys.executable, os.path.join(HERE, "trace_server.py"), str(theirs.fileno()), self._trace]
                subprocess.Popen(command, pass_fds=[theirs.fileno()], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
            options = {"config": self._file, "state": self.state, "mac": "02:00:00:00:00:01", "model": "test",
                       "chips": "simulated", "wire": ours.fileno()}
            with open(os.path.join(HERE, "quick_node.py")) as file:
                text = ENTRY + build.script(file.read())
            environment = {**micropython.environment(*build.path()), "MOTE_OPTIONS": json.dumps(options),
                           "MOTE_FACTOR": str(self._factor)}
            with open(self._log, "ab") as log:
                self._process = subprocess.Popen(
                    micropython.command("-c", text, heap=HEAP), cwd=ROOT, env=environment, pass_fds=[ours.fileno()],
                    stdin=subprocess.PIPE, stdout=log, stderr=log)
        return self

    def terminate(self):
        """Ask for the clean leave; returns the exit status."""
        self._wanted = False
        self._process.stdin.write(b"x")
        self._process.stdin.close()
        return self._process.wait(EXIT_LIMIT_S)

    def ended(self):
        """Whether it has ended by itself."""
        return self._process.poll() is not None

    def trace(self):
        """How many readings its sensors have taken so far."""
        return os.path.getsize(self._trace) // 4 if os.path.exists(self._trace) else 0

    def truth(self):
        """What its sensors have measured, in order."""
        with open(self._trace, "rb") as file:
            return [value for value, in struct.iter_unpack("<I", file.read())]
