"""NOR flash in a file: erasing makes ones, programming makes zeros, and nothing else does anything."""

import mmap
import os
import struct

SECTOR_BYTES = 4096
_RECORD = struct.Struct("<II")  # of a journal: where, how many bytes, which follow; none: a sector was erased


class Flash:
    """`size_bytes` of flash in the file at `path`, which a process of MicroPython opens, too.

    `faults` collects what a real chip would have taken without a word and spoilt: a write where nothing was erased,
    a write or an erase beyond the end.
    """

    def __init__(self, path, size_bytes):
        self.path = path
        self.size_bytes = size_bytes
        self.faults = []
        if not os.path.exists(path):
            with open(path, "wb") as file:
                file.write(b"\xff" * size_bytes)
        self._file = open(path, "r+b")  # noqa: SIM115 - closed by close()
        self._cells = mmap.mmap(self._file.fileno(), size_bytes)

    def close(self):
        self._cells.close()
        self._file.close()

    def read(self, offset, length):
        """The bytes there; fewer at the end of the chip."""
        return self._cells[offset:offset + length]

    def erase(self, offset, length):
        """Erase whole sectors; `offset` and `length` in bytes."""
        if offset % SECTOR_BYTES or length % SECTOR_BYTES:
            self.faults.append(f"erase of {length:#x} bytes at {offset:#x}, not on the borders of sectors")
        end = min(offset + length, self.size_bytes)
        if offset + length > self.size_bytes:
            self.faults.append(f"erase up to {offset + length:#x}, beyond the end of the flash")
        if offset < end:
            self._cells[offset:end] = b"\xff" * (end - offset)

    def program(self, offset, data):
        """Write bytes where all is erased; a cell that is not keeps its zeros, and that is noted."""
        if offset + len(data) > self.size_bytes:
            self.faults.append(f"write up to {offset + len(data):#x}, beyond the end of the flash")
            data = data[:max(0, self.size_bytes - offset)]
        before = self._cells[offset:offset + len(data)]
        if before.count(0xFF) != len(before):
            self.faults.append(f"write of {len(data)} bytes at {offset:#x}, where it is not erased")
            data = bytes(old & new for old, new in zip(before, data, strict=True))
        self._cells[offset:offset + len(data)] = data


def replayed(content, journal):
    """Yield the content of a flash after each erase and write of a `journal` (bytes), from `content` before them on:
    what a power cut just then leaves behind."""
    cells, at = bytearray(content), 0
    while at < len(journal):
        offset, length = _RECORD.unpack_from(journal, at)
        at += _RECORD.size
        cells[offset:offset + (length or SECTOR_BYTES)] = journal[at:at + length] or b"\xff" * SECTOR_BYTES
        at += length
        yield bytes(cells)
