"""The node on CPython, in real time: HostBoard and Node on asyncio's loop, until a signal or a deadline."""

import asyncio
import signal

from firmware.node import Node
from together import together
from tools.host.board import HostBoard

_GRACE_S = 10  # for the goodbye; an attempt to reach a broker that is not there would take longer
_POLL_S = 0.05  # how often simulated pins follow their world: a press lasts longer


async def live(options, seconds):
    """Run the node until SIGTERM, SIGINT or `seconds` (None: no end); a restart builds it anew, as a reset does."""
    leaving = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, leaving.set)
    if seconds is not None:
        loop.call_later(seconds, leaving.set)
    ending = "restart"
    while ending == "restart":
        board = HostBoard(options)
        node = Node(board)
        ending = await together(node.run(), _stop(leaving, node), _poll(board))


async def _stop(leaving, node):
    await leaving.wait()
    node.stop()
    await asyncio.sleep(_GRACE_S)
    return "stopped"


async def _poll(board):
    while board.poll:
        board.poll()
        await asyncio.sleep(_POLL_S)
    await asyncio.Event().wait()
