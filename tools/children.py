"""Child processes that end in order, and never outlive us."""

import os
import subprocess
import sys

# Linux tells a process when its parent dies, also by SIGKILL. Set in a program of its own that becomes the child,
# since code between fork and exec may hang where there are threads. The second look catches a parent already gone.
_LEASHED = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""
_END_LIMIT_S = 10  # a node that leaves cleanly has shorter deadlines of its own


def start(argv, **options):
    """Start a child process and return its Popen; `argv` begins with a full path, `options` are Popen's.

    It ends when the calling thread does, so call this from one that stays. Ctrl-C at the terminal does not reach it:
    whoever started it ends it, in the right order.
    """
    if sys.platform == "linux":
        argv = [sys.executable, "-I", "-S", "-c", _LEASHED, str(os.getpid()), *argv]
    return subprocess.Popen(argv, stdin=subprocess.DEVNULL, start_new_session=True, **options)


def stop(process, limit_s=_END_LIMIT_S):
    """End a child by SIGTERM, and by SIGKILL when that takes longer than `limit_s`; return its exit status."""
    if process.poll() is None:
        process.terminate()
    return await_end(process, limit_s)


def await_end(process, limit_s=_END_LIMIT_S):
    """Wait for the end of a child that was told to end, for `limit_s`, then use SIGKILL; return its exit status.

    It gets no second SIGTERM: that would meet a child whose handlers have gone already, and spoil its clean leave.
    """
    try:
        return process.wait(limit_s)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
