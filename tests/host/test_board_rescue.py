"""boot.py, main.py and rescue as they stand on a board: a virtual ESP32 whose node cannot start says `rescue` at a real
broker, and lives again once its file is whole."""

import base64
import binascii
import json
import pathlib
import struct

import pytest

from tests.host.test_up import SENSORS, home, up  # noqa: F401 - fixtures
from tools import build, connection, errors
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


def await_status(link, base, word, limit_s=LIMIT_S):
    topic = f"{base}/{NODE}/status"
    found = link.wait_for(lambda one: one.topic == topic and one.payload == word and not one.retain, limit_s)
    assert found, f"no {word}"


def test_a_node_that_cannot_start_leads_to_rescue_and_back(up, virtual, broker, base):  # noqa: F811
    board = virtual(sensors=SENSORS)
    status, _, error = up(board)
    assert status == errors.DONE, error
    whole = pathlib.Path(build.MPY, "firmware", "node.mpy").read_bytes()
    frozen = pathlib.Path(build.MPY, "umqtt", "simple.mpy").read_bytes()  # an ESP32's image has it
    line = board.rfc2217()
    write(line, {"firmware/node.mpy": b"broken", "rescue/umqtt/simple.mpy": frozen, "state/starts": framed(b"3")})
    target = connection.Target("127.0.0.1", broker.port, False, None, None, None, base)
    with connection.Connection(target, [f"{base}/{NODE}/status"]) as link:
        board.pull()
        board.plug()
        await_status(link, base, b"rescue")
        write(line, {"firmware/node.mpy": whole})
        board.pull()
        board.plug()
        await_status(link, base, b"rescue")  # it does not know that yet
        patch = {"node": {"name": "Healed"}}  # over a base with sensors, which their drivers have to judge
        document = json.dumps({"revision": 1, "patch": patch}).encode()
        # Retained, as `mote config set` does it: the line's server resets the board when it likes.
        link.publish(f"{base}/{NODE}/config/set", document, retain=True)
        await_status(link, base, b"online")
    assert not board.noticed()
