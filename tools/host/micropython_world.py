"""What a host board takes from MicroPython's Unix port."""

import asyncio
import gc
import time

from lending import lend
from tools.host.board import Common


class World:
    name = "MicroPython"
    ticks_ms = staticmethod(time.ticks_ms)
    ticks_diff = staticmethod(time.ticks_diff)
    ticks_add = staticmethod(time.ticks_add)
    sleep_ms = staticmethod(asyncio.sleep_ms)
    log = staticmethod(print)

    def memory(self):
        return gc.mem_free(), None, None

    def address(self):
        return None  # the Unix port cannot ask a socket for it

    async def open_stream(self, host, port, tls):
        stream = lend("stream")
        return await stream.connect(stream.resolve(host, port), host, tls)


class HostBoard(Common, World):
    """This computer as a board."""
