"""The virtual board itself: power, reset and strapping pin, ROM, and what then runs."""

import threading
import time
from collections import namedtuple

from tools import ROOT
from tools.board import images
from tools.board.pins import PINS
from tools.sim.board.chips import CHIPS, Registers
from tools.sim.board.flash import Flash
from tools.sim.board.interpreter import Interpreter
from tools.sim.board.lines import Pty, Rfc2217
from tools.sim.board.loader import Loader
from tools.sim.bus import Buses
from tools.sim.world import World

_RISE_S = 0.005  # the capacitor at EN: the chip starts, and looks at its boot pin, this much after EN was let go
_LOOP_S = 0.3  # between two starts of a board whose flash it cannot boot
_MPY_ARCHITECTURES = {"esp32": 10, "esp32s2": 10, "esp32s3": 10, "esp32c3": 11, "esp32c6": 11}  # xtensawin, rv32imc
_BITS_PER_BYTE = 10  # with start and stop bit

Cause = namedtuple("Cause", "number rom")
POWER_ON = Cause(1, "rst:0x1 (POWERON_RESET)")
HARD = Cause(2, "rst:0xc (SW_CPU_RESET)")
WATCHDOG = Cause(3, "rst:0x7 (TG0WDT_SYS_RESET)")
DEEP_SLEEP = Cause(4, "rst:0x5 (DEEPSLEEP_RESET)")
SOFT = Cause(5, "")


class Faults:
    """What is wrong with the board or its cable; set before or while it runs.

    `pull_after_bytes`: the cable comes out once the host has sent so many from now on. `garbage`: said at each reset.
    `flip_after_bytes`: the byte after so many from the host arrives wrong, once. `boot_loop`: nothing ever runs.
    `deaf`: what the host says does not arrive; with `mute`, nor does what the board says: a cable without data lines.
    `paced`: bytes take their time at the line's speed. `strapped`: something pulls the boot pin low. `bytecode`: what
    its MicroPython says that it reads.
    """

    def __init__(self):
        self.pull_after_bytes = None
        self.garbage = b""
        self.flip_after_bytes = None
        self.boot_loop = False
        self.deaf = False
        self.mute = False
        self.paced = False
        self.strapped = False
        self.bytecode = 6


class VirtualBoard:
    """A board in the folder `path`, where its flash is kept. A context manager: it has power and a cable inside.

    `access_points`: dicts of ssid, password (or None), rssi. `sensors`: the section of a configuration that says which
    chips are on its buses. `journal`: a file for every erase and write of its file system. `log` has all it ever said,
    `faults` the knobs, and `noticed()` what was done wrong to it.
    """

    def __init__(self, path, chip="esp32", flash_bytes=4 << 20, mac=b"\x24\x6f\x28\xa1\xb2\xc3", access_points=(),
                 sensors=None, journal=None):
        self.chip = CHIPS[chip]
        self.mac = mac
        self.flash = Flash(str(path), flash_bytes)
        self.faults = Faults()
        self.log = bytearray()
        self.resets = []
        self.received_bytes = 0
        self.baud = 115200
        self.access_points = list(access_points)
        self.journal = str(journal) if journal else None
        self.buses = Buses(sensors, World(1, time.time).sensor)
        self._registers = Registers(self.chip, mac, flash_bytes)
        self._loaders = []
        self._notes = []
        self._lock = threading.RLock()
        self._heard = threading.Condition()
        self._lines = []
        self._enabled = True
        self._boot_pin = 1
        self._sink = None
        self._life = None
        self._timers = {}
        self._raw = False
        self._powered = False

    def __enter__(self):
        self.plug()
        return self

    def __exit__(self, *_):
        for line in self._lines:
            line.close()
        self._power_off()
        self.flash.close()

    def rfc2217(self, espressif=True):
        """A new line; `url` is for pyserial."""
        self._lines.append(Rfc2217(self, espressif))
        return self._lines[-1]

    def pty(self):
        """A new line; `url` is for pyserial."""
        self._lines.append(Pty(self))
        return self._lines[-1]

    def noticed(self):
        """Everything that a real board would have suffered in silence."""
        return self.flash.faults + [fault for loader in self._loaders for fault in loader.faults] + self._notes

    def await_said(self, text, limit_s=10, since=0):
        """Wait until the board has said `text` (bytes) after the place `since` of its log; False when it has not."""
        with self._heard:
            return self._heard.wait_for(lambda: text in self.log[since:], limit_s)

    # The cable.

    def plug(self):
        """Put the cable in: power, and lines that can be opened."""
        for line in self._lines:
            line.restore()
        with self._lock:
            self._powered = self._enabled = True
            self._boot_pin = 1
            self._reset(POWER_ON)

    def pull(self):
        """Pull the cable: no power, and every line that is open breaks."""
        self._power_off()
        for line in self._lines:
            line.cut()

    def _power_off(self):
        with self._lock:
            self._powered = False
            self._stop()
            self._sink = None

    def from_host(self, data, line):
        """Bytes from the host, over whichever line."""
        faults = self.faults
        if faults.paced:
            time.sleep(len(data) * _BITS_PER_BYTE / self.baud)
        left = faults.pull_after_bytes
        if left is not None:
            faults.pull_after_bytes = left - len(data)
            data = data[:left]
        if faults.flip_after_bytes is not None:
            data = self._flipped(data)
        self.received_bytes += len(data)
        sink = self._sink
        if sink is not None and not faults.deaf:
            sink(data)
        if left is not None and faults.pull_after_bytes <= 0:
            faults.pull_after_bytes = None
            threading.Thread(target=self.pull).start()  # this thread is the line's own

    def _flipped(self, data):
        at, self.faults.flip_after_bytes = self.faults.flip_after_bytes, self.faults.flip_after_bytes - len(data)
        if at >= len(data):
            return data
        self.faults.flip_after_bytes = None
        return data[:at] + bytes((data[at] ^ 0x04,)) + data[at + 1:]

    def modem_lines(self, dtr, rts):
        """The two transistors of every development board: RTS alone holds the chip in reset, DTR alone its boot pin."""
        with self._lock:
            self._boot_pin = 0 if dtr and not rts else 1
            enabled = not (rts and not dtr)
            if enabled and not self._enabled and self._powered:
                self._at("rise", _RISE_S, self._start)
            if not enabled and self._enabled:
                self._stop()
                self._sink = None
            self._enabled = enabled

    # The chip.

    def _start(self):
        with self._lock:
            if self._powered and self._enabled:
                self._reset(POWER_ON)

    def _reset(self, cause):
        """Start all over."""
        self._stop()
        self.resets.append(cause)
        if self.faults.garbage:
            self.say(self.faults.garbage)
        if self._boot_pin == 0 or self.faults.strapped:
            self._enter_loader(cause)
        else:
            self._boot(cause)

    def _enter_loader(self, cause):
        self.baud = 115200
        loader = Loader(self.chip, self._registers, self.flash, self.say, self._leave_loader, self._set_baud)
        self._loaders.append(loader)
        self.say(f"{self.chip.banner}\r\n\r\n{cause.rom},boot:0x3 (DOWNLOAD_BOOT(UART0/UART1/SDIO_REI_REO_V2))\r\n"
                 "waiting for download\r\n".encode())
        self._sink = loader.feed

    def _set_baud(self, rate):
        self.baud = rate

    def _leave_loader(self):
        with self._lock:
            self._boot_pin = 1
            self._reset(HARD)

    def _boot(self, cause):
        self._sink = None
        self.baud = 115200
        self.say(f"{self.chip.banner}\r\n\r\n{cause.rom},boot:0x13 (SPI_FAST_FLASH_BOOT)\r\n".encode())
        try:
            options = self._options(cause)
        except ValueError as error:
            self.say(f"{error}\r\n".encode())
            self._at("loop", _LOOP_S, self._loop)
            return
        self._live(options, raw=False)

    def _loop(self):
        with self._lock:
            if self._powered and self._enabled:
                self._reset(WATCHDOG)

    def _options(self, cause):
        """What the interpreter is told of this board. Raises ValueError when the flash holds nothing that boots."""
        if self.faults.boot_loop:
            raise ValueError("invalid header: 0xffffffff")
        chip, flash = self.chip.name, self.flash
        bootloader = flash.read(self.chip.boot_offset, images.TABLE_OFFSET - self.chip.boot_offset)
        wrong = images.fault(chip, bootloader)
        if wrong:
            raise ValueError(wrong)
        entries = images.partitions(flash.read(images.TABLE_OFFSET, images.TABLE_BYTES))
        app = images.application(entries)
        content = flash.read(app.offset, app.size)
        wrong = images.fault(chip, content)
        if wrong:
            raise ValueError(f"E (123) boot: {wrong}")
        files = images.file_system(entries, flash.size_bytes)
        version, date = images.version(content)
        pins = PINS[chip]
        return {
            "root": ROOT, "flash": flash.path, "vfs_offset": files.offset, "vfs_bytes": files.size,
            "version": [int(part) for part in version[1:].split("-")[0].split(".")], "model": self.chip.model,
            "banner": f"MicroPython {version} on {date}; {self.chip.model}",
            "mpy": self.faults.bytecode | 3 << 8 | _MPY_ARCHITECTURES[chip] << 10, "cause": cause.number,
            "mac": list(self.mac),
            "pins": {"all": sorted(pins.exist), "input_only": sorted(pins.input_only)}, "buses": pins.i2c_buses,
            "adc_pins": sorted(pins.adc1 | pins.adc2), "access_points": self.access_points, "journal": self.journal,
        }

    def _live(self, options, raw):
        self._raw = raw
        life = Interpreter(options, self.buses, self.say, lambda kind, value: self._note(life, kind, value))
        self._life = life
        life.start(raw)
        self._sink = life.feed

    def _stop(self):
        for name in list(self._timers):
            self._timers.pop(name).cancel()
        life, self._life = self._life, None
        if life is not None:
            life.kill()

    def _note(self, life, kind, value):
        with self._lock:
            if life is not self._life:
                return
            if kind == "reset":
                self._reset(HARD)
            elif kind == "sleep":
                self._stop()
                self._sink = None
                self._at("sleep", int(value) / 1000, lambda: self._wake(DEEP_SLEEP))
            elif kind == "watchdog":
                self._watchdog_s = int(value) / 1000
                self._at("watchdog", self._watchdog_s, lambda: self._wake(WATCHDOG))
            elif kind == "feed":
                self._at("watchdog", self._watchdog_s, lambda: self._wake(WATCHDOG))
            elif kind == "fault":
                self._notes.append(value)
            elif kind in ("soft", "ended"):
                self._soft_reset(life)

    def _wake(self, cause):
        with self._lock:
            if self._powered and self._enabled:
                self._reset(cause)

    def _soft_reset(self, life):
        """The interpreter starts anew; the watchdog goes on."""
        self.say(b"MPY: soft reboot\r\n")
        self.resets.append(SOFT)
        life.kill()
        self._live({**life.options, "cause": SOFT.number}, raw=life.in_raw_repl)

    def _at(self, name, seconds, action):
        """Do something later; the last call of a name counts."""
        if name in self._timers:
            self._timers[name].cancel()
        timer = self._timers[name] = threading.Timer(seconds, action)
        timer.daemon = True
        timer.start()

    def say(self, data):
        """Bytes to the host."""
        if not data:
            return
        if self.faults.paced:
            time.sleep(len(data) * _BITS_PER_BYTE / self.baud)
        with self._heard:
            self.log += data
            self._heard.notify_all()
        if not self.faults.mute:
            for line in self._lines:
                line.to_host(data)
