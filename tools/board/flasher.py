"""Flashing MicroPython by esptool's public interface: which chip, which image, what has to be erased, is it whole."""

import contextlib
import sys
from collections import namedtuple

import serial
from esptool import FatalError, cmds
from esptool.logger import EspLog, TemplateLogger, log
from esptool.util import flash_size_bytes

from tools import errors
from tools.board import images

_ATTEMPTS = 3  # to reach the loader; each takes about two seconds
_LOOK_BYTES = 8192  # the first two blocks of littlefs hold its superblock
_LITTLEFS = b"littlefs"  # in the superblock, littlefs specification SPEC.md
_ERASED = 0xFF

Found = namedtuple("Found", "chip description features mac flash_bytes")
Found.__doc__ = "What is on the port: esptool's name of the chip, description, features, MAC address, bytes of flash."


class Progress(TemplateLogger):
    """esptool's voice, kept down to the progress it makes. `show(done, total, text)` is called with it."""

    def __init__(self, show):
        self._show = show

    def print(self, *args, **kwargs):
        """Not for the person."""

    note = warning = error = print

    def stage(self, finish=False):
        """Nor this."""

    def progress_bar(self, cur_iter, total_iters, prefix="", suffix="", bar_length=30):
        self._show(cur_iter, total_iters, prefix)

    def set_verbosity(self, verbosity):
        """There is one."""


@contextlib.contextmanager
def _only_progress(show):
    before = EspLog.instance
    log.set_logger(Progress(show))
    try:
        yield
    finally:
        EspLog.instance = before


class Flasher:
    """The loader of the board at the open `port`. A context manager: entered, the chip is known and its stub runs;
    left, the chip has been reset and runs what is in its flash. Everything raises UserError with what to do.

    `show(done, total, text)` hears of progress in bytes.
    """

    def __init__(self, port, name, baud=460800, show=lambda done, total, text: None):
        self._port = port
        self._name = name
        self._baud = baud
        self._show = show
        self._esp = None
        self.found = None

    def __enter__(self):
        with self._told(), _only_progress(self._show):
            self._esp = self._connected()
            esp = self._esp = cmds.run_stub(self._esp)
            if self._baud != esp.ESP_ROM_BAUD:
                esp.change_baud(self._baud)
            cmds.attach_flash(esp)
            size = cmds.detect_flash_size(esp)
            mac = ":".join(f"{byte:02x}" for byte in esp.read_mac())
            chip = esp.CHIP_NAME.lower().replace("-", "")
            features = ", ".join(esp.get_chip_features())
            self.found = Found(chip, esp.get_chip_description(), features, mac,
                               flash_size_bytes(size) if size else None)
        return self

    def __exit__(self, kind, *_):
        if self._esp is not None and kind is None:
            with self._told(), _only_progress(self._show):
                cmds.reset_chip(self._esp, "hard-reset")
                self._port.baudrate = self._esp.ESP_ROM_BAUD

    def _connected(self):
        try:
            return cmds.detect_chip(self._port, connect_attempts=_ATTEMPTS)
        except FatalError as error:
            text = " ".join(str(error).split())
            if "Wrong boot mode" in text:
                why = "it does not go into its bootloader by itself: hold BOOT while you press RESET, and try again"
            elif "download mode" in text:
                why = ("the chip was reset and does not hear us: its receive line is not connected (is it a cable for "
                       "data?), or something else is on its serial pins")
            else:
                why = ("no chip answers. Is it a cable for data, not for charging only? Is it the right port? Hold "
                       "BOOT while you press RESET, and try again")
            raise errors.UserError(f"{self._name}: {why}", errors.UNREACHABLE) from None

    @contextlib.contextmanager
    def _told(self):
        """Errors of esptool and of the port, as what a person can do about them."""
        try:
            yield
        except FatalError as error:
            raise errors.UserError(f"{self._name}: esptool says: {str(error).splitlines()[0]}. Run it again, slower "
                                   "(--baud 115200) if it fails again", errors.FAILED) from None
        except (serial.SerialException, OSError) as error:
            raise errors.UserError(f"{self._name}: the connection broke ({error}). Plug the cable in again and repeat "
                                   "the command", errors.UNREACHABLE) from None

    def refuse(self, firmware):
        """Raise UserError when an image is for another chip, or larger than this one's flash."""
        found = self.found
        if firmware.chip != found.chip:
            raise errors.UserError(
                f"{firmware.name} is for {firmware.chip}, the board at {self._name} is {found.chip} "
                f"({found.description}): take the image for {found.chip}", errors.FAILED)
        if found.flash_bytes and firmware.flash_bytes > found.flash_bytes:
            raise errors.UserError(
                f"{firmware.name} needs {firmware.flash_bytes >> 20} MB of flash, the board at {self._name} has "
                f"{found.flash_bytes >> 20} MB", errors.FAILED)

    def write(self, firmware, erase=False):
        """Write an image and check it by its MD5 in flash. Returns what was erased beyond it, in words, or None."""
        self.refuse(firmware)
        with self._told(), _only_progress(self._show):
            erased = None
            if erase:
                self._esp.erase_flash()
                erased = "the whole flash"
            else:
                erased = self._make_room(firmware)
            cmds.write_flash(self._esp, [(firmware.offset, firmware.content)], flash_size="keep")
        return erased

    def _make_room(self, firmware):
        """MicroPython does not format over what it does not know: erase what lies where the file system begins and is
        neither littlefs nor erased."""
        files = images.file_system(firmware.partitions, self.found.flash_bytes or firmware.flash_bytes)
        if files is None:
            return None
        head = self._esp.read_flash(files.offset, _LOOK_BYTES)
        if _LITTLEFS in head or head.count(_ERASED) == len(head):
            return None
        self._esp.erase_region(files.offset, _LOOK_BYTES)
        return "what lay where the file system belongs and was no littlefs"

    def read(self, offset, length):
        """Bytes of the flash."""
        with self._told(), _only_progress(self._show):
            return self._esp.read_flash(offset, length)


def bar(text):
    """A `show` that draws a line on standard error, where that is a terminal."""
    def show(done, total, _):
        if sys.stderr.isatty():
            share = done / total if total else 1
            end = "\n" if done >= total else ""
            print(f"\r  {text} {'#' * round(share * 30):30} {share:4.0%}", end=end, file=sys.stderr, flush=True)

    return show
