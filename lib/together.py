"""Structured concurrency in one function, for MicroPython, whose asyncio has neither TaskGroup nor wait()."""

import asyncio


async def together(*coroutines):
    """Run all until the first ends, then cancel the others and wait until they have ended.

    Returns what the first returned, or raises what it raised. No task outlives the call, also when the caller
    is cancelled, at any moment and more than once.
    """
    news = asyncio.Event()
    ends = []  # (result, error) of each task that has ended, in that order

    def ended(task, error=None):
        ends.append(_end(task, error))
        news.set()

    tasks = [_begun(coroutine, ended) for coroutine in coroutines]
    cancelled, told = None, False
    while len(ends) < len(tasks):
        try:
            await news.wait()  # not for a task: whose cancellation came out of it could not be told
        except asyncio.CancelledError as error:
            cancelled = error
        news.clear()
        for task in () if told else tasks:  # once: a second time would interrupt their tidying up
            task.cancel()
        told = True
    result, error = ends[0]
    if cancelled or error:
        raise cancelled or error
    return result


def _begun(coroutine, ended):
    """A task that calls `ended` at its end. A coroutine around it would do that, too, for 200 bytes more."""
    task = asyncio.create_task(coroutine)
    if hasattr(task, "add_done_callback"):
        task.add_done_callback(ended)
    else:
        task.state = ended  # as MicroPython's own gather() does
    return task


def _end(task, error):
    """(result, error) of a task that has ended. MicroPython says with what exception; CPython's `error` is None."""
    if isinstance(error, StopIteration):
        return error.value, None
    if error is None:
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
    return None if error else task.result(), error


async def within(seconds, coroutine):
    """The result of `coroutine`; raises asyncio.TimeoutError, and cancels it, when it takes longer than `seconds`."""
    return await together(coroutine, _deadline(seconds))


async def _deadline(seconds):
    await asyncio.sleep(seconds)
    raise asyncio.TimeoutError()
