"""A relay of bytes between a node and a broker's WebSocket: what a web server in front of it does, and its faults.

It runs an asyncio loop in a thread of its own. Of what it carries it knows only the request for the upgrade.
"""

import asyncio
import threading
import time

CALL_LIMIT_S = 10
UPSTREAM_LIMIT_S = 5
NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Relay:
    """`with Relay(port, path) as relay:` leads `path` to `port`, over TLS when there is an `ssl` context."""

    def __init__(self, upstream_port, path, ssl=None):
        self.upstream_port = upstream_port
        self.port = 0
        self.path = path  # None: whatever comes is carried
        self.open = True
        self.delay_s = 0.0  # of what goes to the node; what is on its way dies with the broker
        self.drips = False  # one byte a write, both ways, as fast as that goes: how slow is another test's business
        self.accepted = []  # (monotonic time, head of the request)
        self._ssl = ssl
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._listener = None
        self._writers = set()

    def __enter__(self):
        self._thread.start()
        self._call(self._listen())
        return self

    def __exit__(self, *_):
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CALL_LIMIT_S)
        self._loop.close()

    def reset(self):
        """Break every connection."""
        self._call(self._abort())

    def wait_accepted(self, count, since, limit_s):
        """Wait until so many connections have come since monotonic time `since`."""
        deadline = time.monotonic() + limit_s
        while len([t for t, _ in list(self.accepted) if t >= since]) < count:
            assert time.monotonic() < deadline, f"not {count} attempts within {limit_s} s: {self.accepted}"
            time.sleep(0.05)

    def _call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(CALL_LIMIT_S)

    async def _listen(self):
        self._listener = await asyncio.start_server(self._arrived, "127.0.0.1", 0, ssl=self._ssl)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def _end(self):
        self._listener.close()
        await self._abort()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            await asyncio.wait(others, timeout=CALL_LIMIT_S / 2)

    async def _abort(self):
        for writer in self._writers:
            writer.transport.abort()

    async def _arrived(self, reader, writer):
        self._writers.add(writer)
        try:
            await self._serve(reader, writer)
        except (OSError, EOFError, asyncio.TimeoutError):
            pass  # either end has gone, as it may
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _serve(self, reader, writer):
        head = b""
        if self.path is not None:  # handed on in one piece, also when all else drips: iotcore takes drops for an attack
            head = await reader.readuntil(b"\r\n\r\n")
        self.accepted.append((time.monotonic(), head))
        if self.path is not None and head.split(b" ")[1] != self.path.encode():
            writer.write(NOT_FOUND)
            await writer.drain()
            await reader.read()
        elif self.open:
            await self._carry(head, reader, writer)

    async def _carry(self, head, reader, writer):
        upstream = asyncio.open_connection("127.0.0.1", self.upstream_port)
        far_reader, far_writer = await asyncio.wait_for(upstream, UPSTREAM_LIMIT_S)
        self._writers.add(far_writer)
        far_writer.write(head)
        pumps = [asyncio.create_task(self._pump(reader, far_writer, False)),
                 asyncio.create_task(self._pump(far_reader, writer, True))]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            self._writers.discard(far_writer)
            far_writer.transport.abort()

    async def _pump(self, reader, writer, to_node):
        while True:
            data = await reader.read(4096)
            if to_node and self.delay_s:
                await asyncio.sleep(self.delay_s)
            if not data or reader.exception() or to_node and self.delay_s and reader.at_eof():
                return
            step = 1 if self.drips else len(data)
            for at in range(0, len(data), step):
                writer.write(data[at:at + step])
                await writer.drain()
                if self.drips:
                    await asyncio.sleep(0)
