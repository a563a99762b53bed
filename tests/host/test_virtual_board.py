"""The virtual board, as the real esptool, mpremote and ampy meet it: it does what a board does, and notices more."""

import os
import subprocess
import sys
import time

import pytest
import serial
from esptool import FatalError, cmds

from tests.host import firmware_images
from tools.board import images, ports
from tools.sim.board.board import HARD, SOFT, WATCHDOG, VirtualBoard
from tools.sim.board.chips import CHIPS

pytestmark = pytest.mark.filterwarnings("ignore:set(Daemon|Name)", "ignore:Exception in thread")
LIMIT_S = 60
PROMPT = b">>> "


@pytest.fixture
def board(tmp_path):
    """A board with nothing in its flash."""
    with VirtualBoard(tmp_path / "flash") as board:
        yield board


def put(board, image, chip="esp32"):
    """Have the image in flash, without a cable, and start the board."""
    board.flash.program(board.chip.boot_offset, image)
    board.pull()
    board.plug()
    assert board.await_said(PROMPT), bytes(board.log)


@pytest.fixture
def running(board):
    """A board at MicroPython's prompt."""
    put(board, firmware_images.small())
    return board


def tool(name, *argv):
    """Run one of the tools as a user does; returns what it printed."""
    path = os.path.join(os.path.dirname(sys.executable), name)
    done = subprocess.run([path, *map(str, argv)], capture_output=True, text=True, timeout=LIMIT_S)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def exec_there(board, code):
    """Have the real mpremote execute something on it."""
    return tool("mpremote", "connect", board.rfc2217(espressif=False).url, "exec", code)


def program(board, name, text):
    """Have a file on it."""
    exec_there(board, f"f = open({name!r}, 'w'); f.write({text!r}); f.close()")


def connected(board):
    """esptool's object for the board in download mode, with its stub, and the port."""
    port = ports.opened(board.rfc2217().url)
    return cmds.run_stub(cmds.detect_chip(port)), port


@pytest.mark.parametrize("chip", CHIPS)
def test_esptool_flashes_every_chip_which_then_runs_micropython(tmp_path, chip):
    image = firmware_images.small(chip)
    with VirtualBoard(tmp_path / "flash", chip) as board:
        esp, port = connected(board)
        assert esp.CHIP_NAME.lower().replace("-", "") == chip
        assert esp.read_mac() == (0x24, 0x6F, 0x28, 0xA1, 0xB2, 0xC3)
        cmds.attach_flash(esp)
        assert cmds.detect_flash_size(esp) == "4MB"
        cmds.write_flash(esp, [(board.chip.boot_offset, image)], no_progress=True)
        assert esp.read_flash(board.chip.boot_offset, len(image)) == image
        mark = len(board.log)
        cmds.reset_chip(esp)
        assert board.await_said(board.chip.model.encode() + b"\r\n", since=mark), bytes(board.log[mark:])
        port.close()
        assert not board.noticed()


@pytest.mark.parametrize("chip", ["esp32", "esp32s2", "esp32s3"])
def test_the_rom_is_there_without_the_stub_too(tmp_path, chip):
    image = firmware_images.small(chip, app_bytes=4_000)
    with VirtualBoard(tmp_path / "flash", chip) as board:
        port = ports.opened(board.rfc2217().url)
        esp = cmds.detect_chip(port)
        cmds.attach_flash(esp)
        cmds.write_flash(esp, [(board.chip.boot_offset, image)], no_progress=True)
        assert board.flash.read(board.chip.boot_offset, len(image)) == image
        port.close()
        assert not board.noticed()


def test_mpremote_writes_files_that_stay(running, tmp_path):
    source = tmp_path / "note.txt"
    source.write_text("kept\n")
    tool("mpremote", "connect", running.rfc2217(espressif=False).url, "cp", source, ":note.txt")
    running.pull()
    running.plug()
    assert exec_there(running, "print(open('note.txt').read())").split() == ["kept"]
    assert not running.noticed()


def test_ampy_writes_files_over_a_pseudo_terminal(running, tmp_path):
    source = tmp_path / "note.txt"
    source.write_text("kept\n")
    line = running.pty()
    tool("ampy", "--port", line.url, "put", source)
    assert "note.txt" in tool("ampy", "--port", line.url, "ls")
    assert tool("ampy", "--port", line.url, "get", "note.txt").split() == ["kept"]


def test_it_is_the_machine_that_it_says(running):
    said = exec_there(running, "import machine, sys; print(machine.unique_id().hex(), sys.platform, "
                      "sys.implementation.version[:3], sys.implementation._machine)")
    assert said.strip() == "246f28a1b2c3 esp32 (1, 25, 0) Generic ESP32 module with ESP32"


def test_boot_and_main_run_at_a_start_and_main_not_in_the_raw_repl(running):
    program(running, "boot.py", "print('boot ran')")
    program(running, "main.py", "import machine; print('main ran', machine.reset_cause())")
    mark = len(running.log)
    assert "boot ran" not in exec_there(running, "pass")
    assert b"boot ran" in running.log[mark:] and b"main ran" not in running.log[mark:]
    running.pull()
    running.plug()
    assert running.await_said(b"main ran 1\r\n")


def test_a_program_that_never_ends_is_interrupted(running):
    program(running, "main.py", "while True: pass")
    running.pull()
    running.plug()
    assert exec_there(running, "print('heard')").strip() == "heard"


def test_a_reset_by_the_program_starts_all_over(running):
    program(running, "main.py", "import machine\nif machine.reset_cause() == 1: machine.reset()")
    mark = len(running.log)
    running.pull()
    running.plug()
    assert running.await_said(PROMPT, since=mark)
    assert running.resets[-1] == HARD


def test_leaving_the_program_is_a_soft_reset(running):
    program(running, "main.py", "import machine, sys\nif machine.reset_cause() == 1: sys.exit()")
    mark = len(running.log)
    running.pull()
    running.plug()
    assert running.await_said(b"MPY: soft reboot", since=mark)
    assert running.await_said(PROMPT, since=mark) and running.resets[-1] == SOFT


def test_a_watchdog_that_nobody_feeds_resets_also_at_the_prompt(running):
    mark = len(running.log)
    exec_there(running, "import machine; machine.WDT(timeout=300)")
    assert running.await_said(b"TG0WDT_SYS_RESET", since=mark)
    assert running.await_said(PROMPT, since=mark) and WATCHDOG in running.resets


def test_an_empty_flash_boots_in_circles(board):
    mark = len(board.log)
    assert board.await_said(b"invalid header: 0xffffffff")
    assert board.await_said(b"invalid header: 0xffffffff", since=mark + 100)


@pytest.mark.parametrize("spoil, says", [
    (lambda flash, at: flash.program(0x10000 + 200, bytes(64)), b"checksum is wrong"),
    (lambda flash, at: flash.erase(at, 4096), b"invalid header: 0xffffffff"),
    (lambda flash, at: flash.program(images.TABLE_OFFSET + 4, bytes(4)), b"partition table's checksum is wrong"),
])
def test_a_damaged_flash_does_not_run(running, spoil, says):
    mark = len(running.log)
    spoil(running.flash, running.chip.boot_offset)
    running.pull()
    running.plug()
    assert running.await_said(says, since=mark)


def test_an_image_at_the_wrong_place_does_not_run(board):
    image = firmware_images.small()
    esp, port = connected(board)
    cmds.attach_flash(esp)
    cmds.write_flash(esp, [(0, image)], no_progress=True, force=True)
    mark = len(board.log)
    cmds.reset_chip(esp)
    assert board.await_said(b"invalid header", since=mark)
    port.close()


def test_a_file_system_that_is_none_is_not_formatted_over(board):
    board.flash.program(0x30000, b"somebody's data")
    board.flash.program(board.chip.boot_offset, firmware_images.small())
    board.pull()
    board.plug()
    assert board.await_said(b"The filesystem appears to be corrupted")


def test_a_write_where_nothing_was_erased_is_noticed(board):
    board.flash.program(0x1000, b"old")
    board.flash.program(0x1000, b"new")
    assert "where it is not erased" in board.noticed()[0]


def test_a_block_too_many_is_noticed(board):
    esp, port = connected(board)
    cmds.attach_flash(esp)
    esp.flash_begin(0x1000, 0x20000)
    esp.flash_block(b"\x00" * 0x4000, 0)
    with pytest.raises(FatalError):
        esp.flash_block(b"\x00" * 0x4000, 1)
    port.close()


def test_a_missing_reset_is_noticed(board):
    esp, port = connected(board)
    port.write(b"\r\x03\x03")
    deadline = time.monotonic() + LIMIT_S
    while not board.noticed() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert "the reset is missing" in board.noticed()[0]
    port.close()


def test_a_wrong_byte_on_the_line_is_caught_by_the_checksum(board):
    image = firmware_images.small(app_bytes=4_000)
    esp, port = connected(board)
    cmds.attach_flash(esp)
    board.faults.flip_after_bytes = 3_000
    cmds.write_flash(esp, [(0x1000, image)], no_progress=True)
    assert board.faults.flip_after_bytes is None, "it happened"
    assert board.flash.read(0x1000, len(image)) == image
    port.close()


def test_pulling_the_cable_breaks_the_line_and_keeps_the_flash(running):
    line = running.rfc2217()
    port = ports.opened(line.url)
    running.faults.pull_after_bytes = 5
    with pytest.raises(serial.SerialException):
        deadline = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline:
            port.write(b"x" * 10)
            port.read(1)
    port.close()
    with pytest.raises(Exception, match="does not answer|nobody serves"):
        ports.opened(line.url)
    running.plug()
    ports.opened(line.url).close()


def test_a_second_host_is_turned_away(running):
    line = running.rfc2217()
    port = ports.opened(line.url)
    with pytest.raises(Exception, match="is another program connected"):
        ports.opened(line.url)
    port.close()


def test_a_remote_port_sends_its_settings_once(running):
    port = ports.opened(running.rfc2217().url)
    began = time.monotonic()
    for timeout in range(1, 200):
        port.timeout = timeout
    assert time.monotonic() - began < 10, "pyserial's own takes 0.15 s each"
    port.close()
