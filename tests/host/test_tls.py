"""Only the right certificate connects, on both Pythons, and what is wrong with another is named."""

import asyncio
import json
import os
import pathlib
import ssl
import subprocess
import sys
import threading

import pytest

from tests.host.certificates import Authority
from tools import ROOT, micropython

CLIENT = str(pathlib.Path(ROOT) / "tests" / "host" / "tls_client.py")
PROCESS_TIMEOUT_S = 120
REFUSED = ("OSError: TLS refused by the server", "OSError: the server ended the TLS handshake")
CPYTHON = [sys.executable, CLIENT]


class Servers:
    """TLS servers on loopback that echo whole words of "ping"; `heard` is what each port was sent."""

    def __init__(self):
        self.heard = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def start(self, files, client_authority=None):
        """The port of a server that shows the certificate `files`; None: it speaks no TLS at all."""
        context = None
        if files:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*files)
        if client_authority:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(client_authority)
        starting = asyncio.start_server(self._echo, "127.0.0.1", 0, ssl=context)
        server = asyncio.run_coroutine_threadsafe(starting, self._loop).result()
        port = server.sockets[0].getsockname()[1]
        self.heard[port] = b""
        return port

    async def _echo(self, reader, writer):
        port = writer.get_extra_info("sockname")[1]
        pending = b""
        try:
            while data := await reader.read(100):
                self.heard[port] += data
                pending += data
                if not pending.startswith(b"p"):
                    break
                if len(pending) % 4 == 0:
                    writer.write(pending)
                    await writer.drain()
                    pending = b""
        except OSError:
            return  # a client that did not like the certificate
        finally:
            writer.close()

    def stop(self):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()


def cases(servers, folder):
    """name -> (host, port, tls, expected): the whole answer, or how it begins (one of several ways)."""
    ours, other = Authority(folder, "ours"), Authority(folder, "other")
    pem = {"ca": ours.pem}
    good = servers.start(ours.issue("good", ["localhost", "127.0.0.1"]))
    named = servers.start(ours.issue("named", ["node.example"]))
    strict = servers.start(ours.issue("strict", ["127.0.0.1"]), client_authority=ours.pem)
    client = dict(zip(("cert", "key"), ours.issue("client"), strict=True))
    stranger = dict(zip(("cert", "key"), other.issue("stranger"), strict=True))

    def bad(**options):
        return servers.start(ours.issue(str(options), ["127.0.0.1"], **options))

    here = "127.0.0.1"
    names = [f"one-of-many-names-{number}.greenhouse.example" for number in range(185)]
    below = Authority(folder, "below", above=Authority(folder, "between", above=ours))
    long = below.issue("long", [*names, here])
    assert pathlib.Path(long[0]).stat().st_size * 3 // 4 > 8_192  # in PEM, three bytes are four letters
    return {
        "chain of more than 8 KB": (here, servers.start(long), pem, "ping"),
        "another address": (here, servers.start(ours.issue("address", ["127.0.0.2"])), pem, "OSError: wrong name"),
        "good": (here, good, pem, "ping"),
        "good by name": ("localhost", good, pem, "ping"),
        "good by the name told": (here, named, {"ca": ours.pem, "server_name": "node.example"}, "ping"),
        "ca as a DER file": (here, good, {"ca": ours.der}, "ping"),
        "ca in base64": (here, good, {"ca": ours.inline()}, "ping"),
        "two cas": (here, good, {"ca": [other.inline(), ours.inline()]}, "ping"),
        "client certificate": (here, strict, {"ca": ours.pem, **client}, "ping"),
        "client certificate in one file": (here, strict, {"ca": ours.pem, "cert": joined(folder, client)}, "ping"),
        "wrong name": (here, named, pem, "OSError: wrong name"),
        "wrong name told": (here, good, {"ca": ours.pem, "server_name": "node.example"}, "OSError: wrong name"),
        "self-signed": (here, servers.start(ours.self_signed("self", [here])), pem, "OSError: unknown CA"),
        "wrong ca": (here, good, {"ca": other.pem}, "OSError: unknown CA"),
        "expired": (here, bad(from_days=-9, to_days=-2), pem, "OSError: certificate expired"),
        "future": (here, bad(from_days=2, to_days=9), pem, "OSError: certificate not yet valid"),
        "no ca": (here, good, {"ca": None}, "OSError: TLS needs mqtt.tls.ca"),
        "no name": ("", good, pem, "OSError: "),
        "ca is no certificate": (here, good, {"ca": client["key"]}, "OSError: mqtt.tls: no CERTIFICATE in"),
        "ca is damaged": (here, good, {"ca": "MII" + "A" * 401}, "OSError: mqtt.tls: "),
        "ca is missing": (here, good, {"ca": "/no/such/file"}, "OSError: mqtt.tls: "),
        "no such client key": (here, good, {"ca": ours.pem, "cert": client["cert"]}, "OSError: mqtt.tls: "),
        "no client certificate": (here, strict, pem, REFUSED),
        "unknown client certificate": (here, strict, {"ca": ours.pem, **stranger}, REFUSED),
        "no TLS at the other end": (here, servers.start(None), pem, "OSError: the server ended the TLS handshake"),
    }


def joined(folder, client):
    """One PEM file with certificate and key."""
    path = folder / "joined.pem"
    path.write_text("".join(pathlib.Path(client[part]).read_text() for part in ("cert", "key")))
    return str(path)


def answers(command, environment, requests, folder):
    """What the client says to each request."""
    lines = "".join(json.dumps(request) + "\n" for request in requests)
    done = subprocess.run(
        [*command, str(folder)], input=lines, env=environment, cwd=ROOT, capture_output=True, text=True,
        timeout=PROCESS_TIMEOUT_S)
    assert done.returncode == 0, done.stderr + done.stdout
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("interpreter", ["cpython", "micropython"])
def test_only_the_right_certificate_connects(interpreter, tmp_path):
    if interpreter == "micropython" and not micropython.available():
        pytest.skip("no interpreter for this machine")
    command = CPYTHON if interpreter == "cpython" else micropython.command(CLIENT)
    environment = micropython.environment(".", "lib") | {"PYTHONPATH": ".:lib"}
    servers = Servers()
    try:
        wanted = cases(servers, tmp_path)
        found = answers(command, environment, [case[:3] for case in wanted.values()], tmp_path)
    finally:
        servers.stop()
    wrong = {name: answer for (name, case), answer in zip(wanted.items(), found, strict=True)
             if not right(answer, case[3])}
    assert not wrong
    good = {case[1] for case in wanted.values() if case[3] == "ping"}
    assert not [port for port, heard in servers.heard.items() if b"ping" in heard and port not in good]


def right(answer, expected):
    """Whether an answer is the expected success, or the expected failure."""
    return answer == "ping" if expected == "ping" else answer.startswith(expected) and answer != "ping"


def test_the_matrix_finds_a_client_that_does_not_check_the_name(tmp_path):
    text = pathlib.Path(ROOT, "lib", "certs.py").read_text()
    stands = '        if tls.get("cert")'
    assert text.count(stands) == 1
    (tmp_path / "certs.py").write_text(text.replace(stands, "        result.check_hostname = False\n" + stands))
    servers = Servers()
    try:
        named = servers.start(Authority(tmp_path, "ours").issue("named", ["node.example"]))
        request = "127.0.0.1", named, {"ca": str(tmp_path / "ours.pem")}
        for first, expected in ((tmp_path, "ping"), (ROOT, "OSError: wrong name")):
            environment = {**os.environ, "PYTHONPATH": f"{first}:.:lib"}
            assert answers(CPYTHON, environment, [request], tmp_path) == [expected]
    finally:
        servers.stop()


@pytest.mark.parametrize("tls", [{}, {"ca": None}, {"ca": []}, {"ca": ["a", "b", "c"]}, {"ca": "", "verify": False}])
def test_no_configuration_does_without_an_authority(mote, tmp_path, tls):
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"schema": 1, "mqtt": {"host": "127.0.0.1", "port": 8883, "tls": tls}}))
    status, _, said = mote("run", "--config", config, "--seconds", 1)
    assert status == 2 and "mqtt.tls.ca" in said
