"""The rules of the house hold for every file, and every rule finds what it is for."""

import ast
import pathlib

import pytest

from tests.host import rules
from tools import ROOT, build

REPOSITORY = pathlib.Path(ROOT)
LIB = sorted(path.stem for path in (REPOSITORY / "lib").glob("*.py"))
FOLDERS = ("firmware", "lib", "tools")


def files(*roots):
    """Repository paths of the Python files below folders, or of single files that exist."""
    found = []
    for root in roots:
        path = REPOSITORY / root
        found += [path] if path.is_file() else sorted(path.rglob("*.py"))
    return [path.relative_to(REPOSITORY).as_posix() for path in found]


DEVICE = files("boot.py", "main.py", "firmware", "lib")
EVERYWHERE = DEVICE + files("tools")

# Rule -> (the files it holds for, a path and a text that break it).
RULES = {
    "import_directions": (EVERYWHERE, [
        ("firmware/link.py", "from firmware.outbox import Outbox"),
        ("firmware/drivers/x.py", "from firmware import config"),
        ("firmware/node.py", "import firmware.board"),
        ("tools/x.py", "from firmware.board import Board"),
        ("lib/mqtt.py", "def f():\n    import firmware.link"),
        ("lib/mqtt.py", "from tools import errors"),
        ("firmware/node.py", "from tools.host import board"),
    ]),
    "hardware_in_one_place": (EVERYWHERE, [
        ("firmware/drivers/x.py", "from machine import Pin"), ("tools/host/x.py", "import network")]),
    "stdlib_of_boards": (DEVICE, [
        ("lib/x.py", "import logging"), ("firmware/x.py", "from functools import partial"),
        ("firmware/drivers/x.py", "import os.path"), ("lib/x.py", "import enum")]),
    "no_world_check": (DEVICE, [
        ("firmware/x.py", "if board.chips == 'simulated':\n    pass"),
        ("lib/x.py", "x = 1 if sys.implementation.name == 'micropython' else 2")]),
    "no_module_state": (DEVICE, [
        ("lib/x.py", "_cache = {}"), ("lib/x.py", "_nodes = []"), ("lib/x.py", "READY = asyncio.Event()"),
        ("firmware/x.py", "buffer = bytearray(8)"), ("firmware/x.py", "def f():\n    global count")]),
    "table_writes": (DEVICE, [
        ("lib/x.py", "T = {1: 2}\ndef f():\n    T[1] = 3"), ("lib/x.py", "T = {1: 2}\nT.update(a=1)"),
        ("lib/x.py", "T = {1: 2}\ndel T[1]")]),
    "small": (EVERYWHERE, [
        ("lib/x.py", "x = 1\n" * 251), ("lib/x.py", "def f():\n" + "    x = 1\n" * 45),
        ("tools/x.py", "x = 1\n" * 451), ("tools/x.py", "def f():\n" + "    x = 1\n" * 60)]),
    "honest_excepts": (EVERYWHERE, [
        ("lib/x.py", "try:\n    f()\nexcept:\n    raise"),
        ("tools/x.py", "try:\n    f()\nexcept Exception:\n    pass"),
        ("tools/x.py", "try:\n    f()\nexcept BaseException as e:\n    'said'"),
        ("tools/x.py", "try:\n    x = f()\nexcept Exception:\n    x = None"),
        ("tools/x.py", "CODE = '''\ntry:\n x=f()\nexcept Exception:\n x=None\n'''")]),
    "no_raise_from": (DEVICE, [("lib/x.py", "raise OSError(1) from error")]),
    "waits_have_names": (EVERYWHERE, [("lib/x.py", "asyncio.wait_for(f(), 5)")]),
}


def violations(rule, path, text):
    """What one rule finds in one text."""
    arguments = {"path": path, "tree": ast.parse(text), "text": text, "lib_modules": LIB}
    function = getattr(rules, rule)
    names = function.__code__.co_varnames[:function.__code__.co_argcount]
    return function(**{name: arguments[name] for name in names})


@pytest.mark.parametrize("rule", RULES)
def test_the_rule_holds(rule):
    found = [line for path in RULES[rule][0] for line in violations(rule, path, (REPOSITORY / path).read_text())]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize("rule, path, text", [(rule, *plant) for rule in RULES for plant in RULES[rule][1]])
def test_the_rule_finds_a_planted_violation(rule, path, text):
    assert violations(rule, path, text)


@pytest.mark.parametrize("rule, path, text", [
    ("import_directions", "firmware/node.py", "from firmware import VERSION\nfrom firmware.link import Link"),
    ("import_directions", "firmware/config.py", "from firmware import VERSION"),
    ("import_directions", "main.py", "from firmware.board import Board"),
    ("stdlib_of_boards", "firmware/x.py", "import json\nfrom mqtt import Client"),
    ("no_module_state", "lib/x.py", "NAMES = (1, 2)\nTABLE = {1: 2}"),
    ("honest_excepts", "lib/x.py", "try:\n    f()\nexcept OSError:\n    pass"),
])
def test_the_rule_lets_good_code_pass(rule, path, text):
    assert not violations(rule, path, text)


def test_there_is_something_to_check():
    assert {"firmware/node.py", "lib/mqtt.py"} <= set(DEVICE)


@pytest.mark.parametrize("path", DEVICE + files(
    "tools/host/board.py", "tools/host/micropython_main.py", "tools/sim/chips", "tools/benches", "tests/device"))
def test_every_file_that_micropython_runs_compiles_for_it(path, tmp_path):
    build.compile_text((REPOSITORY / path).read_text(), str(tmp_path / "x.mpy"), name=path)
