"""What is in flash: partition table and applications, as the ESP32 port of MicroPython lays them out.

Sources: ESP-IDF, "Partition Tables" and "App Image Format". All numbers little endian.
"""

import hashlib
import re
import struct
from collections import namedtuple

from esptool import FatalError
from esptool.bin_image import LoadFirmwareImage

from tools import errors

TABLE_OFFSET = 0x8000
TABLE_BYTES = 0xC00
SECTOR_BYTES = 4096
IMAGE_MAGIC = 0xE9
_ENTRY = "<2sBBII16sI"
_ENTRY_MAGIC, _MD5_MAGIC = b"\xaa\x50", b"\xeb\xeb"
_APP, _DATA = 0, 1
_FAT = 0x81  # subtype of MicroPython's file system, whatever is in it
_VERSION = re.compile(rb"MicroPython (v[0-9]+\.[0-9]+\.[0-9]+[!-~]*) on ([0-9]{4}-[0-9]{2}-[0-9]{2})")
_MODEL = re.compile(rb"\0([!-~][ -~]{2,60} with ESP[!-~]{2,12})\0")
_FLASH_SIZES = {0: 1, 1: 2, 2: 4, 3: 8, 4: 16, 5: 32}  # MB, by the upper half of the header's fourth byte

Partition = namedtuple("Partition", "name kind subtype offset size")
Partition.__doc__ = "One line of a partition table; `offset` and `size` in bytes."


def partitions(table):
    """The entries of a partition table. Raises ValueError when it is none, or its MD5 is wrong."""
    found = []
    for at in range(0, min(len(table), TABLE_BYTES), 32):
        entry = table[at:at + 32]
        if entry[:2] == _MD5_MAGIC:
            if hashlib.md5(table[:at]).digest() != entry[16:]:
                raise ValueError("the partition table's checksum is wrong")
            return found
        if entry[:2] != _ENTRY_MAGIC:
            break
        _, kind, subtype, offset, size, name, _ = struct.unpack(_ENTRY, entry)
        found.append(Partition(name.rstrip(b"\0").decode("utf-8", "replace"), kind, subtype, offset, size))
    if not found:
        raise ValueError("no partition table")
    return found


def table(entries):
    """A partition table of these entries, as written to flash: with its MD5, padded to its full length."""
    lines = b"".join(struct.pack(_ENTRY, _ENTRY_MAGIC, *entry[1:], entry.name.encode(), 0) for entry in entries)
    return (lines + _MD5_MAGIC + b"\xff" * 14 + hashlib.md5(lines).digest()).ljust(TABLE_BYTES, b"\xff")


def application(entries):
    """The partition that boots from a fresh flash: `factory`, else the first slot for updates, else None."""
    apps = sorted((entry for entry in entries if entry.kind == _APP), key=lambda entry: entry.subtype)
    return apps[0] if apps else None


def file_system(entries, flash_bytes):
    """The partition that MicroPython mounts as /: `vfs` or `ffat`; since 1.26 what is left of the flash behind the last
    partition, where the table has none. None where nothing is left."""
    for entry in entries:
        if entry.name in ("vfs", "ffat"):
            return entry
    start = max(entry.offset + entry.size for entry in entries)
    start = -(-start // SECTOR_BYTES) * SECTOR_BYTES
    return Partition("vfs", _DATA, _FAT, start, flash_bytes - start) if start < flash_bytes else None


def fault(chip, image):
    """What is wrong with an application or second bootloader, as the ROM would find it; None when it is whole."""
    if image[:1] != bytes((IMAGE_MAGIC,)):
        return f"invalid header: 0x{image[:4][::-1].hex()}"
    try:
        loaded = LoadFirmwareImage(chip, image)
    except (FatalError, struct.error, IndexError) as error:
        return f"not an image of {chip}: {str(error).splitlines()[0]}"
    if loaded.checksum != loaded.calculate_checksum():
        return "its checksum is wrong"
    if loaded.append_digest and loaded.stored_digest != loaded.calc_digest:
        return "its SHA-256 is wrong"
    return None


def version(content):
    """(version such as "v1.25.0", date) of the MicroPython in an application; (None, None) when it is none."""
    match = _VERSION.search(content)
    return (match[1].decode(), match[2].decode()) if match else (None, None)


class Firmware:
    """A MicroPython image in one file, as it is published: second bootloader, partition table, application.

    Raises UserError with what is wrong with it. `chip` is esptool's name, `offset` where the file belongs.
    """

    def __init__(self, name, content):
        self.name = name
        self.content = content
        if len(content) < TABLE_OFFSET or content[0] != IMAGE_MAGIC:
            raise errors.UserError(
                f"{name} is no image of MicroPython for an ESP32: it does not begin with a bootloader (0xE9). "
                "Take the .bin of your board from the list at micropython.org/download, not the .uf2, .elf or .app-bin",
                errors.FAILED)
        self.chip = _chip_of(name, content)
        self.offset = _boot_offset(self.chip)
        self.table_at = TABLE_OFFSET - self.offset
        try:
            self.partitions = partitions(content[self.table_at:self.table_at + TABLE_BYTES])
        except ValueError as error:
            raise errors.UserError(f"{name}: {error} where one belongs; the file is damaged or for another chip",
                                   errors.FAILED) from None
        self.application = application(self.partitions)
        self._check_whole()
        self.version, self.date = version(content)
        model = _MODEL.search(content)
        self.model = model[1].decode() if model else None

    @property
    def flash_bytes(self):
        """The size of flash that its header asks for, in bytes."""
        return _FLASH_SIZES.get(self.content[3] >> 4, 4) << 20

    def _check_whole(self):
        parts = [("bootloader", self.content[:self.table_at])]
        if self.application is None:
            raise errors.UserError(f"{self.name} has no application in its partition table", errors.FAILED)
        start = self.application.offset - self.offset
        parts.append(("application", self.content[start:start + self.application.size]))
        for part, image in parts:
            wrong = fault(self.chip, image)
            if wrong:
                raise errors.UserError(
                    f"{self.name} is damaged: its {part}: {wrong}. Fetch it again", errors.FAILED)


def _chip_of(name, content):
    from esptool.targets import CHIP_DEFS

    number = int.from_bytes(content[12:14], "little")
    for chip, rom in CHIP_DEFS.items():
        if chip.startswith("esp32") and getattr(rom, "IMAGE_CHIP_ID", None) == number:
            return chip
    raise errors.UserError(f"{name} is for a chip that esptool does not know (number {number})", errors.FAILED)


def _boot_offset(chip):
    from esptool.targets import CHIP_DEFS

    return CHIP_DEFS[chip].BOOTLOADER_FLASH_OFFSET
