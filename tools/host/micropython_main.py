"""The node on MicroPython's Unix port; micropython_boot has HostBoard's options as JSON in MOTE_OPTIONS.

Anything on standard input asks it to leave. Little code: it shares the node's heap.
"""

import asyncio
import gc
import json
import os
import sys

from firmware.node import Node
from lending import lend
from stream import Stream
from together import together
from tools.host.board import HostBoard

GRACE_S = 10  # for the goodbye; an attempt to reach a broker that is not there would take longer
POLL_MS = 50
COLLECT_BYTES = 4_096  # collecting this often keeps what is free in one piece: 10 KB less heap will do


async def _stop(node):
    stream = Stream(sys.stdin.buffer, None)
    await stream.readable()
    stream.read(bytearray(128))  # no less: signal descriptors hand out whole records
    node.stop()
    await asyncio.sleep(GRACE_S)
    return "stopped"


async def _poll(board):
    while board.poll:
        board.poll()
        await board.sleep_ms(POLL_MS)
    await asyncio.Event().wait()


async def live(options):
    """Run the node until it is stopped; a restart builds it anew, as a reset does on a board."""
    ending = "restart"
    while ending == "restart":
        board = node = None
        gc.collect()  # there is no room for the old node beside the new one
        board = HostBoard(options)
        node = Node(board, lend)
        ending = await together(node.run(), _stop(node), _poll(board))
        lend("firmware.starts").survived(board.files)  # what ends as planned is no boot loop


def main():
    gc.threshold(COLLECT_BYTES)
    try:
        asyncio.run(live(json.loads(os.getenv("MOTE_OPTIONS"))))
    except MemoryError:
        print("mote: the heap is too small for this configuration: a larger --heap, or fewer sensors")
        raise
