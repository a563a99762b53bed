"""Waiting for room in the window: the room comes from answers, so what they answer must be on its way."""

import asyncio

from minitest import equal
from mqtt import Client

WINDOW = 8


class Recorder:
    """A stream that remembers what was written and hears nothing."""

    def __init__(self):
        self.written = b""

    def write(self, buf, size):
        self.written += bytes(buf[:size])


async def test_small_publishes_leave_before_anybody_waits_for_their_answers():
    stream = Recorder()
    client = Client(stream)
    for _ in range(WINDOW):
        assert client.put("t", b"x", qos=1)
    assert not client.put("t", b"x", qos=1)
    waiting = asyncio.create_task(client.room())
    await asyncio.sleep(0)
    equal(stream.written.count(b"\x32\x06\x00\x01t"), WINDOW)  # PUBLISH at QoS 1, six bytes, topic "t"
    waiting.cancel()
