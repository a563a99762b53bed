"""Brokers for demos and tests: real ones as child processes on loopback, each of which can be killed and paused."""

import importlib.util
import itertools
import json
import os
import pwd
import random
import shutil
import signal
import socket
import sys
import tempfile
import time

from tools import children, errors

HOST = "127.0.0.1"
ENGINES = ("mosquitto", "iotcore", "amqtt")

# Below those that Linux gives to outgoing connections: one of these could take the port of a broker that is down for a
# moment. In turn, so that no two brokers of one process meet either.
_PORTS = range(20_000, 32_768)
_turns = itertools.count(random.randrange(len(_PORTS)))
_START_LIMIT_S = 20  # amqtt imports for seconds on a busy machine
_POLL_S = 0.02
_PROBE_LIMIT_S = 2  # one answer over loopback; a broker that is still starting may accept and say nothing
_SETTINGS = "settings.toml"  # iotcore wants this ending, the others take any
_LOG_TAIL = 600  # characters of a failed broker's last words: enough for its reason

# CONNECT of MQTT 3.1.1 (client id "mote-probe", clean session, keepalive 10 s), the answer that accepts, DISCONNECT.
_CONNECT = b"\x10\x16\x00\x04MQTT\x04\x02\x00\x0a\x00\x0amote-probe"
_ACCEPTED = b"\x20\x02\x00\x00"
_CONNECT_5 = b"\x10\x17\x00\x04MQTT\x05\x02\x00\x0a\x00\x00\x0amote-probe"  # the same of MQTT 5, no properties
_CONNACK = b"\x20"
_DISCONNECT = b"\xe0\x00"
_UPGRADE = (
    b"GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: bW90ZS1wcm9iZS1icm9rZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
)
_UPGRADED = b"HTTP/1.1 101"

# It drops root for a user of its own, and the kernel then forgets that it is to die with us: hence `user`.
# Without `socket_domain` its WebSocket listener ignores the address and serves every network (seen with 2.0.11).
_MOSQUITTO = """
user {user}
allow_anonymous true
persistence false
set_tcp_nodelay {tcp_nodelay}
max_inflight_messages 100
max_queued_messages 100000
listener {port} {host}
listener {ws_port} {host}
protocol websockets
socket_domain ipv4
"""
_MOSQUITTO_TLS = """
listener {port} {host}
certfile {certificate}
keyfile {key}
"""

_IOTCORE = """
id = 0

[router]
id = 0
max_connections = 10010
max_outgoing_packet_count = 200
max_segment_size = 104857600
max_segment_count = 10
{listeners}"""
_IOTCORE_LISTENER = """
[{kind}.1]
name = "{kind}-1"
listen = "{host}:{port}"
next_connection_delay_ms = 1
[{kind}.1.connections]
connection_timeout_ms = 60000
max_payload_size = 262144
max_inflight_count = 100
dynamic_filters = true
"""

_AMQTT_PROGRAM = """
import asyncio, json, sys
from amqtt.broker import Broker

async def serve():
    broker = Broker(json.load(open(sys.argv[1])))
    await broker.start()
    await asyncio.Event().wait()

asyncio.run(serve())
"""


def mosquitto_path():
    """The mosquitto program, None when it is not installed (Debian keeps it outside an ordinary user's PATH)."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


def available(engine):
    """Whether this machine can run the engine."""
    if engine == "mosquitto":
        return mosquitto_path() is not None
    return importlib.util.find_spec(engine) is not None


def choose(engine=None):
    """The engine to use: the one asked for, else Mosquitto, else iotcore. Raises UserError when there is none."""
    for name in (engine,) if engine else ("mosquitto", "iotcore"):
        if available(name):
            return name
    raise errors.UserError(
        f"no {engine or 'broker'} on this machine: install Mosquitto (such as `apt-get install mosquitto`), "
        "or run `make setup`, which brings the embedded one", errors.UNREACHABLE)


def free_ports(count):
    """So many different TCP ports of loopback that nothing listens on at this moment; never one of them again."""
    ports = []
    for number in itertools.islice(_turns, len(_PORTS)):
        try:
            socket.create_server((HOST, _PORTS[number % len(_PORTS)])).close()
        except OSError:
            continue
        ports.append(_PORTS[number % len(_PORTS)])
        if len(ports) == count:
            return ports
    raise errors.UserError(f"no {count} free ports from {_PORTS[0]} to {_PORTS[-1]}")


class Broker:
    """A broker on loopback, over TCP and WebSocket; a port 0 becomes a free one, and stays the same over restarts.

    Use as a context manager, or start() and stop(). After kill() or stop(), start() brings a new, empty broker.
    `host` is for an address of a network namespace. Without `tcp_nodelay` Mosquitto is as its packages configure it.
    With `tls`, its certificate and key files, Mosquitto speaks TLS at `tls_port`.
    """

    def __init__(self, engine=None, port=0, ws_port=0, host=HOST, tcp_nodelay=True, tls=None):
        self.engine = engine
        self.host = host
        self.port = port
        self.ws_port = ws_port
        self.v5_port = 0  # where it speaks MQTT 5: at `port`, but for iotcore, which has a port for each version
        self.tls_port = 0
        self._tcp_nodelay = tcp_nodelay
        self._tls = tls
        self._folder = None
        self._process = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    @property
    def pid(self):
        """Process id of the broker itself."""
        return self._process.pid

    def start(self):
        """Start the process; returns self once it answers an MQTT CONNECT and a WebSocket handshake.

        Raises UserError when there is no such broker, a port is taken, or it does not come up.
        """
        self.engine = choose(self.engine)
        spare = free_ports(4)
        self.port = self.port or spare[0]
        self.ws_port = self.ws_port or spare[1]
        self.v5_port = self.port if self.engine != "iotcore" else self.v5_port or spare[2]
        self.tls_port = (self.tls_port or spare[3]) if self._tls else 0
        for port in {self.port, self.ws_port, self.v5_port, self.tls_port or self.port}:
            _require_free(self.host, port)
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="mote-broker-")
        with open(self._path("log"), "wb") as log:
            self._process = children.start(self._command(), stdout=log, stderr=log, cwd=self._folder.name)
        try:
            self._wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self):
        """SIGTERM, then SIGKILL; returns when the process and its files have gone."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)  # a paused one would not see the other signal
            children.stop(self._process)
            self._process = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def kill(self):
        """SIGKILL; returns when the process has gone."""
        self._process.kill()
        self._process.wait()

    def pause(self):
        """SIGSTOP: the kernel goes on accepting connections and bytes, the broker answers nothing."""
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)  # every thread has stopped

    def resume(self):
        """SIGCONT."""
        self._process.send_signal(signal.SIGCONT)

    def wait(self):
        """Wait until the process ends by itself; returns its last words."""
        self._process.wait()
        return self._last_words()

    def _wait_ready(self):
        deadline = time.monotonic() + _START_LIMIT_S
        doors = [(self.port, _CONNECT, _ACCEPTED), (self.ws_port, _UPGRADE, _UPGRADED)]
        if self.v5_port != self.port:
            doors.append((self.v5_port, _CONNECT_5, _CONNACK))
        for port, question, answer in doors:
            while not _answers(self.host, port, question, answer):
                if self._process.poll() is not None:
                    raise errors.UserError(f"{self.engine} ended at once: {self._last_words()}", errors.UNREACHABLE)
                if time.monotonic() > deadline:
                    raise errors.UserError(
                        f"{self.engine} did not answer on port {port} within {_START_LIMIT_S} s: {self._last_words()}",
                        errors.UNREACHABLE)
                time.sleep(_POLL_S)

    def _path(self, name):
        return os.path.join(self._folder.name, name)

    def _last_words(self):
        with open(self._path("log"), errors="replace") as log:
            return log.read()[-_LOG_TAIL:].strip() or "it said nothing"

    def _command(self):
        text, command = getattr(self, "_" + self.engine)()
        with open(self._path(_SETTINGS), "w") as file:
            file.write(text)
        return command + [self._path(_SETTINGS)]

    def _mosquitto(self):
        text = _MOSQUITTO.format(
            user=pwd.getpwuid(os.geteuid()).pw_name, host=self.host, port=self.port, ws_port=self.ws_port,
            tcp_nodelay=str(self._tcp_nodelay).lower())
        if self._tls:
            text += _MOSQUITTO_TLS.format(
                port=self.tls_port, host=self.host, certificate=self._tls[0], key=self._tls[1])
        return text, [mosquitto_path(), "-c"]

    def _iotcore(self):
        listeners = [
            _IOTCORE_LISTENER.format(kind=kind, host=self.host, port=port)
            for kind, port in (("v4", self.port), ("v5", self.v5_port), ("ws", self.ws_port))]
        return _IOTCORE.format(listeners="".join(listeners)), [
            sys.executable, "-m", "iotcore", "--log-level", "CRITICAL", "--config"]

    def _amqtt(self):
        text = json.dumps({
            "listeners": {"default": {"type": "tcp", "bind": f"{self.host}:{self.port}"},
                          "ws": {"type": "ws", "bind": f"{self.host}:{self.ws_port}"}},
            "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}})
        return text, [sys.executable, "-c", _AMQTT_PROGRAM]


def _require_free(host, port):
    try:
        socket.create_server((host, port)).close()
    except OSError as error:
        raise errors.UserError(
            f"port {port} cannot be used ({error.strerror}): another broker? 0 picks a free one") from None


def _answers(host, port, question, answer):
    """Whether what listens there gives this answer."""
    try:
        with socket.create_connection((host, port), timeout=_PROBE_LIMIT_S) as probe:
            probe.sendall(question)
            got = b""
            while len(got) < len(answer):
                piece = probe.recv(1024)
                if not piece:
                    return False
                got += piece
            probe.sendall(_DISCONNECT)
            return got.startswith(answer)
    except OSError:
        return False
