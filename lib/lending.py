"""Modules that are needed seldom: loaded by name, and forgotten when memory is tight.

MicroPython keeps every name that it has met for good, and an import leaves three: the module's, its package's name for
it, and the path of its file. So where there is a `vfs`, a module is imported out of a file system of one file, which
always has the same name, whatever stands in it.
"""

import os
import sys

try:
    import vfs
except ImportError:
    vfs = None

_DOOR = "/lent"
_NAME = "module"  # which MicroPython has among its own names
_FILE = 0x8000  # st_mode of a file


def load(name):
    """Import a module by its dotted name and return it."""
    if name not in sys.modules:
        sys.modules[name] = _through_door(name) or _imported(name)
    return sys.modules[name]


def lend(name):
    """As `load`, but forget the module, so that its memory is free again once the caller has done with it. One that is
    loaded stays."""
    if name in sys.modules:
        return sys.modules[name]
    module = _through_door(name)
    if not module:
        module = _imported(name)
        del sys.modules[name]
        package, _, short = name.rpartition(".")
        if package:
            delattr(sys.modules[package], short)
    return module


def _imported(name):
    __import__(name)
    return sys.modules[name]


def _bytecode(name):
    """The path of a module's compiled file, None when it has none, as where it is part of the interpreter's image."""
    tail = "/" + name.replace(".", "/") + ".mpy"
    for folder in sys.path:
        try:
            os.stat(folder + tail)
            return folder + tail
        except OSError:
            continue
    return None


def _through_door(name):
    """A module out of its compiled file, or None."""
    path = vfs and _bytecode(name)
    if not path:
        return None
    vfs.mount(_Door(path), _DOOR)
    sys.path.insert(0, _DOOR)
    try:
        module = __import__(_NAME)
    finally:
        sys.path.pop(0)
        vfs.umount(_DOOR)
        sys.modules.pop(_NAME, None)
    module.__file__ = path
    return module


class _Door:
    """A file system with one file, the module, which is in truth the one at `path`."""

    def __init__(self, path):
        self._path = path

    def mount(self, *how):
        """There is nothing to prepare, or to put away."""

    umount = mount

    def stat(self, path):
        """As os.stat; raises OSError for all but the module."""
        if path != "/" + _NAME + ".mpy":
            raise OSError(2)
        return _FILE, 0, 0, 0, 0, 0, 0, 0, 0, 0

    def open(self, path, mode):
        """The file behind the door."""
        return open(self._path, mode)
