"""A broker that says what a test tells it, over a stream in memory that is stricter than a socket.

The packets are put together here a second time, from the standard's text, so that a mistake of lib/mqtt_writer.py does
not meet its own mirror image.
"""

import asyncio

from mqtt import LINK_ERRORS, Client

PINGREQ = b"\xc0\x00"
PINGRESP = b"\xd0\x00"
DISCONNECT = b"\xe0\x00"
CONNACK = b"\x20\x02\x00\x00"
ASKED = 65_000  # the packet ids of SUBSCRIBE and UNSUBSCRIBE begin behind this, those of PUBLISH end here

_PATIENCE_S = 10  # before a test that waits has failed; none that passes waits as long


def packet(first, *parts):
    """One packet: its first byte, the remaining length by the algorithm of section 2.2.3, its body."""
    body = b"".join(parts)
    size = len(body)
    head = bytearray((first,))
    while True:
        digit = size % 128
        size = size // 128
        if size > 0:
            digit = digit | 128
        head.append(digit)
        if not size > 0:
            return bytes(head) + body


def two(number):
    return bytes((number // 256, number % 256))


def field(text):
    data = text.encode() if isinstance(text, str) else text
    return two(len(data)) + data


def publish(topic, payload=b"", qos=0, number=0, retain=False, dup=False):
    first = 0x30 + (8 if dup else 0) + 2 * qos + (1 if retain else 0)
    return packet(first, field(topic), two(number) if qos else b"", payload)


def puback(number):
    return packet(0x40, two(number))


def packets(data):
    """The whole packets in `data` as (first byte, body), and the bytes left over."""
    found = []
    while len(data) > 1:
        size, at, factor = 0, 1, 1
        while at < len(data) and at < 5:
            size += data[at] % 128 * factor
            factor *= 128
            at += 1
            if data[at - 1] < 128:
                break
        else:
            break
        if at + size > len(data):
            break
        found.append((data[0], data[at : at + size]))
        data = data[at + size:]
    return found, data


async def readinto(stream, buf):
    """Wait until `stream.read` gives something; return what it gave."""
    while True:
        count = stream.read(buf)
        if count is not None:
            return count
        await stream.readable()


async def settle():
    """Let every task come to where it waits for something from outside."""
    for _ in range(25):
        await asyncio.sleep(0)


class Stream:
    """The client's end of the line.

    A read delivers at most `fragment` bytes (a number, or a function that draws one) and spoils the rest of the
    buffer. `hold()` makes `drain` wait, until `let_go()`. A second reader or drainer, which MicroPython's sockets
    cannot have, is a failure, as are a read into nothing, a write of nothing, and a read after the end.
    """

    def __init__(self, fragment=1_000_000):
        self.writes = []
        self.drains = 0
        self.largest_read = 0
        self.broken = False  # writes raise
        self._fragment = fragment if callable(fragment) else lambda: fragment
        self._coming = b""
        self._at = 0
        self._end = None
        self._reading = self._draining = False
        self._news = asyncio.Event()
        self._taken = asyncio.Event()
        self._taken.set()

    def say(self, *data):
        """The broker sends."""
        self._coming = self._coming[self._at:] + b"".join(data)
        self._at = 0
        self._news.set()

    def end(self, error=0):
        """After what was sent the broker closes, or the stream raises `error`."""
        self._end = error
        self._news.set()

    def hold(self):
        self._taken.clear()

    def let_go(self):
        self._taken.set()

    def heard(self):
        """The packets that the client sent since the last call; asserts that they are whole."""
        found, rest = packets(b"".join(self.writes))
        assert not rest, "half a packet was sent: %r" % rest
        self.writes.clear()
        return found

    async def readable(self):
        assert not self._reading, "two readers"
        self._reading = True
        try:
            while self._at == len(self._coming) and self._end is None:
                self._news.clear()
                await self._news.wait()
        finally:
            self._reading = False

    def read(self, buf):
        assert not self._reading, "two readers"
        assert len(buf), "a read into nothing"
        self.largest_read = max(self.largest_read, len(buf))
        if self._at == len(self._coming) and self._end is None:
            return None
        count = min(len(buf), len(self._coming) - self._at, self._fragment())
        if not count:
            return self._ended()
        buf[:count] = self._coming[self._at : self._at + count]
        self._at += count
        for index in range(count, min(len(buf), count + 64)):
            buf[index] = 0xA5
        return count

    def _ended(self):
        assert self._end is not True, "a read after the end"
        error, self._end = self._end, True
        if error:
            raise error
        return 0

    def write(self, buf, size=None):
        assert len(buf) and size != 0, "a write of nothing"
        if self.broken:
            raise OSError(32)
        self.writes.append(bytes(buf[:size]))
        return self._taken.is_set()

    async def drain(self):
        assert not self._draining, "two tasks drain"
        self._draining = True
        try:
            await asyncio.sleep(0)
            await self._taken.wait()
        finally:
            self._draining = False
        self.drains += 1


class Session:
    """`async with Session() as session`: a client that runs over such a stream; options are the client's own."""

    def __init__(self, fragment=1_000_000, on_message=None, **options):
        self.messages = []
        self.acknowledged = []
        self.stream = Stream(fragment)
        self.client = Client(self.stream, on_message or self._take, self.acknowledged.append, **options)
        self.over = asyncio.Event()
        self.error = None

    def _take(self, *message):
        self.messages.append(message)

    async def __aenter__(self):
        self._task = asyncio.create_task(self._run())
        await settle()
        return self

    async def __aexit__(self, kind, value, trace):
        self._task.cancel()
        try:
            await self._task
        except asyncio.CancelledError:
            pass  # ours
        if kind is None and not isinstance(self.error, LINK_ERRORS + (type(None),)):
            raise self.error

    async def _run(self):
        try:
            await self.client.run()
        except Exception as error:  # the test looks at it; one that is no link error fails the test at its end
            self.error = error
        finally:
            self.over.set()

    async def says(self, *data):
        """The broker sends, and the client has taken it in."""
        self.stream.say(*data)
        await settle()

    async def has_heard(self, count):
        """Wait until `count` messages have come in."""
        for _ in range(10_000):
            if len(self.messages) >= count:
                return
            await settle()
        raise AssertionError("%d messages of %d" % (len(self.messages), count))

    async def ended(self):
        """Wait until `run` has ended; return the error."""
        await asyncio.wait_for(self.over.wait(), _PATIENCE_S)
        return self.error


async def result(coroutine):
    """What a call came to within the patience of a test: its result, or its error."""
    try:
        return await asyncio.wait_for(coroutine, _PATIENCE_S)
    except LINK_ERRORS as error:
        return error


def begin(coroutine):
    """Start a call; `await` the task for what it came to."""
    return asyncio.create_task(result(coroutine))


async def results(tasks):
    """What each of the tasks came to (MicroPython has no `await` in a comprehension)."""
    found = []
    for task in tasks:
        found.append(await task)
    return found
