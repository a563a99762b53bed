"""The chip's interpreter: the real MicroPython, in a process of its own, on the file system in the flash.

Its prompt, raw REPL and raw-paste are those of the C code. What the ESP32 port does otherwise is done here: Ctrl-C
reaches a running program however it is busy, a soft reset starts all over, lines end in CR LF.
"""

import contextlib
import functools
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time

from tools import micropython
from tools.sim import wire_server

_START = os.path.join(os.path.dirname(os.path.abspath(__file__)), "device", "start.py")
_SIGINT_BIT = 1 << signal.SIGINT - 1
_PROMPT = b">>> "
_BARE_NEWLINE = re.compile(rb"(?<!\r)\n")
_STOP_LIMIT_S = 10
_PIECE_BYTES = 4096


class Interpreter:
    """One life from reset to reset. `say(bytes)` is what the board sends, `note(kind, value)` what it did:
    "up", "reset", "watchdog" (ms), "feed", "sleep" (ms), "soft", "fault" (text), "ended" (None)."""

    def __init__(self, options, buses, say, note, heap="384k"):
        self.options = options
        self._buses = buses
        self._say = say
        self._note = note
        self._heap = heap
        self._process = None
        self._up = threading.Event()
        self._banner = _own_banner()
        self._raw = False
        self.in_raw_repl = False

    def start(self, raw):
        """Boot; `raw`: into the raw REPL, without main.py, as after a soft reset from there."""
        ours, theirs = socket.socketpair()
        chips, chips_end = socket.socketpair()
        options = {**self.options, "control": theirs.fileno(), "wire": chips_end.fileno(), "raw": raw}
        environment = {**micropython.environment(), "MOTE_BOARD": json.dumps(options)}
        self._process = subprocess.Popen(
            micropython.command("-i", _START, heap=self._heap), env=environment, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, pass_fds=(theirs.fileno(), chips_end.fileno()),
            start_new_session=True)
        theirs.close()
        chips_end.close()
        self._raw = self.in_raw_repl = raw
        if raw:
            self._to_process(b"\x01")
        threading.Thread(target=wire_server.serve, args=(self._buses, chips), daemon=True).start()
        self._threads = [threading.Thread(target=self._listen, args=(ours,), daemon=True),
                         threading.Thread(target=self._read, daemon=True)]
        for thread in self._threads:
            thread.start()

    def feed(self, data):
        """Bytes from the host; what comes before the port is up is lost, as on a board."""
        if not self._up.is_set():
            return
        for part in re.split(rb"(\x03)", data):
            if part != b"\x03" or not self._interrupt():
                self._to_process(part)

    def kill(self):
        """The end without a word: reset, watchdog, no power."""
        self._note = _nothing
        self._say = _nothing
        if self._process is not None:
            self._process.kill()
            self._process.wait(_STOP_LIMIT_S)
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()

    def _to_process(self, data):
        try:
            self._process.stdin.write(data)
            self._process.stdin.flush()
        except (BrokenPipeError, ValueError):
            return  # it is resetting

    def _interrupt(self):
        """Ctrl-C: a signal where a program runs and hears it, and True; at a prompt it is a byte like others.

        The process is halted meanwhile, since at the prompt the signal would end it.
        """
        pid = self._process.pid
        try:
            os.kill(pid, signal.SIGSTOP)
            while not _status(pid, "State").startswith("T") and self._process.poll() is None:
                time.sleep(0.0005)
            runs = int(_status(pid, "SigCgt"), 16) & _SIGINT_BIT
            if runs:
                os.kill(pid, signal.SIGINT)
            os.kill(pid, signal.SIGCONT)
            return bool(runs)
        except (ProcessLookupError, FileNotFoundError, ValueError):
            return True

    def _listen(self, control):
        with control, control.makefile("r") as lines:
            for line in lines:
                kind, _, value = line.strip().partition(" ")
                if kind == "up":
                    self._up.set()
                self._note(kind, value)

    def _read(self):
        output = self._process.stdout
        kept = b""
        while data := os.read(output.fileno(), _PIECE_BYTES):
            kept = self._pass_on(kept + data)
        output.close()
        self._say(kept)
        self._note("ended", None)

    def _pass_on(self, said):
        """Send what was said, with the board's own name in the banner; returns what may be the start of a banner."""
        if self._banner in said:
            if self._raw:  # this process came to its raw REPL by way of the other prompt, a board does not
                before, found, after = said.partition(_PROMPT)
                if not found:
                    return said
                self._raw = False
                said = before[:before.index(self._banner)] + after
            said = said.replace(self._banner, self.options["banner"].encode())
        modes = said.rfind(b"raw REPL; CTRL-B to exit"), said.rfind(b'Type "help()"')
        if max(modes) >= 0:
            self.in_raw_repl = modes[0] > modes[1]
        at = said.rfind(b"MicroPy")
        kept = said[at:] if at >= 0 and self._banner.startswith(said[at:]) else b""
        self._say(_BARE_NEWLINE.sub(b"\r\n", said[:len(said) - len(kept)]))
        return kept


@functools.cache
def _own_banner():
    """What such a process calls itself at its prompt, which a board must not."""
    script = "import sys; print('%s; %s' % (sys.version.split('; ')[1], sys.implementation._machine))"
    return micropython.output("-c", script, path=[]).strip().encode()


def _status(pid, key):
    with open(f"/proc/{pid}/status") as file:
        for line in file:
            if line.startswith(key + ":"):
                return line.partition(":")[2].strip()
    return ""


def _nothing(*_):
    """Nobody listens any more."""
