"""`mote deploy` beside `mpremote cp -r`, on the virtual board with a line at 115,200 baud: seconds and bytes."""

import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, redirect_stdout

from tools.board import files
from tools.sim.board.board import VirtualBoard
from tools.sim.board.small_image import small
from tools.verbs import deploy

_LIMIT_S = 300
DRIVER = "firmware/drivers/bme280.mpy"


def measure(progress=lambda text: None):
    """Step -> {"seconds", "sent_bytes"}, the node's whole tree each time, mpremote's as its own command line."""
    wanted, rows = files.wanted(), {}
    with tempfile.TemporaryDirectory(prefix="mote-deploy-") as folder:
        tree = os.path.join(folder, "tree")
        _write(tree, wanted)
        tops = sorted({os.path.join(tree, path.partition("/")[0]) for path in wanted})
        with _board(os.path.join(folder, "one")) as (board, line):
            for step in ("mpremote, everything", "mpremote, again"):
                progress(step)
                rows[step] = _timed(board, lambda line=line: _mpremote(line, tops))
        with _board(os.path.join(folder, "two")) as (board, line):
            changed = {**wanted, DRIVER: wanted[DRIVER] + b"\0"}
            for step, what in (("mote, everything", wanted), ("mote, nothing changed", wanted),
                               ("mote, one driver changed", changed)):
                progress(step)
                rows[step] = _timed(board, lambda line=line, what=what: _mote(line, what))
    return rows


def _write(tree, wanted):
    for path, content in wanted.items():
        path = os.path.join(tree, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)


@contextmanager
def _board(path):
    board = VirtualBoard(path)
    board.flash.program(board.chip.boot_offset, small())
    with board:
        board.await_said(b">>> ")
        board.faults.paced = True
        yield board, board.rfc2217(espressif=False).url


def _timed(board, call):
    before, began = board.received_bytes, time.monotonic()
    call()
    return {"seconds": round(time.monotonic() - began, 1), "sent_bytes": board.received_bytes - before}


def _mpremote(line, tops):
    subprocess.run([os.path.join(os.path.dirname(sys.executable), "mpremote"), "connect", line, "cp", "-r", *tops, ":"],
                   check=True, stdout=subprocess.DEVNULL, timeout=_LIMIT_S)


def _mote(line, wanted):
    """Without waiting for the node's first words, as mpremote does not."""
    with redirect_stdout(sys.stderr), deploy.connected(line) as board:
        state = files.look(board)
        files.carry_out(board, wanted, files.plan(wanted, state), state)
        board.restart()


def table(rows):
    lines = ["deploy: the whole node to a virtual board at 115,200 baud"]
    return "\n".join(lines + [f"  {step:26} {row['seconds']:5.1f} s  {row['sent_bytes']:9,} bytes sent"
                              for step, row in rows.items()])
