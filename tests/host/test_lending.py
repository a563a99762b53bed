"""Lending on real MicroPython: a module comes out of its bytecode, works, and goes, and leaves no name of its file."""

import re

import pytest

from tools import build, micropython

pytestmark = pytest.mark.skipif(not micropython.available(), reason="no interpreter for this machine")


def said(script):
    """What a program prints that finds the node's compiled modules."""
    script = "import sys\nsys.path.pop(0)\n" + build.script(script)
    return micropython.output("-c", script, path=build.path()).split("\n")


def test_what_is_lent_works_and_is_forgotten():
    lines = said("""
from lending import lend
before = list(sys.path), sorted(sys.modules)
module = lend("firmware.config")
print(len(list(module.rows())) > 20)
print(module.__file__.rsplit("/", 2)[1:])
print(before == (list(sys.path), sorted(sys.modules)), lend("firmware.config") is module)
""")
    assert lines[:3] == ["True", "['firmware', 'config.mpy']", "True False"]


def test_what_is_loaded_stays_and_is_what_an_import_finds():
    lines = said("""
from lending import load
module = load("firmware.control")
from firmware.control import Control
print(load("firmware.control") is module, module.Control is Control)
""")
    assert lines[0] == "True True"


def test_a_module_that_is_not_there_is_an_import_error_and_nothing_is_left():
    lines = said("""
from lending import lend
before = list(sys.path), sorted(sys.modules)
try:
    lend("firmware.nothing")
except ImportError:
    print("not there", before[0] == sys.path)
""")
    assert lines[0] == "not there True"


def test_a_module_that_fails_leaves_the_way_open_for_others(tmp_path):
    build.compile_text("1 / 0", str(tmp_path / "broken.mpy"), name="broken")
    lines = said(f"""
from lending import lend
sys.path.append("{tmp_path}")
before = list(sys.path)
for attempt in range(2):
    try:
        lend("broken")
    except ZeroDivisionError:
        print(before == sys.path, "module" in sys.modules)
print(lend("firmware.boots").UNBOUNDED)
""")
    assert lines[:3] == ["True False", "True False", "65535"]


def test_what_is_lent_leaves_no_path_and_no_name_of_a_package_behind():
    text = "\n".join(said("""
import micropython
from lending import lend, load
for name in ("firmware.boots", "firmware.recorder"):
    lend(name)
load("firmware.drivers.bme280")
micropython.qstr_info(1)
"""))
    names = re.findall(r"^Q\((.*)\)$", text, re.MULTILINE)
    assert "firmware.drivers.bme280" in names  # tracebacks tell it
    files = [name.rpartition("/")[0] for name in names if name.endswith(".mpy")]
    assert sorted(files) == sorted(["/lent", f"{build.MPY}/lib"])  # the door, and lending itself
    assert not {"boots", "recorder", "drivers", "firmware.drivers"}.intersection(names)
