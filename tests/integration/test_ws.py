"""The node over WebSocket to real brokers, and to what stands in their place on a port of the web."""

import contextlib
import json
import pathlib
import ssl
import tempfile
import time

import pytest

from tests.host.certificates import Authority
from tools import brokers

from . import audit, servers
from .auditor import Auditor
from .relay import Relay

START_LIMIT_S = 30
BACK_LIMIT_S = 30
DRIP_LIMIT_S = 90  # a kilobyte takes a second and more
TRY_LIMIT_S = 45  # two attempts with a deadline of 15 s each, and the pauses between
ACK_DELAY_S = 0.05  # an acknowledgement that reaches the node must mean that the auditor has the reading
PATH = "/mqtt"
PAGE = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 26\r\n\r\n<html><body>Hello</body>\n"
OTHER = (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
         b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")

both_engines = pytest.mark.parametrize("engine", ["mosquitto", "iotcore"], indirect=True)


class Web:
    """A broker with a WebSocket, an auditor at its TCP port, and a relay before the WebSocket."""

    def __init__(self, world, broker, auditor, relay):
        self.world = world
        self.broker = broker
        self.auditor = auditor
        self.relay = relay

    def start_node(self, options=(), path=PATH, **sections):
        mqtt = {"path": path, **sections.pop("mqtt", {})}
        return self.world.start_node(self.relay.port, options, mqtt=mqtt, **sections)

    def wait_reading(self, node, since=0.0, limit_s=START_LIMIT_S):
        return self.auditor.wait_json(node.topic("telemetry/air"), limit_s, since)

    def kill_and_restart(self, down_s):
        """As in test_outages: nobody may publish while the auditor does not listen."""
        subscribed = self.auditor.subscriptions
        self.relay.open = False
        self.broker.kill()
        time.sleep(down_s)
        self.broker.start()
        self.auditor.wait_subscribed(subscribed + 1)
        self.relay.open = True
        return time.monotonic()


@contextlib.contextmanager
def web(world, context=None):
    """A Web; what its auditor has heard adds up at the end, as in every world."""
    with brokers.Broker(world.engine) as broker, Auditor(broker.port) as auditor:
        with Relay(broker.ws_port, PATH, context) as relay:
            yield Web(world, broker, auditor, relay)
        assert audit.accounting_errors(auditor.messages) == []


def wait_log(node, words, since=0, limit_s=TRY_LIMIT_S):
    """Wait until the log says `words`, after its first `since` characters."""
    deadline = time.monotonic() + limit_s
    while words not in node.log()[since:]:
        assert time.monotonic() < deadline, f"the log does not say {words!r}: {node.log()[since:][-600:]}"
        time.sleep(0.05)


@both_engines
def test_broker_killed_twice_loses_nothing(world):
    with web(world) as web_:
        web_.relay.delay_s = ACK_DELAY_S
        node = web_.start_node()
        web_.wait_reading(node)
        for _ in range(2):
            healed = web_.kill_and_restart(down_s=1)
            web_.auditor.wait_message(node.topic("status"), BACK_LIMIT_S, healed, lambda m: m.payload == b"online")
        report = audit.wait_complete(web_.auditor, node.id, BACK_LIMIT_S, time.monotonic())
        assert not any(report["dropped"].values()) and report["reconnects"] >= 2
        world.say(f"{report['produced']} produced, 0 lost, {report['reconnects']} reconnects")


@both_engines
def test_clean_leave_is_one_over_a_websocket_too(world):
    with web(world) as web_:
        node = web_.start_node()
        web_.wait_reading(node)
        since = time.monotonic()
        assert node.terminate() == 0
        last = web_.auditor.wait_message(node.topic("status"), BACK_LIMIT_S, since)
        assert last.payload == b"offline" and len(web_.relay.accepted) == 1


@both_engines
def test_one_byte_at_a_time_both_ways(world):
    """The broker's frame of 3 KB, too, which is longer than any buffer of the node."""
    with web(world) as web_:
        web_.relay.drips = True
        node = web_.start_node(homeassistant={"discovery": True})
        web_.wait_reading(node, limit_s=DRIP_LIMIT_S)  # behind a discovery of 13 KB
        document = json.dumps({"revision": 1, "patch": {"telemetry": {"diagnostics_s": 2}}})
        since = web_.auditor.publish(node.topic("config/set"), document + " " * (3000 - len(document)))
        assert web_.auditor.wait_json(node.topic("config"), DRIP_LIMIT_S, since)["state"] == "applied"
        web_.wait_reading(node, since, DRIP_LIMIT_S)
        assert len(web_.relay.accepted) == 1


def test_big_documents_and_bursts_pass_in_both_directions(world):
    with web(world) as web_:
        node = web_.start_node(homeassistant={"discovery": True})
        web_.wait_reading(node)
        since = time.monotonic()
        for number in range(40):
            web_.auditor.publish(node.topic("config/set"), "x" * (1 + 97 * number))
        seen = web_.auditor.wait_json(node.topic("config"), BACK_LIMIT_S, since)
        assert seen["state"] == "rejected"
        web_.wait_reading(node, time.monotonic())
        assert len(web_.relay.accepted) == 1


def test_wrong_path_is_told_and_the_right_one_works(world):
    with web(world) as web_:
        node = web_.start_node(path="/wrong")
        wait_log(node, "link: no WebSocket here: HTTP/1.1 404 Not Found while connecting")
        web_.relay.wait_accepted(2, 0.0, TRY_LIMIT_S)
        assert web_.auditor.since(0.0, node.topic("telemetry/air")) == []
        node.terminate()
        node.config["mqtt"]["path"] = PATH
        node.start()
        web_.wait_reading(node)


def impostor(name, web_):
    """(a server that is no WebSocket for MQTT, what the log must say)."""
    return {
        "captive portal": (servers.Server(servers.PORTAL), "no WebSocket here: HTTP/1.1 302 Found"),
        "page that stays": (servers.Server(PAGE, stays=True), "no WebSocket here: HTTP/1.1 200 OK"),
        "hangs up": (servers.Server(), "no WebSocket here: ... while"),
        "plain MQTT": (servers.Server(servers.CONNACK), "no WebSocket here:  \\x02\\x00\\x00..."),
        "another WebSocket": (servers.Server(OTHER, stays=True), "no WebSocket here: no sec-websocket-"),
        "never answers": (servers.Server(stays=True), "no answer in time"),
    }[name]


@pytest.mark.parametrize("name", ["captive portal", "page that stays", "hangs up", "plain MQTT", "another WebSocket",
                                  "never answers"])
def test_node_outlives_what_is_no_websocket(world, name):
    """It says what came, comes again, and is back when the broker is."""
    with web(world) as web_:
        web_.relay.path = None
        node = web_.start_node()
        web_.wait_reading(node)
        server, words = impostor(name, web_)
        with server:
            web_.relay.upstream_port = server.port
            since, said = time.monotonic(), len(node.log())
            web_.relay.reset()
            wait_log(node, f"link: {words}", said)
            web_.relay.wait_accepted(2, since, TRY_LIMIT_S)
        web_.relay.upstream_port = web_.broker.ws_port
        since = time.monotonic()
        web_.relay.reset()
        web_.auditor.wait_message(node.topic("status"), BACK_LIMIT_S, since, lambda m: m.payload == b"online")
        web_.wait_reading(node, since)


def test_websocket_over_tls(world):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory(prefix="mote-wss-") as folder, web(world, context) as web_:
        authority = Authority(pathlib.Path(folder), "ours")
        context.load_cert_chain(*authority.issue("good", ["127.0.0.1"]))
        node = web_.start_node(("--heap", "256k"), mqtt={"tls": {"ca": authority.pem}})
        web_.wait_reading(node)
        since = time.monotonic()
        web_.relay.reset()
        web_.auditor.wait_message(node.topic("status"), BACK_LIMIT_S, since, lambda m: m.payload == b"online")
        audit.wait_complete(web_.auditor, node.id, BACK_LIMIT_S, time.monotonic())
