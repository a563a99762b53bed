"""A verb as a person at a terminal meets it: questions on the screen, answers and Ctrl-C from the keyboard."""

import fcntl
import os
import select
import subprocess
import sys
import termios
import time

from tools import ROOT

_LIMIT_S = 30  # for the next question: it may have to interrupt a board first
_PATIENCE_S = 5  # with what follows Ctrl-C


class Terminal:
    """`mote ARGV` in a terminal of its own; a context manager. `screen` has all that was to be seen."""

    def __init__(self, *argv, environment=None):
        self._argv = list(map(str, argv))
        self._environment = environment or {}
        self._seen = 0  # of the screen
        self.screen = ""

    def __enter__(self):
        self._ours, theirs = os.openpty()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tools", *self._argv], cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs,
            env={**os.environ, **self._environment}, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))  # as its own: passwords are asked for on /dev/tty
        os.close(theirs)
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait(_LIMIT_S)
        os.close(self._ours)

    def await_(self, text):
        """Wait until `text` is on the screen, after what was awaited before."""
        deadline = time.monotonic() + _LIMIT_S
        while text not in self.screen[self._seen:]:
            assert self._read(deadline), f"no {text!r} in:\n{self.screen}"
        self._seen = self.screen.index(text, self._seen) + len(text)

    def answer(self, question, text):
        """Wait for a question, and type the answer."""
        self.await_(question)
        os.write(self._ours, text.encode() + b"\n")

    def interrupt(self, question, told):
        """Wait for a question, and type Ctrl-C until `told` is on the screen: readline misses one that comes between
        its question and its wait for the keyboard."""
        self.await_(question)
        deadline = time.monotonic() + _LIMIT_S
        while told not in self.screen[self._seen:]:
            assert time.monotonic() < deadline, self.screen
            os.write(self._ours, b"\x03")
            patience = time.monotonic() + _PATIENCE_S
            while told not in self.screen[self._seen:] and self._read(patience):
                continue

    def end(self):
        """Wait for its end; returns the exit status."""
        deadline = time.monotonic() + _LIMIT_S
        while self._read(deadline):
            assert time.monotonic() < deadline, self.screen
        return self._process.wait(_LIMIT_S)

    def _read(self, deadline):
        """Take in what is said; False at the end of it, or of our patience."""
        if not select.select([self._ours], [], [], max(0, deadline - time.monotonic()))[0]:
            return False
        try:
            data = os.read(self._ours, 4096)
        except OSError:  # EIO: nobody has the other end open any more
            return False
        self.screen += data.decode("utf-8", "replace")
        return bool(data)
