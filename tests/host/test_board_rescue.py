"""boot.py, main.py and rescue as they stand on a board: a virtual ESP32 whose node cannot start says `rescue` at a real
broker, and lives again once its file is whole. Its secrets are neither on the serial line nor in what it publishes."""

import base64
import binascii
import json
import pathlib
import struct

import pytest

import signed
from tests.host.test_up import SENSORS, home, up  # noqa: F401 - fixtures
from tests.host.virtual import HOME
from tests.integration.leaking import leaks
from tools import build, connection, errors, keys
from tools.board import ports, repl

pytestmark = pytest.mark.filterwarnings("ignore:set(Daemon|Name)")
NODE = "esp32-a1b2c3"
LIMIT_S = 60  # a start that fails lasts ten seconds, so that it can be read
WRITE = """
import os, binascii
if 'umqtt' not in os.listdir('rescue'): os.mkdir('rescue/umqtt')
with open({path!r}, 'wb') as file: file.write(binascii.a2b_base64({content!r}))
"""


def write(line, files):
    """Write files, path -> content, at the board's prompt."""
    with ports.opened(line.url) as port:
        board = repl.Repl(port, "board")
        board.enter()
        for path, content in files.items():
            text = base64.b64encode(content).decode()
            board.run(WRITE.format(path=path, content=text))


def framed(data):
    """A file of the store, as lib/store.py describes it."""
    return struct.pack("<3sBII", b"Mst", 1, len(data), binascii.crc32(data)) + data


class Heard:
    """What comes over a `link`; `seen` are all messages so far."""

    def __init__(self, link, base):
        self._link = link
        self._top = f"{base}/{NODE}/"
        self.seen = []

    def wait(self, kind, wanted, limit_s=LIMIT_S):
        """Wait for a payload on a topic that `wanted(payload)` likes, and that came just now."""
        for message in self._link.messages(limit_s):
            self.seen.append(message)
            if message.topic == self._top + kind and not message.retain and wanted(message.payload):
                return
        raise AssertionError(f"no such {kind}")

    def status(self, word):
        self.wait("status", lambda payload: payload == word)

    def report(self, state):
        self.wait("config", lambda payload: json.loads(payload)["state"] == state)


def send(link, base, document, retain=False):
    text = signed.sign(keys.load(NODE), NODE, "config", json.dumps(document).encode())
    link.publish(f"{base}/{NODE}/config/set", text, retain=retain)


def test_a_node_that_cannot_start_leads_to_rescue_and_back(up, virtual, broker, base, monkeypatch):  # noqa: F811
    board = virtual(sensors=SENSORS)
    monkeypatch.setenv("MOTE_PASSWORD", "Xp3uNs8dEw6kYb1H")
    status, _, error = up(board, "--broker", f"mqtt://somebody@127.0.0.1:{broker.port}", "--signed")
    assert status == errors.DONE, error
    secrets = {"wifi.password": HOME["password"], "mqtt.password": "Xp3uNs8dEw6kYb1H", "config.key": keys.load(NODE),
               "over the air": "Bn8gLo5aRi0fMq7V", "in a wrong place": "Hd6cSj3zUt9eKw2P"}
    whole = pathlib.Path(build.MPY, "firmware", "node.mpy").read_bytes()
    frozen = pathlib.Path(build.MPY, "umqtt", "simple.mpy").read_bytes()  # an ESP32's image has it
    line = board.rfc2217()
    write(line, {"firmware/node.mpy": b"broken", "rescue/umqtt/simple.mpy": frozen, "state/starts": framed(b"3")})
    target = connection.Target("127.0.0.1", broker.port, False, None, None, None, base)
    kinds = ("status", "info", "config", "reply", "log", "telemetry/+", "diagnostics")
    with connection.Connection(target, [f"{base}/{NODE}/{kind}" for kind in kinds]) as link:
        heard = Heard(link, base)
        board.pull()
        board.plug()
        heard.status(b"rescue")
        send(link, base, {"revision": 1, "patch": {"mqtt": {"pasword": secrets["in a wrong place"]}}})
        heard.report("rejected")
        write(line, {"firmware/node.mpy": whole})
        board.pull()
        board.plug()
        heard.status(b"rescue")  # it does not know that yet
        patch = {"node": {"name": "Healed"},  # over a base with sensors, which their drivers have to judge
                 "wifi": {"roof": {"password": secrets["over the air"]}}}
        # Retained, as `mote config set` does it: the line's server resets the board when it likes.
        send(link, base, {"revision": 1, "patch": patch}, retain=True)
        heard.status(b"online")
        heard.report("applied")
        places = {f"{one.topic} {number}": one.payload for number, one in enumerate(heard.seen)}
    assert not board.noticed()
    assert b"Traceback" in board.log and b"rescue: listening" in board.log  # which is what is searched
    assert leaks(secrets, {**places, "serial line": bytes(board.log)}) == []
