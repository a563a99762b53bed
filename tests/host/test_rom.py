"""The node's code as a read-only file system: complete, readable by MicroPython, and run where it lies."""

import re
import subprocess
import sys

import pytest

from tools import ROOT, build, micropython, rom

pytestmark = pytest.mark.skipif(not micropython.available(), reason="no interpreter for this machine")

_LIST = """
import os, sys
sys.path.pop(0)
def walk(folder):
    for name, kind, _, size in os.ilistdir(folder):
        if kind == 0x4000:
            walk(folder + "/" + name)
        else:
            print(folder + "/" + name, size)
walk("/rom")
"""
_IMPORT = """
import gc, sys
sys.path.pop(0)
import firmware
gc.collect()
before = gc.mem_alloc()
import mqtt
gc.collect()
print(mqtt.__file__, gc.mem_alloc() - before)
"""


def output(program, folders=None):
    """What a program prints that finds the image, or build/mpy when `folders` are given."""
    if folders:
        return micropython.output("-c", program, path=folders)
    script = "import sys\nfrom tools import micropython, rom\nmemory, mount = rom.mounted(rom.image())\n" \
        f"import micropython_unix\nsys.exit(micropython_unix.run_main(['micropython', '-c', mount + {program!r}]))\n"
    environment = micropython.environment(*rom.path())
    return subprocess.check_output([sys.executable, "-c", script], env=environment, cwd=ROOT, timeout=60, text=True)


def test_the_image_has_every_file_whole():
    seen = dict(line.split() for line in output(_LIST).splitlines())
    for name in [*build.build(), *build.texts()]:
        with open(f"{build.MPY}/{name}", "rb") as file:
            assert seen[f"/rom/{name}"] == str(len(file.read()))


def test_code_that_is_run_where_it_lies_takes_far_less_heap():
    where, from_rom = output(_IMPORT).split()
    _, from_files = output(_IMPORT, build.path()).split()
    assert where == "/rom/lib/mqtt.mpy"
    assert int(from_rom) < 0.7 * int(from_files)


def test_a_boards_image_has_the_node_and_nothing_of_this_computer():
    names = re.findall(rb"[a-z_]+\.mpy", rom.image(rom.BOARD))
    assert b"node.mpy" in names and b"mqtt.mpy" in names and b"micropython_main.mpy" not in names
