"""A board's prompt: getting there whatever it is doing, running code there, and saying what is wrong when it fails.

On mpremote's transport, over a port that is open already, so that one connection serves a whole command.
"""

import contextlib
import io
import re
import time

import serial
from mpremote.transport import TransportError, TransportExecError
from mpremote.transport_serial import SerialTransport

from tools import errors
from tools.board import ports

_HEAR_S = 3  # from Ctrl-C to the prompt: a collection or a write to flash may come before
_ENTER_S = 12  # from there to the raw prompt, through a soft reset and boot.py
_START_S = 15  # reset, ROM, MicroPython, file system; boot.py looks a second for the boot button
_INTERRUPT_S = 0.05
_QUIET_S = 0.3
_RESET_S = 0.1
_RESETS = re.compile(rb"rst:0x")
_HOLD_MS = 600_000
_AGAIN = "repeat the command; `mote monitor` shows what it says meanwhile"
_BABBLE_BYTES = 100_000
PROMPT = b">>> "
# Not before the answer has left the board; and a person at the cable is no boot loop, however short the starts are.
_RESET = """import machine, os, time
try:os.remove('/state/starts')
except OSError:pass
time.sleep_ms(200)
machine.reset()"""
# What ROM and bootloader say is not a program's; nor is an empty line.
_ROM = rb"ets |rst:|ESP-ROM|Build:|SPIWP|mode:|load:|entry |clock|configsip|MPY:"
WORDS = re.compile(rb"^(?!" + _ROM + rb")(?!>>>)[^\r\n]+\r?\n", re.MULTILINE)

# A watchdog cannot be stopped, but each new one sets its period: ten minutes, after which a board that was left at its
# prompt helps itself.
HOLD_WATCHDOG = f"import machine\nmachine.WDT(timeout={_HOLD_MS})"

# What a board says when it gets nowhere, what that means and what to do, most telling first.
SYMPTOMS = (
    (rb"waiting for download", "it waits in its bootloader",
     "release the BOOT button (or unplug what pulls that pin low) and press RESET"),
    (rb"invalid header|No bootable app|checksum is wrong|SHA-256 is wrong|no partition table|partition table's",
     "there is no MicroPython on it that runs, and it starts again and again", "`mote flash --erase`"),
    (rb"Brownout detector", "its supply breaks down",
     "another cable or port, no hub without a power supply of its own"),
    (rb"filesystem appears to be corrupted", "its file system is damaged", "`mote flash --erase`, then `mote up`"),
    (rb"Guru Meditation|abort\(\) was called", "MicroPython itself crashes",
     "`mote flash --erase`, and another image if that does not help"),
)


class Transport(SerialTransport):
    """mpremote's transport around a port that is open."""

    def __init__(self, port, name):
        self.serial = port
        self.device_name = name
        self.in_raw_repl = False
        self.use_raw_paste = True
        self.mounted = False
        self.is_pty = False


class Repl:
    """The prompt of the board at the open `port`. `run` raises UserError with the board's own words."""

    def __init__(self, port, name):
        self.port = port
        self.name = name
        self._transport = Transport(port, name)

    def enter(self):
        """Come to the raw prompt: by Ctrl-C and a soft reset, else through a reset. Raises UserError that says what the
        board does instead."""
        heard = b""
        try:
            heard = self._drain()
            starting = _RESETS.search(heard)
            if not hopeless(heard):
                if not starting and PROMPT in self._interrupt(_HEAR_S) and self._soft_enter():
                    return
                if not starting:
                    self.reset_by_line()
                heard += self._interrupt(_START_S)
                if not hopeless(heard) and self._soft_enter():
                    return
                heard += self._drain()
        except (serial.SerialException, OSError) as error:
            raise self._lost(error) from None
        raise trouble(self.name, heard)

    def _soft_enter(self):
        """As mpremote does it, without its own words about a failure."""
        with contextlib.redirect_stdout(io.StringIO()):
            try:
                self._transport.enter_raw_repl(soft_reset=True, timeout_overall=_ENTER_S)
                self._transport.exec_raw("", timeout=_HEAR_S)  # a reset may have come meanwhile
                return True
            except (TransportError, TypeError, IndexError):
                return False

    def _interrupt(self, seconds):
        """Send Ctrl-C (and Ctrl-B, which leaves a raw prompt) until it is at a prompt: one alone may end boot.py only,
        and some programs can be caught at their start only. Returns what it said."""
        heard = b""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not heard.endswith(PROMPT) and not hopeless(heard):
            self.port.write(b"\x03\x02")
            time.sleep(_INTERRUPT_S)
            heard += self._waiting()
            if len(heard) > _BABBLE_BYTES:
                break
        return heard

    def reset_by_line(self):
        """Pull EN low for a moment, as the RESET button does."""
        self.port.dtr = False
        self.port.rts = True
        time.sleep(_RESET_S)
        self.port.rts = False

    def run(self, code, timeout_s=30):
        """Run code at the raw prompt; returns what it printed."""
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # mpremote prints what surprises it
                output, error = self._transport.exec_raw(code, timeout=timeout_s)
        except TransportExecError as error:
            raise self._said(error.error_output) from None
        except (TransportError, serial.SerialException, OSError, TypeError, IndexError) as error:
            raise self._lost(error) from None
        if error:
            raise self._said(error.decode("utf-8", "replace"))
        return output.decode("utf-8", "replace")

    def _said(self, text):
        last = text.strip().splitlines()[-1:] or ["nothing"]
        return errors.Trouble(f"{self.name}: the board says {last[0]}", _AGAIN)

    def _lost(self, error):
        return errors.Trouble(
            f"{self.name}: the connection broke ({error})", "plug the cable in again and repeat the command; it goes "
            "on where it was, and nothing on the board is half replaced", errors.UNREACHABLE)

    def restart(self):
        """Reset the board from the raw prompt, so that its own program runs."""
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                self._transport.exec_raw_no_follow(_RESET)
            self._transport.in_raw_repl = False
        except (TransportError, serial.SerialException, OSError, TypeError) as error:
            raise self._lost(error) from None

    def listen(self, seconds, until=None):
        """What it says for so long, or until `until` (a compiled pattern of bytes) is found."""
        heard = b""
        deadline = time.monotonic() + seconds
        try:
            while time.monotonic() < deadline and not (until and until.search(heard)):
                heard += self._waiting()
                time.sleep(0.01)
        except (serial.SerialException, OSError) as error:
            raise self._lost(error) from None
        return heard

    def _waiting(self):
        count = self.port.in_waiting
        return self.port.read(count) if count else b""

    def _drain(self):
        """What it says unasked, until it is quiet or clearly will not be."""
        heard = b""
        for _ in range(8):
            more = self.listen(_QUIET_S)
            heard += more
            if not more or len(heard) > _BABBLE_BYTES:
                break
        return heard


class AmpyRepl:
    """The same on ampy's transport, for boards that mpremote cannot reach: a device, no URL."""

    def __init__(self, name):
        from ampy.pyboard import Pyboard, PyboardError

        self.name = name
        self._error = PyboardError
        if "://" in name:
            raise errors.UserError(f"ampy knows devices only, not {name}: leave --via ampy out")
        ports.opened(name).close()  # says what is wrong where ampy would not
        self._board = Pyboard(name, ports.BAUD)

    def enter(self):
        with contextlib.redirect_stdout(io.StringIO()) as said:
            try:
                self._board.enter_raw_repl()
            except (self._error, serial.SerialException, OSError):
                raise trouble(self.name, said.getvalue().encode()) from None

    def run(self, code, timeout_s=30):
        try:
            return self._board.exec_(code).decode("utf-8", "replace")
        except (self._error, serial.SerialException, OSError) as error:
            text = error.args[2].decode("utf-8", "replace") if len(error.args) > 2 else str(error)
            raise errors.Trouble(f"{self.name}: the board says {text.strip().splitlines()[-1]}", _AGAIN) from None

    def restart(self):
        self._board.exec_raw_no_follow(_RESET)

    def listen(self, seconds, until=None):
        heard = b""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not (until and until.search(heard)):
            heard += self._board.serial.read(self._board.serial.inWaiting() or 0)
            time.sleep(0.01)
        return heard

    def close(self):
        self._board.close()


def hopeless(heard):
    """Whether a board said twice what keeps it from any prompt: the first time may have been before it was helped."""
    return any(len(re.findall(pattern, heard)) > 1 for pattern, _, _ in SYMPTOMS)


def trouble(name, heard):
    """The errors.Trouble of a board that came to no prompt, by what it said meanwhile."""
    what, do = diagnosis(heard)
    return errors.Trouble(f"{name}: {what}", do, errors.UNREACHABLE)


def diagnosis(heard):
    """(what is wrong, what to do) by what was heard of a board that came to no prompt."""
    for pattern, what, do in SYMPTOMS:
        if re.search(pattern, heard):
            return what, do
    if not heard.strip(b"\0\r\n \xff"):
        return ("the board says nothing at all", "is it a cable for data, not for charging only? Is it the right port? "
                "Is there MicroPython on it (`mote flash`)?")
    strange = sum(byte > 126 or byte < 32 and byte not in b"\r\n\t\x1b\x04\x08" for byte in heard)
    if strange * 4 > len(heard):
        return ("only noise arrives, as the program on it uses another speed, or cable and ground are bad",
                "another cable, or `mote flash --erase`")
    if heard.count(b"rst:0x") > 3:
        return (f"it starts again and again, and its last words are {_last_words(heard)}",
                "`mote monitor` shows all of them; `mote flash --erase`, then `mote up`, begins anew")
    return ("the program on it does not let itself be interrupted, not even right after a reset, and its last words "
            "are " + _last_words(heard), "hold BOOT while you press RESET, then `mote flash --erase`")


def _last_words(heard):
    lines = [line.strip() for line in heard.decode("utf-8", "replace").splitlines() if line.strip()]
    return repr(lines[-1][-80:]) if lines else "none"
