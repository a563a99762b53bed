"""A board's whole flash in one file: MicroPython, partition table, littlefs with the node and its configuration."""

import hashlib
import json
import os
from collections import namedtuple

from littlefs import LittleFS
from littlefs.errors import LittleFSError

from tools import errors
from tools.board import images

_DISK_VERSION = 0x0002_0000  # 2.0: every MicroPython since 1.12 mounts it
_FAMILIES = {"esp32": "ESP32", "esp32s2": "ESP32-S2", "esp32s3": "ESP32-S3", "esp32c3": "ESP32-C3",
             "esp32c6": "ESP32-C6"}

Unpacked = namedtuple("Unpacked", "firmware partitions files")
Unpacked.__doc__ = "What is in an image: images.Firmware, its partition table, path -> content of its file system."


def file_system(files, size):
    """The bytes of a littlefs of `size` bytes with these files (path -> content). Raises UserError: it is too small."""
    system = LittleFS(block_size=images.SECTOR_BYTES, block_count=size // images.SECTOR_BYTES,
                      read_size=32, prog_size=32, disk_version=_DISK_VERSION)
    try:
        for path, content in sorted(files.items()):
            folder = os.path.dirname(path)
            if folder:
                system.makedirs(folder, exist_ok=True)
            with system.open(path, "wb") as file:
                file.write(content)
    except LittleFSError as error:
        raise errors.UserError(f"the file system of {size // 1024} KB is too small ({error}): --flash-size names a "
                               "larger flash", errors.FAILED) from None
    return bytes(system.context.buffer)


def packed(firmware, files, flash_bytes=None):
    """The image of a flash of `flash_bytes` (None: as the firmware's header has it), from `firmware.offset` on. Where
    its partition table leaves the size of the file system to MicroPython, it is written down."""
    flash_bytes = flash_bytes or firmware.flash_bytes
    place = images.file_system(firmware.partitions, flash_bytes)
    if place is None or place.offset + place.size > flash_bytes:
        raise errors.UserError(f"{firmware.name} does not fit a flash of {flash_bytes >> 20} MB: name a larger one "
                               "with --flash-size, or another image", errors.FAILED)
    content = bytearray(firmware.content[:place.offset - firmware.offset])
    if place not in firmware.partitions:
        table = images.table([*firmware.partitions, place])
        content[firmware.table_at:firmware.table_at + len(table)] = table
    content += b"\xff" * (place.offset - firmware.offset - len(content))
    content += file_system(files, place.size)
    end = len(content.rstrip(b"\xff"))
    return bytes(content[:-(-end // images.SECTOR_BYTES) * images.SECTOR_BYTES])


def unpacked(name, content):
    """What is in an image. Raises UserError when it is not whole, or has no littlefs."""
    firmware = images.Firmware(name, content)
    place = images.file_system(firmware.partitions, firmware.flash_bytes)
    start = place.offset - firmware.offset
    system = LittleFS(block_size=images.SECTOR_BYTES, block_count=place.size // images.SECTOR_BYTES, mount=False)
    system.context.buffer[:] = content[start:start + place.size].ljust(place.size, b"\xff")
    try:
        system.mount()
    except LittleFSError as error:
        raise errors.UserError(f"{name}: no littlefs at {place.offset:#x} ({error})", errors.FAILED) from None
    files = {}
    for folder, _, names in system.walk("/"):
        for entry in names:
            path = os.path.join(folder, entry)
            with system.open(path, "rb") as file:
                files[path.lstrip("/")] = file.read()
    return Unpacked(firmware, firmware.partitions, files)


def manifest(name, version, chip, path, offset):
    """What ESP Web Tools, the flasher in a browser, wants to know (esphome.github.io/esp-web-tools, "manifest")."""
    build = {"chipFamily": _FAMILIES[chip], "parts": [{"path": path, "offset": offset}]}
    return json.dumps({"name": name, "version": version, "new_install_prompt_erase": True, "builds": [build]}, indent=2)


def digest(content):
    return hashlib.sha256(content).hexdigest()
