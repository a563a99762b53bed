"""Serial ports: which there are, and opening one so that the person learns why it does not work.

A port is what pyserial takes: a device, `socket://HOST:PORT`, or `rfc2217://HOST:PORT` for a board on another machine
(there: `esp_rfc2217_server DEVICE`, which comes with esptool).
"""

import errno
import os
import re
import time

import serial
from serial import rfc2217
from serial.tools import list_ports

from tools import errors

BAUD = 115200
# USB bridges of ESP32 boards, and the chips' own USB: Silicon Labs, WCH, FTDI, Prolific, Espressif.
_VENDORS = (0x10C4, 0x1A86, 0x0403, 0x067B, 0x303A)
_STARTS = re.compile(rb"rst:0x")  # every ROM's first line
_START_S = 10  # from opening to there, when the server's computer is busy; in the end the board may be a silent one
_LOOK_S = 0.01
_ANSWER_S = 10  # of a server; 3 are pyserial's own
_WRITE_TIMEOUT_S = 10  # the longest write is a block of 16 KB, 1.5 s at the slowest speed


class Remote(rfc2217.Serial):
    """pyserial's client, with three differences.

    It does not tell the server all settings anew, 0.15 s each time, for a change of timeout: that one is ours alone.
    Flashing through it takes seconds instead of a minute.

    Espressif's server resets the board in a thread of its own, a while after it was told to release RTS, which opening
    does. So that this reset does not come in the middle of what we do, `open` ends when the board has said that it
    starts; what it said is kept for who reads. Other servers pass RTS on, and nothing is waited for.
    """

    _sent = None
    _heard = b""
    _opening = False

    def open(self):
        self._heard, self._opening = b"", True
        try:
            super().open()
        finally:
            self._opening = False
        if self._rfc2217_options["control"].state == rfc2217.REQUESTED:  # Espressif's answers nothing to DTR and RTS
            self._await_start()

    def from_url(self, url):
        self._network_timeout = _ANSWER_S  # an option in the address still counts
        return super().from_url(url)

    def _update_rts_state(self):
        if self._opening:  # a server may have reset the board when we came: that start is not the one to wait for
            super().reset_input_buffer()
        super()._update_rts_state()

    def _await_start(self):
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline and not _STARTS.search(self._heard) and self._thread.is_alive():
            self._heard += super().read(super().in_waiting)
            time.sleep(_LOOK_S)

    @property
    def in_waiting(self):
        return len(self._heard) + super().in_waiting

    def read(self, size=1):
        kept, self._heard = self._heard[:size], self._heard[size:]
        return kept + super().read(size - len(kept)) if len(kept) < size else kept

    def reset_input_buffer(self):
        if not self._opening:  # then it would lose the start that is waited for
            self._heard = b""
            super().reset_input_buffer()

    def _reconfigure_port(self):
        settings = self._baudrate, self._bytesize, self._parity, self._stopbits, self._rtscts, self._xonxoff
        self._write_timeout = None  # it knows none, and objects
        if settings != self._sent:
            super()._reconfigure_port()
            self._ignore_set_control_answer = True  # Espressif's server plays resets by itself and answers nothing
            self._sent = settings

    def close(self):
        self._sent = None
        super().close()


def found():
    """The serial ports of this machine that look like a board, best first; then the others, but no plain tty."""
    ports = [port for port in list_ports.comports() if port.vid is not None]
    return sorted(ports, key=lambda port: (port.vid not in _VENDORS, port.device))


def chosen(name):
    """The port to use: `name`, or, when that is None, the only board there is. Raises UserError."""
    if name is not None:
        return name
    ports = found()
    if len(ports) == 1:
        return ports[0].device
    if ports:
        lines = [f"  --port {port.device}   {port.description}" for port in ports]
        raise errors.UserError("several boards are connected; name one, or all with --port all:\n" + "\n".join(lines))
    raise errors.UserError(
        "no board is connected: no USB serial port is there. Is it a cable for data, not for charging only? "
        "`mote doctor --port` says more; a board on another machine is --port rfc2217://HOST:PORT", errors.UNREACHABLE)


def every():
    """All ports with a board, for --port all. Raises UserError when there is none."""
    return [port.device for port in found()] or [chosen(None)]


def opened(name, baud=BAUD):
    """An open port that nobody else has, with DTR and RTS released, so that opening it resets no board and holds none.

    Raises UserError with what to do.
    """
    try:
        port = _unopened(name)
        port.baudrate = baud
        port.timeout = 0.1
        port.write_timeout = _WRITE_TIMEOUT_S
        port.dtr = port.rts = False
        port.open()
        return port
    except (serial.SerialException, OSError, ValueError) as error:
        raise errors.Trouble(*_why(name, error), errors.UNREACHABLE) from None


def _unopened(name):
    if name.startswith("rfc2217://"):
        port = Remote(None)
        port.port = name
        return port
    port = serial.serial_for_url(name, do_not_open=True)
    port.exclusive = True
    return port


def _why(name, error):
    """(what is wrong, what to do) of a port that cannot be opened."""
    number = getattr(error, "errno", None)
    text = str(error)
    if number == errno.ENOENT or "No such file" in text:
        return f"there is no port {name}", "is the board plugged in? `mote doctor --port` looks for one"
    if number in (errno.EACCES, errno.EPERM) or "Permission denied" in text:
        return f"you may not use {name}", f"sudo usermod -aG {_group(name)} $USER, then log out and in again"
    if number in (errno.EBUSY, errno.EAGAIN) or "exclusively lock" in text or "busy" in text.lower():
        users = _users(name) or "a monitor, an editor or ModemManager"
        return f"another program has {name} open, {users}", "end it first"
    if "Connection refused" in text:
        return f"nobody serves {name}", "on the machine with the board, run esp_rfc2217_server -p PORT DEVICE"
    if name.startswith(("rfc2217:", "socket:")):
        return f"{name} does not answer ({text})", "is another program connected to it? End that one"
    return f"cannot open {name}: {text}", "plug it in again, or name another port"


def _group(name):
    import grp

    try:
        return grp.getgrgid(os.stat(name).st_gid).gr_name
    except (OSError, KeyError):
        return "dialout"


def _users(name):
    """The programs that have a device open, as far as /proc lets us see."""
    found_ones = []
    device = os.path.realpath(name)
    for pid in filter(str.isdigit, os.listdir("/proc") if os.path.isdir("/proc") else ()):
        try:
            files = [os.path.realpath(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
            if device in files and int(pid) != os.getpid():
                with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
                    found_ones.append(f"{file.read().strip()} (process {pid})")
        except OSError:
            continue  # another user's process, or one that has just ended
    return ", ".join(found_ones)
