"""What a broken or hostile broker may send, in fragments: the client takes exactly the good part, then ends by itself.

A second reading of the same bytes, by simpler code that has all of them at hand, says what the good part is.
"""

import asyncio
import gc
import os
import random

import mqtt_long  # noqa: F401  its code is not to be counted as memory that a packet takes
from minitest import equal
from mqtt import Client, MQTTError
from scripted import ASKED, CONNACK, Session, Stream, packet, packets, puback, publish, settle, two
from together import together

if not hasattr(gc, "mem_alloc"):
    import tracemalloc

CASES = int(os.getenv("MOTE_FUZZ_CASES", "10000"))  # `make fuzz` asks for more
SEED = int(os.getenv("MOTE_FUZZ_SEED", "311"))  # printed when a case fails
LIMIT_BYTES = 300
BUFFER_BYTES = 256  # of the reader
OBJECTS_BYTES = 1_200 if hasattr(gc, "mem_alloc") else 2_400  # of coroutines and of an event loop
TOPIC_BYTES = 404  # that a packet may have beyond the limit and still be kept whole

NUMBERS = (1, 2, 3, 9, 255, 256, 65_535)


def message(dice):
    topic = dice.choice(("t", "a/b", "\u20ac/\xe4", "x" * 100, "y" * 247, "z" * 260, "w" * 900))
    size = dice.choice((0, 1, 20, 243, 244, 245, 250, LIMIT_BYTES, LIMIT_BYTES + 1, 800))
    return publish(topic, bytes((size & 255,)) * size, dice.randrange(2), dice.choice(NUMBERS), dice.randrange(2))


def valid(dice):
    """A packet that a broker may send, PUBLISH and PUBACK most of all."""
    kind = dice.randrange(9)
    if kind < 4:
        return message(dice)
    if kind < 6:
        return puback(dice.choice(NUMBERS))
    number = two(dice.choice(NUMBERS))
    return (b"\xd0\x00", b"\x20\x02\x00\x00", packet(0x90, number, b"\x01" * dice.randrange(4)))[kind - 6]


def mutated(dice, data):
    """One byte changed, one bit turned, cut, doubled in part, or a length field put in the place of another."""
    at = dice.randrange(len(data))
    kind = dice.randrange(6)
    if kind == 0:
        return data[:at] + bytes((dice.randrange(256),)) + data[at + 1:]
    if kind == 1:
        return data[:at] + bytes((data[at] ^ 1 << dice.randrange(8),)) + data[at + 1:]
    if kind == 2:
        return data[:at] + data[at + dice.randrange(1, 9):]
    if kind == 3:
        return data[:at] + data[at // 2 :]
    if kind == 4:
        digits = [dice.choice((0, 1, 2, 127, 128, 200, 255)) for _ in range(dice.randrange(6))]
        return data[:1] + bytes(digits) + data[2:]
    return bytes((data[0] ^ 1 << dice.randrange(8),)) + data[1:]


def speech(dice):
    """Bytes of one to five packets, most often with something wrong in one of them."""
    said = [valid(dice) for _ in range(dice.randrange(1, 6))]
    for _ in range(dice.choice((0, 1, 1, 2))):
        at = dice.randrange(len(said))
        said[at] = mutated(dice, said[at]) or b"\x30"
    return b"".join(said)


class Refused(Exception):
    """A packet at which the client has to end."""


def read_publish(first, body):
    """(message or None when nothing of it can be kept, packet id or 0) of a PUBLISH."""
    start = 2 + (len(body) > 127) + (len(body) > 16_383)
    after = 2 + (body[0] << 8 | body[1]) if len(body) > 1 else 0
    cut = len(body) > LIMIT_BYTES + TOPIC_BYTES
    if cut and start + after + 2 > BUFFER_BYTES:
        if first & 4 or after + (first & 2) > len(body):
            raise Refused
        return None, read_id(body[after:]) if first & 2 else 0
    if not 2 < after <= len(body) or first & 4:
        raise Refused
    try:
        topic = str(body[2:after], "utf-8")
    except UnicodeError:
        raise Refused
    number = 0
    if first & 2:
        number = read_id(body[after:])
        after += 2
    payload = body[after:]
    return (topic, payload if len(payload) <= LIMIT_BYTES else None, bool(first & 1)), number


def read_id(body):
    if len(body) < 2 or not body[0] | body[1]:
        raise Refused
    return body[0] << 8 | body[1]


def expected(data):
    """(messages, packet ids to acknowledge, packet ids acknowledged) that a client takes from `data`."""
    messages, ids, acknowledged = [], [], []
    try:
        for first, body in packets(data)[0]:
            if first >> 4 == 3:
                found, number = read_publish(first, body)
                messages += [found] if found else []
                ids += [number] if number else []
            elif first == 0x40:
                acknowledged.append(read_id(body))
            elif first in (0x90, 0xB0):
                read_id(body)
            elif first != 0xD0 and (first != 0x20 or len(body) < 2 or body[1]):  # a refusal is the end as well
                raise Refused
    except Refused:
        pass  # up to here
    return messages, ids, [number for number in (1, 2, 3) if number in acknowledged]


async def heard_by_client(size, data):
    """The same, as a client that has three publishes in flight takes it, so many bytes a read; asserts that it ends,
    and its bounds."""
    stream = Stream(size)
    messages, acknowledged = [], []
    client = Client(stream, lambda *message: messages.append(message), acknowledged.append, limit_bytes=LIMIT_BYTES)
    for number in (1, 2, 3):
        client.put("t", "", qos=1, token=number)
    client.flush()
    stream.writes.clear()
    stream.say(data)
    stream.end()
    try:
        await client.run()
        raise AssertionError("run() returned")
    except MQTTError:
        pass  # how every case ends, since the broker hangs up
    assert stream.largest_read <= LIMIT_BYTES + TOPIC_BYTES + 5, "a buffer of %d bytes" % stream.largest_read
    ids = [body[0] << 8 | body[1] for first, body in stream.heard()]
    kept = [(topic, payload if payload is None else bytes(payload), retained) for topic, payload, retained in messages]
    equal(sorted(acknowledged + client.unacknowledged()), [1, 2, 3])
    return kept, ids, sorted(acknowledged)


async def check(case, data):
    """Returns whether the client took all there was. Cases are split at every size from 1 to 64 bytes in turn; the long
    ones at the smallest sizes are for `make fuzz`."""
    size = case % 64 + 1
    if CASES <= 10_000 and len(data) > 60 * size:
        size = 64
    messages, ids, acknowledged = expected(data)
    found = await heard_by_client(size, data)
    equal(found[0], messages)
    equal(found[2], acknowledged)
    equal(found[1], ids[: len(found[1])])  # what was taken together with the bad packet is not acknowledged any more
    return len(ids) == len(found[1])


def dice_of(seed):
    dice = random.Random(seed) if hasattr(random, "Random") else random
    dice.seed(seed)
    return dice


class Memory:
    """`with Memory() as used: used()` is how many bytes are in use."""

    def __enter__(self):
        if not hasattr(gc, "mem_alloc"):
            tracemalloc.start()
        return self.used

    def __exit__(self, *error):
        if not hasattr(gc, "mem_alloc"):
            tracemalloc.stop()

    def used(self):
        gc.collect()
        return gc.mem_alloc() if hasattr(gc, "mem_alloc") else tracemalloc.get_traced_memory()[0]


async def test_the_good_part_is_taken_and_the_rest_ends_the_connection():
    dice = dice_of(SEED)
    least = [1 << 30, 1 << 30]  # bytes in use, in the first half and in the second
    whole = 0
    for case in range(CASES):
        data = speech(dice)
        try:
            whole += await check(case, data)
        except Exception:
            print("seed %d, case %d: %r" % (SEED, case, data))
            raise
        del data
        if case % (CASES // 100) == CASES // 200 and hasattr(gc, "mem_alloc"):
            gc.collect()
            half = case // (CASES // 2)
            least[half] = min(least[half], gc.mem_alloc())
    lost = least[1] - least[0]  # the least of many: garbage that something on the stack seems to point to stays a while
    assert lost < 256, "%d bytes are lost" % lost
    assert CASES // 10 < whole < CASES, "%d of %d went well: the mutations are no test" % (whole, CASES)


async def test_good_packets_in_fragments_are_all_taken():
    dice = dice_of(SEED + 1)
    for case in range(CASES // 20):
        data = b"".join([valid(dice) for _ in range(12)])
        try:
            assert await check(case, data), "not all were acknowledged"
            equal(packets(data)[1], b"")
        except Exception:
            print("seed %d, case %d: %r" % (SEED + 1, case, data))
            raise


async def test_answers_that_nobody_waits_for_take_no_memory():
    async with Session() as session:
        with Memory() as used:
            for number in range(1, 1_001):
                if number == 10:
                    before = used()
                await session.says(packet(0x90, two(number), b"\x00"), packet(0xB0, two(number)), CONNACK)
            assert used() - before < 2_000, "%d bytes more" % (used() - before)


async def test_questions_that_were_answered_or_given_up_take_no_memory():
    least = [1 << 30, 1 << 30]  # bytes in use, after the first hundred and at the end: see above on garbage
    async with Session() as session:
        with Memory() as used:
            for number in range(1, 603):
                task = asyncio.create_task(session.client.unsubscribe(("a",)))
                await settle()
                if number % 2:
                    task.cancel()
                else:
                    await session.says(packet(0xB0, two(ASKED + (number - 1) % 500 + 1)))
                try:
                    await task
                    assert number % 2 == 0
                except asyncio.CancelledError:
                    assert number % 2 == 1
                session.stream.writes.clear()
                if number % 500 > 82 and number % 4 == 2 and number % 500 < 103:
                    least[number > 500] = min(least[number > 500], used())
    # A stale word on the stack keeps one lent module, compiled from its source here; CPython keeps up to a hundred
    # timers that were cancelled until they are due, each with the code that it was lent.
    most = 4_000 if hasattr(gc, "mem_alloc") else 150_000
    assert least[1] - least[0] < most, "%d and then %d bytes" % (least[0], least[1])


class Flood:
    """A stream that begins with `head` and goes on with zeros for some reads; notes how much memory was in use."""

    def __init__(self, head, reads, used):
        self.head = head
        self.reads = reads
        self.used = used
        self.before = self.most = 0

    async def readable(self):
        """Nothing is ever waited for."""

    def read(self, buf):
        if self.head:
            count = len(self.head)
            buf[:count] = self.head
            self.head = b""
            self.before = self.used()
            return count
        self.reads -= 1
        if self.reads % 4 == 0:
            self.most = max(self.most, self.used())
        return min(len(buf), 200) if self.reads else 0

    def write(self, buf, size):
        return True

    async def drain(self):
        await asyncio.sleep(0)


def announced(first, size):
    """The header of a packet of `size` bytes, and a topic of one letter."""
    head = bytearray((first,))
    while size > 127:
        head.append(size & 127 | 128)
        size >>= 7
    return bytes(head) + bytes((size,)) + b"\x00\x01t\x00\x01"


async def growth(first, size):
    """How many bytes more are in use while a client receives such a packet than before it."""
    with Memory() as used:
        flood = Flood(announced(first, size), 32, used)
        await run(flood)
    return flood.most - flood.before


async def run(flood):
    try:
        await together(*Client(flood, limit_bytes=4_096).parts())
    except MQTTError:
        pass  # the flood ends


async def test_an_announced_length_takes_no_memory_beyond_the_limit():
    for first in (0x30, 0x33, 0x90):
        for size in (4_000, 4_096 + TOPIC_BYTES, 4_097 + TOPIC_BYTES, 70_000, 268_435_455):
            more = await growth(first, size)
            kept = size if size <= 4_096 + TOPIC_BYTES else 0
            assert kept < more < kept + OBJECTS_BYTES, "%d bytes announced, %d taken" % (size, more)
