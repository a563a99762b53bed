"""One TCP connection for MicroPython's asyncio: reader and writer in one, made by stream.connect.

The functions with a `yield` are awaited like coroutines. Only OSError leaves them.
"""

import asyncio


class Stream:
    """Around a connected socket that does not block."""

    def __init__(self, sock):
        self.sock = sock
        self.unsent = []

    def read(self, buf):
        """How many bytes were read into `buf`, 0 when the peer has closed, None when nothing is there now."""
        return self.sock.readinto(buf)

    def readable(self):
        """Await it until `read` may give something."""
        asyncio.core._io_queue.queue_read(self.sock)
        return (None,)  # awaited it gives up the turn once, as a bare yield does, for less memory than a generator

    def write(self, buf, size=None):
        """Send what the socket takes now of the first `size` bytes, copy the rest for `drain`; whether none is left."""
        if size is None:
            size = len(buf)
        count = 0 if self.unsent else self.sock.write(buf, size)
        if count == size:
            return True
        self.unsent.append(bytes(memoryview(buf)[count or 0 : size]))
        return False

    def drain(self):
        """Wait until everything written is with the socket."""
        yield from asyncio.core.sleep_ms(0)  # always once, or writing in a loop starves the other tasks
        while self.unsent:
            yield asyncio.core._io_queue.queue_write(self.sock)
            part = self.unsent.pop(0)  # never joined with the next: mbedTLS wants a retry with the same length
            count = self.sock.write(part, len(part)) or 0
            if count < len(part):
                self.unsent.insert(0, part[count:])

    def close(self):
        self.sock.close()

    def wait_closed(self):
        yield from asyncio.core.sleep_ms(0)
