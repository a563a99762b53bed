"""A TCP proxy between node and broker whose every fault is exact: at this frame, after that many bytes, now.

It runs an asyncio loop in a thread of its own; the methods are called from the test's thread. Each waits a bounded
time. Directions are named by where the bytes go: UP to the broker, DOWN to the node.
"""

import asyncio
import socket
import struct
import threading
import time
from collections import namedtuple

from . import frames

UP = "up"
DOWN = "down"
BOTH = (UP, DOWN)
CALL_LIMIT_S = 10  # a command to the proxy's own loop takes milliseconds; more means that the loop is dead
UPSTREAM_LIMIT_S = 5  # loopback connects or refuses at once; only a full accept queue of a stopped broker waits
HELD_FRAMES = 1000  # in a frozen or delayed direction; beyond it the proxy stops reading, as a full TCP window does
FROZEN_POLL_S = 0.02
TCP_ESTABLISHED = 1  # first byte of Linux's struct tcp_info
RST_ON_CLOSE = struct.pack("ii", 1, 0)

Attempt = namedtuple("Attempt", "t connection connect")
Seen = namedtuple("Seen", "t connection direction frame")


class Faults:
    """What is wrong with one direction at this moment. Changed by the test, read by the pumps."""

    def __init__(self):
        self.frozen = False
        self.blackholed = False
        self.delay_s = 0.0
        self.drip_s = None
        self.cut_after_bytes = None
        self.rules = []


class Rule:
    """Replaces the `nth` frame called `name` (counted from when the rule was made) by what `change` makes of it."""

    def __init__(self, name, nth, change):
        self.name = name
        self.left = nth
        self.change = change
        self.hit = threading.Event()

    def apply(self, data):
        """`data`, or what goes out in its place."""
        if self.hit.is_set() or frames.frame(data).name != self.name:
            return data
        self.left -= 1
        if self.left:
            return data
        self.hit.set()
        return self.change(data)


class Proxy:
    """`with Proxy(broker_port) as proxy:` listens on `proxy.port` of loopback; see the module's docstring."""

    def __init__(self, upstream_port, host="127.0.0.1"):
        self.upstream_port = upstream_port
        self.host = host
        self.port = 0
        self.faults = {UP: Faults(), DOWN: Faults()}
        self.accepted = []  # monotonic time of every TCP connection that was let in, held ones too
        self.attempts = []
        self.seen = []
        self.ended = []  # (monotonic time, direction) of each FIN or RST that an end sent
        self._changed = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._links = []
        self._server = None
        self._gate = None
        self._serial = 0

    def __enter__(self):
        self._thread.start()
        self._call(self._open())
        return self

    def __exit__(self, *_):
        self._call(self._shut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CALL_LIMIT_S)
        self._loop.close()

    # The gate: who may connect.

    def close_gate(self):
        """New connections are refused (ECONNREFUSED), those that exist go on."""
        self._call(self._stop_listening())

    def hold_gate(self):
        """New connections are taken and kept silent until the gate opens."""
        self._call(self._hold())

    def open_gate(self):
        """New connections, and those being held, go through to the broker."""
        self._call(self._open())

    # Faults of the link: they last until heal().

    def freeze(self, *directions):
        """Bytes stop and wait, as when a radio is out of range; all directions when none is given."""
        self._set("frozen", True, directions)

    def blackhole(self, *directions):
        """Bytes vanish while both ends believe in the connection."""
        self._set("blackholed", True, directions)

    def delay(self, seconds, *directions):
        """Every frame takes `seconds`; one that is on its way when its sender's connection ends is lost."""
        self._set("delay_s", seconds, directions)

    def drip(self, pause_s, *directions):
        """One byte a write, `pause_s` between them; 0: as fast as that goes."""
        self._set("drip_s", pause_s, directions)

    def cut_after(self, n_bytes, direction):
        """After `n_bytes` more in `direction` the connection is reset, in the midst of a frame if need be."""
        self._set("cut_after_bytes", n_bytes, (direction,))

    def heal(self):
        """Take back every lasting fault; rules that have not struck are forgotten."""
        self.faults = {UP: Faults(), DOWN: Faults()}

    # Faults of one frame. Each returns the Event that is set when the fault has struck.

    def swallow(self, name, direction, nth=1):
        """The `nth` frame called `name` from now on never arrives."""
        return self._rule(name, direction, nth, lambda data: b"")

    def corrupt(self, name, direction, change, nth=1):
        """The `nth` frame called `name` arrives as `change(bytes) -> bytes` makes it."""
        return self._rule(name, direction, nth, change)

    def inject(self, data, direction):
        """Send `data` between two frames of every connection there is."""
        self._call(self._each(lambda link: link.inject(data, direction)))

    # Faults of the connections there are.

    def reset(self):
        """RST to both ends of every connection."""
        self._call(self._each(lambda link: link.reset()))

    def half_close(self, direction):
        """FIN in `direction`; the other direction goes on."""
        self._call(self._each(lambda link: link.half_close(direction)))

    # Looking.

    def connections(self):
        """How many connections are open to the broker at this moment."""
        with self._changed:
            return len(self._links)

    def frames(self, name=None, direction=None, since=0.0):
        """The frames that came from an end so far (before any fault), oldest first."""
        with self._changed:
            return [seen for seen in self.seen if (name is None or seen.frame.name == name)
                    and (direction is None or seen.direction == direction) and seen.t >= since]

    def wait(self, found, limit_s, what):
        """Wait until `found()` is true and return its value; AssertionError naming `what` after `limit_s`."""
        deadline = time.monotonic() + limit_s
        with self._changed:
            while True:
                value = found()
                left = deadline - time.monotonic()
                if value:
                    return value
                if left <= 0:
                    raise AssertionError(f"no {what} within {limit_s} s through the proxy")
                self._changed.wait(min(left, 0.5))

    def wait_frame(self, name, direction, limit_s, since=0.0):
        """The first frame called `name` in `direction` at or after monotonic time `since`."""
        return self.wait(lambda: self.frames(name, direction, since), limit_s, f"{name} {direction}")[0]

    def wait_attempt(self, limit_s, since=0.0):
        """The first CONNECT at or after monotonic time `since`, as an Attempt."""
        return self.wait(lambda: [a for a in self.attempts if a.t >= since], limit_s, "CONNECT")[0]

    # Inside the proxy's thread.

    def note(self, connection, direction, data):
        """Record one frame on its arrival at the proxy."""
        seen = Seen(time.monotonic(), connection, direction, frames.frame(data))
        with self._changed:
            self.seen.append(seen)
            if seen.frame.name == "CONNECT":
                self.attempts.append(Attempt(seen.t, connection, frames.connect(data)))
            self._changed.notify_all()

    def note_end(self, direction):
        """Record that the sender of `direction` has ended its connection."""
        with self._changed:
            self.ended.append((time.monotonic(), direction))
            self._changed.notify_all()

    def forget(self, link):
        """A link has ended."""
        with self._changed:
            self._links.remove(link)
            self._changed.notify_all()

    def _call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(CALL_LIMIT_S)

    def _set(self, name, value, directions):
        for direction in directions or BOTH:
            setattr(self.faults[direction], name, value)

    def _rule(self, name, direction, nth, change):
        rule = Rule(name, nth, change)
        self.faults[direction].rules.append(rule)
        return rule.hit

    async def _each(self, action):
        for link in list(self._links):
            action(link)

    async def _listen(self):
        if self._server is None:
            self._server = await asyncio.start_server(self._arrived, self.host, self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def _open(self):
        if self._gate is not None:
            self._gate.set()
        self._gate = asyncio.Event()
        self._gate.set()
        await self._listen()

    async def _hold(self):
        self._gate = asyncio.Event()
        await self._listen()

    async def _stop_listening(self):
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _shut(self):
        await self._stop_listening()
        await self._each(lambda link: link.reset())
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
            await asyncio.wait({task}, timeout=1)

    async def _arrived(self, reader, writer):
        try:
            await self._serve(reader, writer)
        except asyncio.CancelledError:
            writer.close()  # the proxy ends; nobody above asyncio waits for this task

    async def _serve(self, reader, writer):
        self._serial += 1
        with self._changed:
            self.accepted.append(time.monotonic())
            self._changed.notify_all()
        await self._gate.wait()
        end = writer.get_extra_info("socket")
        if end.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != TCP_ESTABLISHED:
            writer.close()  # the node gave up while it was held: the broker never hears of it
            return
        upstream = asyncio.open_connection(self.host, self.upstream_port)
        try:
            far_reader, far_writer = await asyncio.wait_for(upstream, UPSTREAM_LIMIT_S)
        except (OSError, asyncio.TimeoutError):
            writer.close()  # no broker behind the proxy looks like a broker that hangs up
            return
        link = Link(self, self._serial, {UP: (reader, far_writer), DOWN: (far_reader, writer)})
        with self._changed:
            self._links.append(link)
            self._changed.notify_all()
        await link.run()


class Link:
    """One connection through the proxy: a reader, a writer and a queue for each direction."""

    def __init__(self, proxy, serial, ends):
        self._proxy = proxy
        self._serial = serial
        self._ends = ends
        self._queues = {direction: asyncio.Queue(HELD_FRAMES) for direction in BOTH}
        self._lost = dict.fromkeys(BOTH, False)  # whether what comes now, or is still held, goes nowhere

    async def run(self):
        """Carry bytes until both directions have ended or the link is reset."""
        try:
            await asyncio.gather(*[self._carry(direction) for direction in BOTH])
        finally:
            self._proxy.forget(self)
            for _, writer in self._ends.values():
                writer.close()

    def reset(self):
        """RST both ends; nothing that is on its way arrives."""
        for _, writer in self._ends.values():
            end = writer.get_extra_info("socket")
            if end is not None and end.fileno() >= 0:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST_ON_CLOSE)
            writer.transport.abort()

    def half_close(self, direction):
        """FIN in `direction` only; what comes for it afterwards is lost."""
        self._lost[direction] = True
        writer = self._ends[direction][1]
        if writer.can_write_eof() and not writer.is_closing():
            try:
                writer.write_eof()
            except OSError:
                pass  # that end was reset a moment ago, which its own direction is about to tell

    def inject(self, data, direction):
        """Queue `data` behind the frames that are on their way in `direction`."""
        self._queues[direction].put_nowait((0.0, data))

    async def _carry(self, direction):
        sender = asyncio.create_task(self._send(direction))
        try:
            broken = await self._receive(direction)
            self._proxy.note_end(direction)
            self._lost[direction] = self._lost[direction] or self._proxy.faults[direction].delay_s > 0
            await self._queues[direction].put(None)
            await sender
            if broken:
                self.reset()
        finally:
            sender.cancel()

    async def _receive(self, direction):
        """Cut what arrives into frames and queue them; returns True when the end came as an error, not a FIN."""
        reader, queue, splitter = self._ends[direction][0], self._queues[direction], frames.Splitter()
        while True:
            try:
                data = await reader.read(4096)
            except OSError:
                return True
            for piece in splitter.feed(data) if data else [splitter.rest()]:
                if piece:
                    self._proxy.note(self._serial, direction, piece)
                    await queue.put((time.monotonic() + self._proxy.faults[direction].delay_s, piece))
            if not data:
                return False

    async def _send(self, direction):
        """Write what is queued, as the faults of the moment allow; then pass on the FIN."""
        while True:
            item = await self._queues[direction].get()
            if item is None:
                self.half_close(direction)
                return
            due, data = item
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            while self._proxy.faults[direction].frozen:
                await asyncio.sleep(FROZEN_POLL_S)
            faults = self._proxy.faults[direction]
            for rule in faults.rules:
                data = rule.apply(data)
            if data and not faults.blackholed and not self._lost[direction]:
                await self._write(self._ends[direction][1], data, faults)

    async def _write(self, writer, data, faults):
        if writer.is_closing():
            return
        if faults.cut_after_bytes is not None:
            data, faults.cut_after_bytes = data[:faults.cut_after_bytes], faults.cut_after_bytes - len(data)
        step = len(data) if faults.drip_s is None else 1
        try:
            for at in range(0, len(data), step or 1):
                writer.write(data[at:at + step])
                await writer.drain()
                if faults.drip_s is not None:
                    await asyncio.sleep(faults.drip_s)
        except OSError:
            return  # the end that reads has gone; its own direction tells
        if faults.cut_after_bytes is not None and faults.cut_after_bytes <= 0:
            faults.cut_after_bytes = None
            self.reset()
