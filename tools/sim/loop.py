"""An asyncio event loop in virtual time: when nobody can move, its clock jumps to the next deadline.

Time is a whole number of microseconds, so that a run is the same on every machine. There is no real I/O: what nodes
and brokers say to each other goes through `network`, which a simulation puts here. Callbacks run in one context.
"""

import asyncio
import contextvars
import functools
import heapq
import sys
from collections import deque
from heapq import heappop, heappush

_SPIN = 2_000_000  # callbacks in one instant: ten thousand nodes that all wake up at once need a tenth of it
_FEW_TIMERS = 64  # below this, cancelled timers are not worth a search


class Deadlock(RuntimeError):
    """Every task waits for another one, and no deadline is left."""


class Livelock(RuntimeError):
    """Callbacks run for ever and time does not move."""


class Handle:
    """A callback that was asked for; as asyncio's own, but a third of the cost."""

    __slots__ = ("args", "callback", "when_us")

    def __init__(self, callback, args, when_us):
        self.callback = callback
        self.args = args
        self.when_us = when_us

    def cancel(self):
        """The callback will not run."""
        self.callback = self.args = None

    def cancelled(self):
        return self.callback is None

    def when(self):
        """Seconds of the loop's clock."""
        return self.when_us / 1e6


class Event:
    """As asyncio's own, whose waiters stand in a deque of 600 bytes: a node has eight of them."""

    __slots__ = ("_is_set", "_waiters")

    def __init__(self):
        self._is_set = False
        self._waiters = ()

    def is_set(self):
        return self._is_set

    def set(self):
        """Wake all who wait; who waits from now on goes on at once."""
        if not self._is_set:
            self._is_set = True
            for waiter in self._waiters:
                if not waiter.done():
                    waiter.set_result(True)

    def clear(self):
        self._is_set = False

    async def wait(self):
        """Wait until it is set."""
        if self._is_set:
            return True
        waiter = asyncio.get_running_loop().create_future()
        self._waiters += (waiter,)
        try:
            return await waiter
        finally:
            self._waiters = tuple(other for other in self._waiters if other is not waiter)


class Loop(asyncio.AbstractEventLoop):
    """`now_us`: microseconds since the simulation began. `errors`: what nobody caught, as (now_us, text)."""

    def __init__(self):
        self.now_us = 0
        self.errors = []
        self.network = None
        self._ready = deque()
        self._timers = []
        self._order = 0  # of timers that are due in the same microsecond: first come, first served
        self._running = False
        self.create_future = functools.partial(asyncio.Future, loop=self)
        # One for all, as callbacks do not run in contexts anyway: each task would copy it.
        self._for_tasks = {"context": contextvars.copy_context()} if sys.version_info >= (3, 11) else {}

    def run(self, coroutine):
        """Run a coroutine to its end and return its result, as asyncio.run does in real time. Raises Deadlock, which
        names who waits where, and Livelock."""
        before = asyncio._get_running_loop()  # a test may be in a real loop, which then stands still
        asyncio._set_running_loop(self)
        self._running = True
        try:
            main = self.create_task(coroutine)
            self._until(main)
            return main.result()
        finally:
            self._cancel_rest()
            self._running = False
            asyncio._set_running_loop(before)

    def _until(self, main):
        ready, timers = self._ready, self._timers
        while not main.done():
            budget = _SPIN
            while ready:
                handle = ready.popleft()
                if handle.callback is not None:
                    handle.callback(*handle.args)
                budget -= 1
                if not budget:
                    raise Livelock(f"time stands still at {self.now_us / 1e6} s; next: {handle.callback!r}\n"
                                   + self.waiting())
            if main.done():
                return
            while timers and timers[0][2].callback is None:
                heappop(timers)
            if not timers:
                raise Deadlock(f"nobody can move at {self.now_us / 1e6} s, and there is no deadline:\n"
                               + self.waiting())
            self.now_us = now_us = timers[0][0]
            while timers and timers[0][0] == now_us:
                handle = heappop(timers)[2]
                if handle.callback is not None:
                    ready.append(handle)

    def _cancel_rest(self):
        """As asyncio.run: nobody outlives the run, and everybody may tidy up, in no time."""
        for _ in range(3):  # a task may need to be told more than once: who waits for it was told, too
            tasks = [task for task in asyncio.all_tasks(self) if not task.done()]
            for task in tasks:
                task.cancel()
            for _ in range(_SPIN):
                if not self._ready:
                    break
                handle = self._ready.popleft()
                if handle.callback is not None:
                    handle.callback(*handle.args)
            if not tasks:
                break

    def waiting(self):
        """A line for every task that is not done: its coroutine, and where it waits."""
        lines = sorted(_place(task) for task in asyncio.all_tasks(self) if not task.done())
        return "\n".join(f"  {line}" for line in lines)

    def time(self):
        return self.now_us / 1e6

    def call_soon(self, callback, *args, context=None):
        handle = Handle(callback, args, self.now_us)
        self._ready.append(handle)
        return handle

    def call_later(self, delay, callback, *args, context=None):
        when_us = self.now_us - int(-delay * 1e6 // 1)  # rounded up, or what waits would spin
        handle = Handle(callback, args, when_us)
        self._order = order = self._order + 1
        heappush(self._timers, (when_us, order, handle))
        if order & 0xFFFF == 0:
            self._sweep()
        return handle

    def call_at(self, when, callback, *args, context=None):
        return self.at_us(-int(-when * 1e6 // 1), callback, *args)

    def after_us(self, delay_us, callback, *args):
        """Call after whole microseconds."""
        return self.at_us(self.now_us + delay_us, callback, *args)

    def at_us(self, when_us, callback, *args):
        """Call at a time of the loop's clock; at once when that is past."""
        handle = Handle(callback, args, when_us if when_us > self.now_us else self.now_us)
        self._order += 1
        heappush(self._timers, (handle.when_us, self._order, handle))
        if self._order & 0xFFFF == 0:
            self._sweep()
        return handle

    def _sweep(self):
        """Drop timers that were cancelled: deadlines mostly are, and those of years would pile up."""
        alive = [timer for timer in self._timers if timer[2].callback is not None]
        if len(self._timers) - len(alive) > _FEW_TIMERS:
            self._timers[:] = alive
            heapq.heapify(self._timers)

    def create_task(self, coroutine, **options):
        return asyncio.Task(coroutine, loop=self, **{**self._for_tasks, **options})

    async def create_server(self, protocol_factory, host=None, port=None, **options):
        """What asyncio.start_server needs: a server in the simulated network."""
        return self.network.listen(host, port, protocol_factory)

    def call_exception_handler(self, context):
        error = context.get("exception")
        self.errors.append((self.now_us, f"{context.get('message')}: {error!r}"))

    def get_debug(self):
        return False

    def is_running(self):
        return self._running

    def is_closed(self):
        return False


def _place(task):
    """What a task runs, and the innermost place in which it waits."""
    coroutine = inner = task.get_coro()
    while getattr(getattr(inner, "cr_await", None), "cr_frame", None) is not None:
        inner = inner.cr_await
    frame = getattr(inner, "cr_frame", None)
    where = f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame else "has not begun"
    return f"{coroutine.__qualname__} in {inner.__qualname__} ({where})"
