"""Structured concurrency in one function, for MicroPython, whose asyncio has neither TaskGroup nor wait()."""

import asyncio


async def _member(coroutine, outcome, ended):
    try:
        outcome.append((await coroutine, None))
    except Exception as error:
        outcome.append((None, error))
    finally:
        ended.set()


async def together(*coroutines):
    """Run all until the first ends, then cancel and await the others.

    Returns what the first returned, or raises what it raised. No task outlives the call, also when the caller
    is cancelled.
    """
    ended = asyncio.Event()
    outcome = []
    tasks = [asyncio.create_task(_member(coroutine, outcome, ended)) for coroutine in coroutines]
    try:
        await ended.wait()
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            try:
                await task
            except asyncio.CancelledError:
                pass  # our own: it was cancelled two lines above
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
