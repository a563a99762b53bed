"""What tests of verbs on a virtual board share."""

import os
import shutil

import pytest

from tests.host import firmware_images
from tools.sim.board.board import VirtualBoard

PROMPT = b">>> "
HOME = {"ssid": "home", "password": "correct horse", "rssi": -50}


@pytest.fixture
def virtual(tmp_path):
    """Makes virtual boards; with `image`, MicroPython is on them and runs."""
    boards = []

    def make(image=True, chip="esp32", **options):
        board = VirtualBoard(tmp_path / f"flash{len(boards)}", chip, access_points=[HOME], **options)
        boards.append(board)
        if image:
            board.flash.program(board.chip.boot_offset, firmware_images.small(chip))
        board.plug()
        if image:
            assert board.await_said(PROMPT), bytes(board.log)
        return board

    yield make
    for board in boards:
        board.__exit__()


@pytest.fixture
def image(tmp_path):
    """The path of a small image for an ESP32."""
    path = tmp_path / "ESP32_GENERIC-20250415-v1.25.0.bin"
    path.write_bytes(firmware_images.small())
    return path


def replug(board):
    """Pull the cable and put it in again; wait for the prompt or a program's words."""
    mark = len(board.log)
    board.pull()
    board.plug()
    assert board.await_said(b"SPI_FAST_FLASH_BOOT", since=mark)


def on_board(board, tmp_path):
    """Path -> content of every file in the board's littlefs, read from a copy by other code than it runs."""
    copy = os.path.join(tmp_path, "copy")
    shutil.copyfile(board.flash.path, copy)
    with open(copy, "rb") as file:
        return tree_of(file.read())


def tree_of(content):
    """Path -> content of every file in the littlefs of a whole flash (bytes)."""
    from littlefs import LittleFS

    from tools.board import images

    table = images.partitions(content[images.TABLE_OFFSET:images.TABLE_OFFSET + images.TABLE_BYTES])
    place = images.file_system(table, len(content))
    system = LittleFS(block_size=4096, block_count=place.size // 4096, mount=False)
    system.context.buffer[:] = content[place.offset:place.offset + place.size]
    system.mount()
    return {os.path.join(folder, name)[1:]: system.open(os.path.join(folder, name), "rb").read()
            for folder, _, names in system.walk("/") for name in names}
