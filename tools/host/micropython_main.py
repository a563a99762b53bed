"""The node on MicroPython's Unix port; micropython_boot has HostBoard's options as JSON in MOTE_OPTIONS.

Anything on standard input asks it to leave. Little code: it shares the node's heap.
"""

import asyncio
import gc
import json
import os
import select
import sys

from lending import lend, load
GRACE_S = 10  # for the goodbye; an attempt to reach a broker that is not there would take longer
POLL_MS = 50
ASLEEP = 76  # the exit status of deep sleep
COLLECT_BYTES = 4_096  # collecting this often keeps what is free in one piece: 10 KB less heap will do


def host_board(options):
    """This computer as a board, with HostBoard's options."""
    return load("tools.host.micropython_world").HostBoard(options)


async def _watch(board, node, life):
    """Bring pin interrupts, and the wish to stop, to the node; `life`, the task that it lives in, ends with this."""
    asked = select.poll()
    asked.register(sys.stdin, select.POLLIN)
    try:
        while not asked.poll(0):
            if board.poll:
                board.poll()
            await board.sleep_ms(POLL_MS)
        node.stop()  # what asked stays to be read: a wake that was about to end has no ear for it, `mote run` has
        await asyncio.sleep(GRACE_S)
        return "stopped"
    finally:
        life.cancel()


async def live(options):
    """Run the node until it is stopped; a restart and deep sleep end all of this by SystemExit, as on a board."""
    board = host_board(options)
    node = lend("firmware.start").chosen(board, lend)
    watch = asyncio.create_task(_watch(board, node, asyncio.current_task()))
    try:
        ending = await node.run()
    except asyncio.CancelledError:  # by the watch
        ending = await watch
    lend("firmware.start").follow(board, node, ending, lend)
    if ending != "stopped":
        board.reset()


def main():
    gc.threshold(COLLECT_BYTES)
    options = json.loads(os.getenv("MOTE_OPTIONS"))
    try:
        asyncio.run(live(options))
    except SystemExit:
        if "rest" not in options:
            raise
        with open(options["asleep"], "w") as file:  # for `mote run`, which begins the next wake
            json.dump(options["rest"], file)
        sys.exit(ASLEEP)
    except MemoryError:
        print("mote: the heap is too small for this configuration: a larger --heap, or fewer sensors")
        raise
