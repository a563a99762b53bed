"""Brokers as processes of our own, so that a test may kill, stop and continue each by its pid."""

import os
import shutil
import signal
import socket
import sys
import time

from tools import brokers

from . import processes

START_LIMIT_S = 20  # amqtt imports for seconds on a busy machine
END_LIMIT_S = 5
LOOPBACK = "127.0.0.1"

MOSQUITTO_CONFIG = """listener {port} 127.0.0.1
allow_anonymous true
persistence false
"""

IOTCORE_PROGRAM = """
import logging, sys
logging.getLogger("rumqttd").setLevel(logging.CRITICAL)
from iotcore.iotcore import IotCoreBroker
IotCoreBroker(listen="127.0.0.1", port=int(sys.argv[1]), max_payload_size=300000).run_forever()
"""

AMQTT_PROGRAM = """
import asyncio, sys
from amqtt.broker import Broker

async def serve():
    broker = Broker({
        "listeners": {"default": {"type": "tcp", "bind": "127.0.0.1:" + sys.argv[1]}},
        "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
    })
    await broker.start()
    await asyncio.Event().wait()

asyncio.run(serve())
"""


def free_port():
    """A TCP port of loopback that nothing listens on at this moment."""
    return brokers.free_ports(1)[0]


def mosquitto_path():
    """The mosquitto program, None when it is not installed (Debian keeps it outside a user's PATH)."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


class Broker:
    """One broker of `engine` ("mosquitto", "iotcore", "amqtt") on `port`, whatever becomes of its process."""

    def __init__(self, engine, folder):
        self.engine = engine
        self.port = free_port()
        self.more = ""  # lines for Mosquitto's configuration, obeyed from the next start on
        self._folder = folder
        self._process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.kill()

    def start(self):
        """Start the process and wait until it accepts connections."""
        self._process = processes.start(self._command(), os.path.join(self._folder, f"{self.engine}.log"))
        deadline = time.monotonic() + START_LIMIT_S
        while not self._accepts():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.engine} did not start on port {self.port}")
            time.sleep(0.05)

    def kill(self):
        """SIGKILL; returns when the process has gone."""
        self._process.kill()
        self._process.wait(END_LIMIT_S)

    def pause(self):
        """SIGSTOP: the kernel goes on accepting bytes and connections, the broker answers nothing."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self):
        """SIGCONT."""
        self._process.send_signal(signal.SIGCONT)

    def _command(self):
        if self.engine != "mosquitto":
            program = {"iotcore": IOTCORE_PROGRAM, "amqtt": AMQTT_PROGRAM}[self.engine]
            return [sys.executable, "-c", program, str(self.port)]
        path = os.path.join(self._folder, f"mosquitto-{self.port}.conf")
        with open(path, "w") as file:
            file.write(MOSQUITTO_CONFIG.format(port=self.port) + self.more)
        return [mosquitto_path(), "-c", path]

    def _accepts(self):
        try:
            with socket.create_connection((LOOPBACK, self.port), timeout=0.5):
                return True
        except OSError:
            return False
