"""The node's code as ROMFS, a file system out of which MicroPython runs bytecode where it lies, without a copy in RAM.

A board has it in a partition of its flash named `romfs`, where its MicroPython was built with MICROPY_VFS_ROM; the
images to download are not. Here it lies in the process that becomes the interpreter, outside of the interpreter's heap.
"""

import ctypes
import os

from mpremote.romfs import VfsRomWriter

from tools import ROOT, build

MOUNT = "/rom"  # where such a MicroPython mounts it by itself, and looks for modules in it and in its lib
FILE = os.path.join(ROOT, "build", "mote.romfs")
BOARD = ("firmware", "lib")  # of build/mpy: boot.py, main.py and rescue stay in the board's own file system
_ENDINGS = (".mpy", ".txt")
_MOUNTED = """
import uctypes, vfs
vfs.mount(vfs.VfsRom(uctypes.bytearray_at({address}, {size})), "{mount}")
del uctypes, vfs
"""


def image(folders=None):
    """The bytes of a ROMFS with these folders of build/mpy (None: all), which is brought up to date first."""
    build.build()
    writer = VfsRomWriter()
    for name in folders or sorted(os.listdir(build.MPY)):
        _add(writer, os.path.join(build.MPY, name), name)
    return bytes(writer.finalise())


def of_folder(folder):
    """The bytes of a ROMFS with what is in a folder."""
    writer = VfsRomWriter()
    for name in sorted(os.listdir(folder)):
        _add(writer, os.path.join(folder, name), name)
    return bytes(writer.finalise())


def write():
    """Write a board's image to FILE; returns its size in bytes."""
    data = image(BOARD)
    with open(FILE, "wb") as file:
        file.write(data)
    return len(data)


def path():
    """The folders that the interpreter imports from, for MICROPYPATH."""
    return [MOUNT, MOUNT + "/lib"]


def mounted(data):
    """(what has to stay as long as the interpreter runs in this process, a program that mounts `data` there)."""
    keep = ctypes.create_string_buffer(data, len(data))
    return keep, _MOUNTED.format(address=ctypes.addressof(keep), size=len(data), mount=MOUNT)


def _add(writer, full, name):
    if os.path.isdir(full):
        writer.opendir(name)
        for entry in sorted(os.listdir(full)):
            _add(writer, os.path.join(full, entry), entry)
        writer.closedir()
    elif name.endswith(_ENDINGS):
        with open(full, "rb") as file:
            writer.mkfile(name, file.read())
