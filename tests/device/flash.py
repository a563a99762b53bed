"""A NOR flash in memory, below the interpreter's own littlefs, whose power fails at a chosen operation."""

import os

try:
    import vfs
except ImportError:  # CPython has no littlefs: its tests use a folder of the computer
    vfs = None

BLOCK_BYTES = 4096  # an ESP32's erase unit
BLOCKS = 8
ROOT = "/flash"


class Flash:
    """Programs only clear bits and erases set a whole block, as NOR does.

    At operation `cut_at` (counted from 0 over programs and erases) the first `torn` tenths of it happen, and
    from then on the device does nothing, and is `dead`. The next `failing` operations fail. `erases` counts them for
    each block.
    """

    def __init__(self, image, cut_at=None, torn=0):
        self.image = image
        self.operations = 0
        self.erases = [0] * (len(image) // BLOCK_BYTES)
        self.dead = self._failed = False
        self.failing = 0
        self._cut_at = cut_at
        self._torn = torn

    def readblocks(self, block, buf, offset=0):
        start = block * BLOCK_BYTES + offset
        buf[:] = memoryview(self.image)[start : start + len(buf)]
        return self._answer()

    def writeblocks(self, block, buf, offset=0):
        start = block * BLOCK_BYTES + offset
        for i in range(self._operate(len(buf))):
            self.image[start + i] &= buf[i]
        return self._answer(self._failed)

    def ioctl(self, request, argument):
        if request == 4:
            return len(self.image) // BLOCK_BYTES
        if request == 5:
            return BLOCK_BYTES
        if request == 6:
            start = argument * BLOCK_BYTES
            self.erases[argument] += 1
            count = self._operate(BLOCK_BYTES)
            self.image[start : start + count] = b"\xff" * count
            return self._answer(self._failed)

    def _operate(self, count):
        """How many of an operation's bytes still happen."""
        self._failed = self.failing > 0
        self.failing -= self._failed
        if self.dead or self._failed:
            return 0
        if self.operations == self._cut_at:
            self.dead = True
            return count * self._torn // 10
        self.operations += 1
        return count

    def _answer(self, failed=False):
        return -5 if self.dead or failed else 0  # EIO, returned: files that nobody closed meet it in a finaliser


def formatted(blocks=BLOCKS):
    """The image of an empty littlefs."""
    flash = Flash(bytearray(b"\xff" * (blocks * BLOCK_BYTES)))
    vfs.VfsLfs2.mkfs(flash)
    return flash.image


class mounted:
    """`with mounted(flash):` has the flash at ROOT; the block may fail when power does."""

    def __init__(self, flash):
        self._flash = flash

    def __enter__(self):
        _unmount()
        vfs.mount(vfs.VfsLfs2(self._flash), ROOT)

    def __exit__(self, *error):
        _unmount()
        return False


def _unmount():
    if ROOT[1:] in os.listdir("/"):
        vfs.umount(ROOT)


def folder():
    """A new empty folder: on littlefs where there is one."""
    if vfs is None:
        import tempfile

        return tempfile.mkdtemp()
    _unmount()
    vfs.mount(vfs.VfsLfs2(Flash(formatted())), ROOT)
    return ROOT
