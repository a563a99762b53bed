"""A node on MicroPython whose clock goes faster than time, for tests that need many readings; traced_node.py starts it.

What it measures and when, its batches and its backoff go by the quick clock; its connection lives in real time.
"""

import asyncio
import os
import time

from tools.host import micropython_main as runner
from tools.host.micropython_world import HostBoard

FACTOR = int(os.getenv("MOTE_FACTOR"))


class Quick(HostBoard):
    def __init__(self, options):
        super().__init__(options)
        self.poll = None

    def ticks_ms(self):
        return time.ticks_ms() * FACTOR

    def ticks_diff(self, a, b):
        return a - b

    def ticks_add(self, a, ms):
        return a + ms

    async def sleep_ms(self, ms):
        await asyncio.sleep_ms(ms // FACTOR or 1)


runner.host_board = Quick
runner.main()
