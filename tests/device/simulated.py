"""The simulated board for the tests of the contract: in virtual time, in a network of its own. CPython only."""

import asyncio
import os

from tools.sim.hardware import Board, Hardware, Reset
from tools.sim.place import Place
from tools.sim.radio import AccessPoint

__all__ = ["Reset", "named"]


async def named(run, check, buses, root):
    """`run(check, name, board)` in the loop of the board's own world, in a thread, where none is running."""
    place = Place(1)
    config = None
    if os.path.exists(root + "/config.json"):
        with open(root + "/config.json", "rb") as file:
            config = file.read()
    hardware = Hardware(place, "node", 0xA1B2C3, [AccessPoint("home", "correct horse")], config)
    hardware.buses = buses
    hardware.drift_ppm = 40
    board = Board(hardware)

    async def joined():
        await board.join({"home": {"password": "correct horse"}})
        await run(check, "simulated", board)

    await asyncio.get_running_loop().run_in_executor(None, place.loop.run, joined())
