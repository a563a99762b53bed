"""Structured concurrency in one function, for MicroPython, whose asyncio has neither TaskGroup nor wait()."""

import asyncio


async def _member(coroutine, outcome, alive, ended):
    alive.append(1)
    try:
        outcome.append((await coroutine, None))
    except (Exception, asyncio.CancelledError) as error:
        outcome.append((None, error))
    finally:
        alive.pop()
        ended.set()


async def together(*coroutines):
    """Run all until the first ends, then cancel the others and wait until they have ended.

    Returns what the first returned, or raises what it raised. No task outlives the call, also when the caller
    is cancelled, at any moment and more than once.
    """
    ended = asyncio.Event()
    outcome = []
    alive = []
    tasks = [asyncio.create_task(_member(coroutine, outcome, alive, ended)) for coroutine in coroutines]
    first = True
    while first or alive:
        try:
            await ended.wait()  # not for a task: whose cancellation came out of it could not be told
        except asyncio.CancelledError as error:
            outcome.insert(0, (None, error))
        ended.clear()
        for task in tasks if first else ():  # once: a second time would interrupt their tidying up
            task.cancel()
        first = False
    result, error = outcome[0]
    if error:
        raise error
    return result


async def within(seconds, coroutine):
    """The result of `coroutine`; raises asyncio.TimeoutError, and cancels it, when it takes longer than `seconds`."""
    return await together(coroutine, _deadline(seconds))


async def _deadline(seconds):
    await asyncio.sleep(seconds)
    raise asyncio.TimeoutError()
