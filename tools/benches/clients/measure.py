"""Measures one client: `measure ADAPTER WHAT HOST PORT [MODULES | COUNT ...]`; prints one JSON document.

Runs on MicroPython alone, as its figures are about it. An adapter without an event loop is run without one, so that
no client pays for what only others need.
"""

import gc
import json
import sys
import time

WARM_UP = 20
MOST_COUNTED = 400
ROUNDS = 3
PILOT = 400  # messages at QoS 0 that tell how many fill the time of a measurement
FILL_US = 300_000
LEAST, MOST = 1_000, 60_000
PAUSE_MS = 50
OPENING, OPENING_MS = 256, 500  # at QoS 1: in TCP's slow start a broker sends 10 small segments in a round trip


async def _span_us(bench, count):
    """Microseconds for so many messages at QoS 0, until the broker has them all: it answers in order."""
    started = time.ticks_us()
    await bench.publish0(count)
    await bench.publish1(1, None)
    return time.ticks_diff(time.ticks_us(), started)


async def _rate0(bench):
    """Messages per second: of the later four fifths, as the last message's answer is the same for any number."""
    started = time.ticks_us()
    await bench.publish0(PILOT)  # without the answer, for which some clients poll
    count = PILOT * FILL_US // max(1, time.ticks_diff(time.ticks_us(), started))
    count = min(MOST, max(LEAST, count)) // 5 * 5
    gc.collect()
    few_us = await _span_us(bench, count // 5)
    return count * 800_000 // max(1, await _span_us(bench, count) - few_us)


async def rate0(adapter, host, port):
    """Messages per second at QoS 0."""
    bench = adapter.Bench(host, int(port))
    await bench.connect()
    await bench.publish0(WARM_UP)
    await bench.publish1(1, None)
    rate = await _rate0(bench)
    await bench.disconnect()
    return {"per_s": rate}


async def rates(adapter, host, port, count0, count1, budget_ms):
    """Rates at both QoS over a link; `budget_ms` ends a slow client's QoS 1."""
    bench = adapter.Bench(host, int(port))
    await bench.connect()
    await bench.publish0(WARM_UP)
    await bench.publish1(1, None)
    span_us = await _span_us(bench, int(count0))
    await bench.publish1(OPENING, time.ticks_add(time.ticks_ms(), OPENING_MS))
    gc.collect()
    started = time.ticks_us()
    sent = await bench.publish1(int(count1), time.ticks_add(time.ticks_ms(), int(budget_ms)))
    rate1 = sent * 1_000_000 / time.ticks_diff(time.ticks_us(), started)
    await bench.disconnect()
    return {"qos0_per_s": int(count0) * 1_000_000 / span_us, "qos1_per_s": rate1}


async def wake(adapter, host, port, rounds):
    """Milliseconds of each wake cycle, from the call to its return."""
    found = []
    for _ in range(int(rounds)):
        bench = adapter.Bench(host, int(port))
        started = time.ticks_us()
        await bench.wake()
        found.append(time.ticks_diff(time.ticks_us(), started) / 1_000)
        await _pause(adapter)
    return found


async def _pause(adapter):
    """Let what is left of the connection, its end above all, be over before the next one begins."""
    if adapter.LOOP:
        await sys.modules["asyncio"].sleep_ms(PAUSE_MS)
    else:
        time.sleep_ms(PAUSE_MS)


async def publish(adapter, host, port, count0, count1):
    """So many messages of each QoS and no more, for whoever looks from outside."""
    bench = adapter.Bench(host, int(port))
    await bench.connect()
    await bench.publish0(int(count0))
    for _ in range(int(count1)):
        await bench.publish1(1, None)
    await bench.disconnect()
    return {"published": int(count0) + int(count1)}


async def _garbage(send):
    """Bytes that one message leaves for the collector, by the difference of few and more: what is kept is in both.

    Many messages where they go fast, and the median of several rounds: what one at QoS 1 costs depends on how many
    answers come at once.
    """
    started = time.ticks_us()
    await send(WARM_UP)
    count = min(MOST_COUNTED, max(WARM_UP, WARM_UP * FILL_US // time.ticks_diff(time.ticks_us(), started)))
    found = []
    for _ in range(ROUNDS):
        few = await _taken(send, WARM_UP)
        found.append((await _taken(send, WARM_UP + count) - few) / count)
    return sorted(found)[ROUNDS // 2]


async def _taken(send, count):
    """Bytes of heap that are in use after so many messages and were not before."""
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    await send(count)
    after = gc.mem_alloc()
    gc.enable()
    return after - before


async def memory(adapter, host, port, modules, imported, own, before):
    """Heap of the client, without the adapter's own code, and what a publish leaves for the collector."""
    bench = adapter.Bench(host, int(port))
    await bench.connect()
    await bench.publish0(2)
    await bench.publish1(1, None)
    found = {"modules": modules, "imported_bytes": imported, "connected_bytes": _used() - before - own}
    found["qos0_bytes"] = await _garbage(bench.publish0)
    for name in ("callback", "awaited"):
        send = getattr(bench, name)
        found[name + "_bytes"] = await _garbage(send) if send else None
    await bench.disconnect()
    return found


def _used():
    gc.collect()
    return gc.mem_alloc()


def _driven(coroutine):
    """The result of a coroutine that never waits for an event loop."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise RuntimeError("it waits")


def main(name, what, host, port, *rest):
    before = _used()
    if what == "memory":
        for module in rest[0].split(","):
            if module:
                __import__(module)
        imported = _used() - before
        modules = list(sys.modules)
        adapter = __import__(name)
        rest = (modules, imported, _used() - before - imported, before)
    else:
        adapter = __import__(name)
    work = globals()[what](adapter, host, port, *rest)
    if adapter.LOOP:
        import asyncio

        result = asyncio.run(work)
    else:
        result = _driven(work)
    print(json.dumps(result))


main(*sys.argv[1:])
