"""A small image that has the form of MicroPython's and a virtual board boots: nothing in it could run on a chip."""

import functools
import hashlib
import operator
import struct

from esptool.targets import CHIP_DEFS

from tools.board import images
from tools.sim.board.chips import CHIPS

LAYOUT = (
    images.Partition("nvs", 1, 2, 0x9000, 0x6000),
    images.Partition("phy_init", 1, 1, 0xF000, 0x1000),
    images.Partition("factory", 0, 0, 0x10000, 0x20000),
    images.Partition("vfs", 1, 0x81, 0x30000, 0x100000),
)


def executable(chip, content, flash_size=2):
    """An image as ROM and bootloader take it, with one segment; `flash_size` as its header has it (2: 4 MB)."""
    rom = CHIP_DEFS[chip]
    content += bytes(-len(content) % 4)
    head = struct.pack("<BBBBI", images.IMAGE_MAGIC, 1, 2, flash_size << 4, 0x40080000)
    head += struct.pack("<BBBBHBHH4xB", 0xEE, 0, 0, 0, rom.IMAGE_CHIP_ID, 0, 0, 0xFFFF, 1)
    body = head + struct.pack("<II", 0x3FFB0000, len(content)) + content
    body += bytes(15 - len(body) % 16) + bytes((functools.reduce(operator.xor, content, 0xEF),))
    return body + hashlib.sha256(body).digest()


def small(chip="esp32", version="v1.25.0", layout=LAYOUT, app_bytes=40_000):
    """A whole image as published, of a few kilobytes: nothing in it could run on a chip."""
    offset = CHIP_DEFS[chip].BOOTLOADER_FLASH_OFFSET
    text = f"\0MicroPython {version} on 2025-04-15\0{CHIPS[chip].model}\0".encode()
    noise = hashlib.shake_128(chip.encode()).digest(app_bytes)
    parts = {offset: executable(chip, b"second bootloader " * 8), images.TABLE_OFFSET: images.table(layout),
             images.application(layout).offset: executable(chip, text + noise)}
    result = bytearray()
    for at, part in sorted(parts.items()):
        result += b"\xff" * (at - offset - len(result)) + part
    return bytes(result)
