"""The loop in virtual time: it jumps, it rounds up, and what would hang names who waits."""

import asyncio
import time

import pytest

from tools.sim.loop import Deadlock, Livelock, Loop


def test_a_year_passes_in_no_time():
    loop = Loop()

    async def main():
        await asyncio.sleep(365 * 86_400)
        return loop.time()

    began = time.monotonic()
    assert loop.run(main()) == 365 * 86_400
    assert time.monotonic() - began < 5


def test_tasks_take_turns_in_the_order_of_their_deadlines_and_then_of_asking():
    seen = []

    async def late(name, seconds):
        await asyncio.sleep(seconds)
        seen.append((name, asyncio.get_running_loop().time()))

    async def main():
        await asyncio.gather(late("b", 2), late("a", 1), late("c", 2))

    Loop().run(main())
    assert seen == [("a", 1), ("b", 2), ("c", 2)]


def test_a_sleep_is_never_shorter_than_asked_for():
    loop = Loop()

    async def main():
        for delay in (1e-9, 1e-7, 0.1 + 0.2, 1 / 3):
            before = loop.now_us
            await asyncio.sleep(delay)
            assert loop.now_us - before >= delay * 1e6
            assert loop.now_us > before

    loop.run(main())


def test_a_deadlock_names_who_waits_and_where():
    async def waits_for_ever():
        await asyncio.Event().wait()

    async def main():
        await asyncio.gather(waits_for_ever(), asyncio.sleep(5))

    with pytest.raises(Deadlock, match=r"(?s)nobody can move at 5\.0 s.*waits_for_ever.*locks\.py") as caught:
        Loop().run(main())
    assert "main" in str(caught.value)


def test_time_that_stands_still_is_an_error(monkeypatch):
    monkeypatch.setattr("tools.sim.loop._SPIN", 1_000)

    async def spins():
        while True:
            await asyncio.sleep(0)

    with pytest.raises(Livelock, match="time stands still"):
        Loop().run(spins())


def test_a_deadline_that_is_cancelled_costs_no_time_and_no_memory():
    loop = Loop()

    async def main():
        for _ in range(70_000):
            await asyncio.wait_for(asyncio.sleep(0), 1_000)
        return len(loop._timers)

    assert loop.run(main()) < 10_000
    assert loop.time() == 0


def test_nobody_outlives_a_run_and_everybody_may_tidy_up():
    tidied = []

    async def other():
        try:
            await asyncio.sleep(1_000)
        finally:
            tidied.append(1)

    async def main():
        task = asyncio.get_running_loop().create_task(other())
        await asyncio.sleep(1)
        assert not task.done()
        raise KeyError("x")

    with pytest.raises(KeyError):
        Loop().run(main())
    assert tidied == [1]


def test_what_no_one_caught_is_kept():
    loop = Loop()

    async def main():
        future = loop.create_future()
        future.set_exception(ValueError("lost"))
        del future

    loop.run(main())
    assert "lost" in loop.errors[0][1]
