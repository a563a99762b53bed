"""Structured concurrency: what comes back, and that nothing is left behind."""

import asyncio

from minitest import equal, raises
from scripted import settle
from together import together, within


class Member:
    """A coroutine that waits to be told, and writes down what became of it."""

    def __init__(self, diary, name, tidy_up=0):
        self.diary = diary
        self.name = name
        self.tidy_up = tidy_up
        self.told = asyncio.Event()
        self.what = None

    def end(self, what):
        self.what = what
        self.told.set()

    async def live(self):
        self.diary.append(self.name + " began")
        try:
            await self.told.wait()
        except asyncio.CancelledError:
            self.diary.append(self.name + " cancelled")
            for _ in range(self.tidy_up):
                await asyncio.sleep(0)
            self.diary.append(self.name + " tidied up")
            raise
        finally:
            self.diary.append(self.name + " ended")
        if isinstance(self.what, BaseException):
            raise self.what
        return self.what


def members(*tidy_up):
    diary = []
    return diary, [Member(diary, "abc"[index], turns) for index, turns in enumerate(tidy_up)]


async def outcome(coroutine):
    try:
        return await coroutine
    except (Exception, asyncio.CancelledError) as error:
        return error


def begin(coroutine):
    """A task whose result is what the call returned or raised."""
    return asyncio.create_task(outcome(coroutine))


async def test_the_first_result_comes_back_and_the_others_have_ended():
    for what in ("result", None, 0):
        diary, (a, b, c) = members(0, 3, 3)
        task = begin(together(a.live(), b.live(), c.live()))
        await settle()
        equal(diary, ["a began", "b began", "c began"])
        b.end(what)
        equal(await task, what)
        equal([line for line in diary[3:] if line[0] == "a"], ["a cancelled", "a tidied up", "a ended"])
        equal([line for line in diary[3:] if line[0] == "b"], ["b ended"])
        equal([line for line in diary[3:] if line[0] == "c"], ["c cancelled", "c tidied up", "c ended"])


async def test_the_first_error_comes_back_and_the_others_have_ended():
    for error in (OSError(5), ValueError("x"), asyncio.TimeoutError()):
        diary, (a, b) = members(4, 0)
        task = begin(together(a.live(), b.live()))
        await settle()
        b.end(error)
        assert await task is error
        equal(diary[2:], ["b ended", "a cancelled", "a tidied up", "a ended"])


async def test_one_that_ends_without_waiting_is_the_first():
    async def at_once():
        return 7

    async def fails():
        raise KeyError("k")

    diary, (a,) = members(0)
    equal(await together(a.live(), at_once()), 7)
    equal(diary[-1:], ["a ended"])
    with raises(KeyError):
        await together(Member(diary, "b").live(), fails())
    equal(await together(at_once()), 7)


async def test_what_the_others_raise_while_they_tidy_up_does_not_matter():
    async def spiteful():
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("too late")

    diary, (a,) = members(0)
    task = begin(together(spiteful(), a.live()))
    await settle()
    a.end("first")
    equal(await task, "first")


async def test_a_cancelled_caller_cancels_all_and_is_cancelled():
    diary, (a, b) = members(3, 1)
    task = begin(together(a.live(), b.live()))
    await settle()
    task.cancel()
    error = await task
    assert isinstance(error, asyncio.CancelledError), error
    equal(sorted(diary[2:]), ["a cancelled", "a ended", "a tidied up", "b cancelled", "b ended", "b tidied up"])


async def test_a_caller_cancelled_while_the_others_tidy_up_is_cancelled_and_leaves_nothing():
    for turns in range(1, 9):
        diary, (a, b) = members(0, 6)
        task = begin(together(a.live(), b.live()))
        await settle()
        a.end("result")
        for _ in range(turns):
            await asyncio.sleep(0)
        if "b ended" in diary:
            break
        task.cancel()
        error = await task
        assert isinstance(error, asyncio.CancelledError), "cancelled at turn %d, came back with %r" % (turns, error)
        equal(diary[-2:], ["b tidied up", "b ended"], "cancelled at turn %d:" % turns)
    assert turns > 5, "the test cancelled too late"


async def test_a_caller_cancelled_twice_still_waits_for_all():
    diary, (a, b) = members(9, 9)
    task = begin(together(a.live(), b.live()))
    await settle()
    task.cancel()
    for _ in range(4):
        await asyncio.sleep(0)
    equal(diary[2:], ["a cancelled", "b cancelled"])
    task.cancel()
    assert isinstance(await task, asyncio.CancelledError)
    equal(diary[4:], ["a tidied up", "a ended", "b tidied up", "b ended"])


async def test_a_member_that_is_cancelled_by_itself_ends_all():
    diary, (a, b) = members(0, 2)
    task = begin(together(a.live(), b.live()))
    await settle()
    a.end(asyncio.CancelledError())
    assert isinstance(await task, asyncio.CancelledError)
    equal(diary[-1], "b ended")


async def test_together_inside_together():
    diary, (a, b, c) = members(2, 2, 2)
    task = begin(together(together(a.live(), b.live()), c.live()))
    await settle()
    c.end("c")
    equal(await task, "c")
    equal(len([line for line in diary if line.endswith("ended")]), 3)

    diary, (a, b, c) = members(2, 2, 2)
    task = begin(together(together(a.live(), b.live()), c.live()))
    await settle()
    b.end(OSError(3))
    equal((await task).args, (3,))
    equal(len([line for line in diary if line.endswith("ended")]), 3)


async def test_within_hands_on_result_and_error():
    async def value():
        await asyncio.sleep(0)
        return "value"

    async def fails():
        await asyncio.sleep(0)
        raise KeyError("k")

    equal(await within(5, value()), "value")
    with raises(KeyError):
        await within(5, fails())


async def test_within_ends_what_takes_too_long():
    diary, (a,) = members(2)
    with raises(asyncio.TimeoutError):
        await within(0.01, a.live())
    equal(diary, ["a began", "a cancelled", "a tidied up", "a ended"])


async def test_within_hands_on_a_timeout_that_is_not_its_own():
    diary, (a,) = members(0)
    task = begin(within(5, a.live()))
    await settle()
    a.end(asyncio.TimeoutError("mine"))
    equal((await task).args, ("mine",))


async def test_within_is_cancelled_with_its_caller():
    diary, (a,) = members(2)
    task = begin(within(5, a.live()))
    await settle()
    task.cancel()
    assert isinstance(await task, asyncio.CancelledError)
    equal(diary, ["a began", "a cancelled", "a tidied up", "a ended"])
