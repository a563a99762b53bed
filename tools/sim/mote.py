"""One simulated node through all its lives: power comes, the shipped node runs, and ends in a reset or in the dark."""

import asyncio
import json
import traceback

from firmware.start import chosen, follow
from lending import load
from tools.sim.hardware import Board, Reset
from tools.sim.bus import Buses

BOOT_S = 1.5  # from power or reset to the node: MicroPython starts, modules load
PAUSE_S = 10  # as main.py does after an error
_TIDY_S = 90  # what a node that lost its power may take until its tasks have ended, which nobody sees


class Mote:
    """`hardware`: what outlives resets. `watch` is told: began(mote, node, board), cut(mote, why, within) just before a
    node ends from outside, ended(mote, why), crashed(mote, text), stuck(mote, text).
    """

    board_of = Board  # what each start gets

    def __init__(self, hardware, watch, sensors, number):
        self.name = hardware.name
        self.hardware = hardware
        self.number = number
        self.sensors = sensors
        self.key = (json.loads(hardware.config).get("config") or {}).get("key")
        self.node = self.board = None
        self.boots = 0
        self.world = hardware.world.world(hardware.name, number)
        hardware.buses = Buses(sensors, self.world, hardware.world.clock_ms)
        hardware.flash.on_cut = self._cut_by_flash
        self._watch = watch
        self._ending = None  # a future while a node lives: what ends it from outside
        self._dark_s = 0
        self._stopping = False
        self.off_s = 1  # how long the dark lasts after a power cut within a flash operation

    async def live(self):
        """Start the node again and again, as its hardware does, until `stop`."""
        cause = "power-on"
        while not self._stopping:
            await asyncio.sleep(BOOT_S)
            cause = await self._life(cause)
            dark_s, self._dark_s = self._dark_s, 0
            await asyncio.sleep(dark_s)

    async def _life(self, cause):
        """One start of the node; returns the cause of the next."""
        loop = self.hardware.loop
        self.hardware.flash.dead = False
        self.boots += 1
        board = self.board = self.board_of(self.hardware, cause, self._bitten)
        board.feed()
        node = self.node = chosen(board, self._fetch)
        self._watch.began(self, node, board)
        self._ending = loop.create_future()
        task = loop.create_task(node.run())
        over = loop.create_future()  # asyncio.wait takes ten times as much memory
        for end in (task, self._ending):
            end.add_done_callback(lambda _: over.done() or over.set_result(None))
        await over
        if self._ending.done():
            why = await self._buried(board, task)
        else:
            why = self._ended(board, task)
        self._watch.ended(self, why)
        self._ending = self.node = self.board = None
        self.hardware.wlan.power_off()
        return {"restart": "soft", "error": "soft", "stopped": "soft"}.get(why, why)

    def _fetch(self, name):
        """As lending.load; what writes files by itself gets the simulated flash."""
        return self.hardware.world.bound.get(name) or load(name)

    def _ended(self, board, task):
        """The node's own end, as main.py takes it."""
        error = task.exception()
        try:
            if error is None:
                follow(board, self.node, task.result(), self._fetch)
        except Reset as asleep:
            self._dark_s += asleep.args[1] / 1000
            return "deep-sleep"
        finally:
            board.die()
        if error is None:
            return task.result()
        if isinstance(error, Reset):
            return error.args[0]
        text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        self._watch.crashed(self, text)
        self._dark_s += PAUSE_S
        return "error"

    async def _buried(self, board, task):
        """Wait until whatever still runs has noticed that it is over."""
        why = self._ending.result()
        task.cancel()
        done, _ = await asyncio.wait((task,), timeout=_TIDY_S)
        if not done:
            self._watch.stuck(self, "its tasks do not end when they are cancelled")
        elif not task.cancelled():
            task.exception()  # it has no more than this to say
        return why

    def cut(self, why, dark_s=0, within=False):
        """End the node now, from outside: "power-on" (the power goes) or "watchdog"; it is dark for so long. `within`:
        in the middle of an operation on flash."""
        if self._ending is None or self._ending.done():
            return
        self._watch.cut(self, why, within)
        self.board.die()
        self.hardware.flash.dead = True
        if why == "power-on":
            self.hardware.rtc = None
            self.hardware.memory = b""
        self._dark_s += dark_s
        self._ending.set_result(why)

    def _bitten(self, why):
        """The watchdog bit a node whose processor runs: it has stopped to feed."""
        self._watch.stuck(self, "the watchdog bit")
        self.cut(why)

    def _cut_by_flash(self):
        self.cut("power-on", self.off_s, within=True)

    def stop(self):
        """Ask the node to leave for good."""
        self._stopping = True
        if self.node:
            self.node.stop()
