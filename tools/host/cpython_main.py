"""The node on CPython, in real time: HostBoard and Node on asyncio's loop, until a signal or a deadline."""

import asyncio
import signal
import time

from firmware.start import chosen, follow
from lending import load
from together import together
from tools.host.cpython_world import HostBoard

_GRACE_S = 10  # for the goodbye; an attempt to reach a broker that is not there would take longer
_POLL_S = 0.05  # how often simulated pins follow their world: a press lasts longer


async def live(options, seconds):
    """Run the node until SIGTERM, SIGINT or `seconds` (None: no end), with a new one for each reset and deep sleep."""
    leaving = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, leaving.set)
    if seconds is not None:
        loop.call_later(seconds, leaving.set)
    ending = None
    while ending != "stopped":
        board = HostBoard(options)
        node = chosen(board, load)
        ending = await together(node.run(), _stop(leaving, node), _poll(board))
        options.update(cause="hard", woken_by_pin=False)
        try:
            follow(board, node, ending, load)
        except SystemExit:  # deep sleep
            options["cause"] = "deep-sleep"
            if await _left_in_sleep(leaving, options, board):
                return


async def _left_in_sleep(leaving, options, board):
    """Wait until the sleep is over, by its time or its pin; returns whether the node was asked to leave meanwhile."""
    ms, pin, level = options["rest"]
    over = time.monotonic() + ms / 1000
    while not leaving.is_set() and (left := over - time.monotonic()) > 0:
        if pin is not None and board.input_pin(pin).value() != level:
            options["woken_by_pin"] = True
            return False
        try:
            await asyncio.wait_for(leaving.wait(), min(left, _POLL_S) if pin is not None else left)
        except asyncio.TimeoutError:
            continue
    return leaving.is_set()


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
