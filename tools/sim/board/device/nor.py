"""A partition of the flash file as a block device, with the rules of NOR flash."""

import struct

BLOCK_BYTES = 4096


class Partition:
    """As esp32.Partition: `readblocks`, `writeblocks`, `ioctl`. Programming what is not erased is told as a fault.
    `journal`, if not None: a file that each erase and write is added to, as tools.sim.board.flash.replayed reads it."""

    def __init__(self, path, offset, size, tell, journal=None):
        self._file = open(path, "r+b")
        self._offset = offset
        self._count = size // BLOCK_BYTES
        self._tell = tell
        self._journal = open(journal, "ab") if journal else None

    def readblocks(self, block, buf, at=0):
        self._file.seek(self._offset + block * BLOCK_BYTES + at)
        self._file.readinto(buf)

    def writeblocks(self, block, buf, at=None):
        if at is None:
            self.ioctl(6, block)
            at = 0
        before = bytearray(len(buf))
        self.readblocks(block, before, at)
        if before.count(b"\xff") != len(before):
            self._tell("fault", "block %d: a write where it is not erased" % block)
        self._file.seek(self._offset + block * BLOCK_BYTES + at)
        self._file.write(buf)
        self._note(block * BLOCK_BYTES + at, buf)

    def ioctl(self, operation, argument):
        if operation == 4:
            return self._count
        if operation == 5:
            return BLOCK_BYTES
        if operation == 6:
            self._file.seek(self._offset + argument * BLOCK_BYTES)
            self._file.write(b"\xff" * BLOCK_BYTES)
            self._note(argument * BLOCK_BYTES, b"")
            return 0

    def _note(self, at, data):
        if self._journal:
            self._journal.write(struct.pack("<II", self._offset + at, len(data)) + bytes(data))

    def is_erased(self):
        """Whether the first block is, which is what the port looks at."""
        buf = bytearray(BLOCK_BYTES)
        self.readblocks(0, buf)
        return buf.count(b"\xff") == BLOCK_BYTES
