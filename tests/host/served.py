"""Espressif's own esp_rfc2217_server, whole and in a process of its own, between a virtual board and the tools.

A pseudo-terminal has no modem lines: what the kernel does for those of a USB bridge is played here, and nothing else.
The server's process says each change over a socket, and goes on once the board has seen it.
"""

import contextlib
import fcntl
import os
import socket
import struct
import subprocess
import sys
import termios
import threading

from tools import brokers

_BITS = struct.Struct("I")
_THERE = termios.TIOCM_CTS | termios.TIOCM_DSR | termios.TIOCM_CAR
_LIMIT_S = 20


class ModemLines:
    """`fcntl.ioctl` with DTR and RTS for terminals; `tell(bits)` hears of each change."""

    def __init__(self, tell):
        self._tell = tell
        self._bits = 0
        self._ioctl = fcntl.ioctl
        self._lock = threading.Lock()

    def __call__(self, file, request, argument=0, *more):
        change = _CHANGES.get(request)
        if request == termios.TIOCMGET:
            return _BITS.pack(self._bits | _THERE)
        if change is None:
            return self._ioctl(file, request, argument, *more)
        with self._lock:
            self._bits = change(self._bits, _BITS.unpack(argument)[0])
            self._tell(self._bits)
        return argument


_CHANGES = {
    termios.TIOCMSET: lambda bits, argument: argument & ~_THERE,
    termios.TIOCMBIS: lambda bits, argument: bits | argument,
    termios.TIOCMBIC: lambda bits, argument: bits & ~argument,
}


@contextlib.contextmanager
def served(board):
    """The address for pyserial of a server for this board, until the block ends."""
    ours, theirs = socket.socketpair()
    port = brokers.free_ports(1)[0]
    line = board.pty()
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, str(theirs.fileno()), line.url, "-p", str(port)], pass_fds=(theirs.fileno(),),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    theirs.close()
    lines = threading.Thread(target=_pass_on, args=(ours, board), daemon=True)
    lines.start()
    timer = threading.Timer(_LIMIT_S, process.kill)
    timer.start()
    try:
        said = b""
        while b"Waiting for connection" not in said:
            piece = process.stdout.readline()
            assert piece, said.decode()
            said += piece
        timer.cancel()
        threading.Thread(target=process.stdout.read, daemon=True).start()
        yield f"rfc2217://127.0.0.1:{port}"
    finally:
        timer.cancel()
        process.kill()
        process.wait()
        lines.join()
        ours.close()


def _pass_on(control, board):
    """Modem lines as the server sets them, until its end."""
    while change := control.recv(_BITS.size):
        [bits] = _BITS.unpack(change)
        board.modem_lines(bool(bits & termios.TIOCM_DTR), bool(bits & termios.TIOCM_RTS))
        with contextlib.suppress(BrokenPipeError):
            control.sendall(b"\0")


def _main():
    import esp_rfc2217_server

    control = socket.socket(fileno=int(sys.argv.pop(1)))

    def tell(bits):
        control.sendall(_BITS.pack(bits))
        control.recv(1)

    fcntl.ioctl = ModemLines(tell)
    esp_rfc2217_server.main(sys.argv[1:])


if __name__ == "__main__":
    _main()
