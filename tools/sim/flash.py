"""Flash in memory: files of one node, whose power fails, whose room ends and whose cells wear out when told so.

Stricter than littlefs, which shows a file's new content only when it is closed: here opening for writing empties the
file at once and every write counts, so that code which relies on littlefs alone is found. A rename is atomic, as there.
Modules of lib/ that use `open` and `os` run on it unchanged: Shelf.bound gives one of them this flash instead.
"""

import asyncio
import errno
import importlib.util
import io
import os as real_os
import types

from tools import ROOT


class PowerCut(asyncio.CancelledError):
    """The power is gone: nothing of the program runs after this. Whatever tidies up still ends as if cancelled."""


class Flash:
    """Knobs: `cut_at` (operations from now until the power fails within one, None: never), `full` (no room for more),
    `worn` (every write fails). `operations` and `torn` (writes) count; `on_cut()` is called when the power fails.
    """

    def __init__(self, capacity_bytes=1 << 20):
        self.files = {}
        self.capacity_bytes = capacity_bytes
        self.operations = self.torn = 0
        self.cut_at = None
        self.full = self.worn = False
        self.on_cut = None
        self.dead = False  # without power: whoever still runs gets nothing done

    def operate(self):
        """Count an operation that changes something; True when the power fails in the middle of it."""
        if self.dead:
            raise PowerCut()
        self.operations += 1
        if self.worn:
            raise OSError(errno.EIO)
        if self.cut_at is None:
            return False
        self.cut_at -= 1
        return self.cut_at < 0

    def fail(self):
        """The power fails, now."""
        self.cut_at = None
        self.dead = True
        self.on_cut()
        raise PowerCut()

    def used(self):
        return sum(len(content) for content in self.files.values())

    def open(self, path, mode="r"):
        """As the builtin; binary, or text in UTF-8."""
        if self.dead:
            raise PowerCut()
        if "r" in mode and path not in self.files:
            raise OSError(errno.ENOENT, "no such file", path)
        if mode.strip("bt") == "r":
            raw = io.BytesIO(self.files[path])
        else:
            raw = File(self, path, mode)
        return raw if "b" in mode else io.TextIOWrapper(raw, "utf-8")

    # The functions of `os` that nodes use.

    def rename(self, old, new):
        if old not in self.files:
            raise OSError(errno.ENOENT, "no such file", old)
        cut = self.operate()
        if not cut:  # atomic, so that a cut means before
            self.files[new] = self.files.pop(old)
        else:
            self.fail()

    def remove(self, path):
        if path not in self.files:
            raise OSError(errno.ENOENT, "no such file", path)
        if self.operate():
            self.fail()
        del self.files[path]

    unlink = remove

    def listdir(self, folder="/"):
        folder = folder.rstrip("/") + "/"
        return sorted({path[len(folder):].split("/")[0] for path in self.files if path.startswith(folder)})

    def stat(self, path):
        if path in self.files:
            return (0x8000, 0, 0, 0, 0, 0, len(self.files[path]), 0, 0, 0)
        if self.listdir(path):
            return (0x4000, 0, 0, 0, 0, 0, 0, 0, 0, 0)
        raise OSError(errno.ENOENT, "no such file", path)

    def statvfs(self, path):
        free = max(0, self.capacity_bytes - self.used()) // 4096
        return (4096, 4096, self.capacity_bytes // 4096, free, free, 0, 0, 0, 0, 255)

    def mkdir(self, path):
        """Folders need not be made."""

    def sync(self):
        """Every write is."""


class File(io.RawIOBase):
    """A file that is being written; what is written is on the flash at once."""

    def __init__(self, flash, path, mode):
        super().__init__()
        self._flash = flash
        self._path = path
        if "w" in mode or path not in flash.files:
            cut = flash.operate()
            flash.files[path] = b""
            if cut:
                flash.fail()
        self._at = len(flash.files[path]) if "a" in mode else 0

    def writable(self):
        return True

    def readable(self):
        return True

    def seekable(self):
        return True

    def seek(self, offset, whence=0):
        base = (0, self._at, len(self._flash.files[self._path]))[whence]
        self._at = base + offset
        return self._at

    def tell(self):
        return self._at

    def truncate(self, size=None):
        if self._flash.operate():
            self._flash.fail()
        size = self._at if size is None else size
        self._flash.files[self._path] = self._flash.files[self._path][:size]
        return size

    def readinto(self, buf):
        data = self._flash.files[self._path][self._at:self._at + len(buf)]
        buf[:len(data)] = data
        self._at += len(data)
        return len(data)

    def write(self, data):
        flash, data = self._flash, bytes(data)
        cut = flash.operate()
        room = 0 if flash.full else flash.capacity_bytes - flash.used()
        if room < len(data) and not cut:
            raise OSError(errno.ENOSPC, "no space left")
        torn = data[:len(data) // 2] if cut else data
        old = flash.files[self._path]
        flash.files[self._path] = old[:self._at].ljust(self._at, b"\0") + torn + old[self._at + len(torn):]
        self._at += len(torn)
        if cut:
            flash.torn += 1
            flash.fail()
        return len(data)


class Shelf:
    """The flashes of all nodes of a run, each below a folder with the node's name: one copy of the code serves them."""

    def __init__(self):
        self.flashes = {}
        self.urandom = real_os.urandom
        for name in ("rename", "remove", "unlink", "listdir", "stat", "statvfs", "mkdir"):
            setattr(self, name, self._function(name))

    def open(self, path, mode="r"):
        """As the builtin."""
        return self.flashes[path.split("/", 2)[1]].open(path, mode)

    def sync(self):
        """Every write is on the flash at once."""

    def _function(self, name):
        def function(path, *arguments):
            return getattr(self.flashes[path.split("/", 2)[1]], name)(path, *arguments)

        return function

    def bound(self, name):
        """A copy of the module lib/NAME.py, with these flashes as its `open` and `os`."""
        code = importlib.util.spec_from_file_location(name, f"{ROOT}/lib/{name}.py").loader.get_code(name)
        names = {"__name__": name}
        exec(code, names)
        names["open"], names["os"] = self.open, self
        return types.SimpleNamespace(**names)
