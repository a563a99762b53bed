"""What a birth takes of a node's heap, on real MicroPython: the code that is lent for it included, and all that lives
while a piece of a document is on its way."""

import json
import os

import pytest

from tools import ROOT, build, micropython

pytestmark = pytest.mark.skipif(not micropython.available(), reason="no interpreter for this machine")

# On 64-bit words, for a document of any length. The path of the lent code is part of it (96 bytes): it goes with it.
MOST_BYTES = 2_720
MOST_BESIDE_CODE_BYTES = 2_048
SMALL_QUANTITIES, LARGE_QUANTITIES = 2, 20

_SCRIPT = """
import gc, os, sys
sys.path.pop(0)
os.chdir(sys.path[0])  # a module keeps the path of its file, which on a board is about as long as from here
sys.path[:2] = ".", "lib"
from firmware.dialects.mote import Dialect
from lending import lend

class Files:
    stored = {}
    def load(self, name):
        return self.stored.get(name)
    def save(self, name, data):
        self.stored[name] = data

class Board:
    files = Files()
    def address(self):
        return "192.0.2.7"

board = Board()
peak = code = base = 0

def live():
    gc.collect()
    return gc.mem_alloc() - base

def fetch(name):
    global code
    before = live()
    module = lend(name)
    code = max(code, live() - before)
    return module

def announce(dialect):
    global base, peak, code
    messages = message = size = piece = None  # the measuring itself is no part of it
    gc.collect()
    gc.collect()
    base, peak, code = gc.mem_alloc(), 0, 0
    messages = dialect.birth(fetch, board)
    for message in messages:
        for _ in range(0 if isinstance(message[1], str) else 2):  # to count, and to send
            size = 0
            for piece in message[1]:
                gc.collect()
                peak = max(peak, gc.mem_alloc() - base)
                size += len(piece)
        if "/device/" in message[0]:
            print([size, code, peak])
        message = None

dialect = Dialect({given})
announce(dialect)
announce(dialect)
"""
_CONFIG = {
    "node": {"id": None, "name": "Greenhouse", "area": "Garden", "groups": []},
    "mqtt": {"base": "mote"},
    "homeassistant": {"discovery": True, "prefix": "homeassistant", "controls": True},
    "power": {"mode": "always"},
}
_ABOUT = {
    "id": "esp32-a1b2c3", "firmware": "0.1.0", "interpreter": "MicroPython 1.29.0", "board": "ESP32 module",
    "chips": "real", "mac": "a1:b2:c3:a1:b2:c3", "boot": 7, "last_seq": None, "revision": 3, "reset_cause": "power-on"}
_AIR = (("temperature", "m", "°C", 1, "temperature", -40, 85), ("humidity", "m", "%", 1, "humidity", 0, 100))


def announced(quantities):
    """(bytes of the document, bytes of the code for it, most bytes in use) of a node with so many quantities."""
    sensors = [(f"sensor{number}", _AIR, 60) for number in range(quantities // 2)]
    script = build.script(_SCRIPT.replace("{given}", f"{_CONFIG}, {_ABOUT}, {sensors}"))
    folders = [os.path.relpath(folder, ROOT) for folder in build.path()]  # about as long as a board's
    lines = micropython.output("-c", script, path=folders, heap="1m").splitlines()
    return json.loads(lines[-1])  # the second time: names that are new to the interpreter stay, as all code's do


def test_a_birth_takes_little_heap_however_long_the_document():
    small = announced(SMALL_QUANTITIES)
    large = announced(LARGE_QUANTITIES)
    for size, code, peak in (small, large):
        print(f"document of {size} bytes: {peak} bytes of heap, {code} of them code")
        assert peak <= MOST_BYTES
        assert peak - code <= MOST_BESIDE_CODE_BYTES
    assert large[0] > 2 * small[0]
    assert large[2] - small[2] <= 256
