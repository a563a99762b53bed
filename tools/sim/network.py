"""A network in memory: names, listeners, and TCP connections whose bytes take time, stall, or never arrive.

A `Path` is the way between one node and everything else; all that can go wrong on the way is a knob of it. The node's
end of a connection is a Stream (the board's contract); the other end is an asyncio transport, so that a simulated
broker is an asyncio protocol and asyncio.start_server works.
"""

import asyncio

SEND_BYTES = 5_744  # what a socket of an ESP32 takes before it makes the writer wait
RETRANSMIT_US = 1_000_000  # after a path is open again, until what was held up comes through
UNREACHABLE, RESET, REFUSED, BROKEN = 113, 104, 111, 32  # error numbers, as Linux has them
_FIN = object()
_RST = object()


class Path:
    """The way of one node. Knobs: `latency_us` (one way), `names`; methods `block`, `open`, `forget`, `reset`."""

    def __init__(self, loop, name):
        self.name = name
        self.latency_us = 5_000
        self.blocked = 0  # how many faults block it
        self.attempts = 0  # connections that were tried
        self.connections = []
        self.names = {}  # host -> address, where its name server lies
        self._loop = loop
        self._waiters = []

    def block(self):
        """From now on packets get lost, both ways, and nobody is told."""
        self.blocked += 1

    def open(self):
        """One reason less to lose packets; without any, what was held up arrives a little later."""
        self.blocked -= 1
        if not self.blocked:
            self._loop.after_us(RETRANSMIT_US, self._resume)

    def _resume(self):
        if self.blocked:
            return
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters = []
        for connection in list(self.connections):
            connection.resume()

    async def opened(self):
        """Wait until packets pass."""
        while self.blocked:
            self._waiters.append(self._loop.create_future())
            await self._waiters[-1]

    def vanish(self, error=None):
        """The node's end of every connection is gone (power, radio); the other ends learn nothing of it."""
        for connection in list(self.connections):
            connection.vanish(error)

    def forget(self):
        """Something between (a router, a NAT) loses track of every connection; new ones pass."""
        for connection in self.connections:
            connection.forgotten = True

    def reset(self):
        """Something between cuts every connection, and both ends are told."""
        for connection in list(self.connections):
            connection.near.receive(_RST)
            connection.far.receive(_RST)


class Network:
    """`names`: host -> address. `attempted(path)` is called, where it is set, when somebody begins to connect."""

    def __init__(self, loop):
        self._loop = loop
        loop.network = self
        self.names = {}
        self.attempted = None
        self._listeners = {}

    def listen(self, host, port, factory):
        """Take connections at host:port with a protocol of `factory()` each; raises OSError when somebody does."""
        if (host, port) in self._listeners:
            raise OSError(98, f"{host}:{port} is taken")
        self._listeners[host, port] = server = Server(self, (host, port), factory)
        return server

    def forget(self, address):
        """Nobody listens there any more."""
        self._listeners.pop(address, None)

    def silence(self, host):
        """A host that is switched off: who connects hears nothing."""
        self._listeners[host, None] = None

    async def connect(self, path, host, port):
        """A Stream to a host by name or address. Raises OSError; waits for ever where nothing answers."""
        path.attempts += 1
        if self.attempted:
            self.attempted(path)
        address = path.names.get(host) or self.names.get(host, host)
        await path.opened()
        await asyncio.sleep(2 * path.latency_us / 1e6)
        await path.opened()
        if (address, None) in self._listeners:
            await asyncio.Event().wait()
        server = self._listeners.get((address, port))
        if server is None:
            raise OSError(REFUSED, "connection refused")
        connection = Connection(self._loop, path)
        connection.far.begin(server.factory())
        return connection.near


class Server:
    """What listen() returns; as asyncio's."""

    def __init__(self, network, address, factory):
        self._network = network
        self._address = address
        self.factory = factory

    def close(self):
        self._network.forget(self._address)

    async def wait_closed(self):
        """It is at once."""


class Connection:
    """One TCP connection: two ends and a flow to each."""

    __slots__ = ("far", "forgotten", "loop", "near", "path")

    def __init__(self, loop, path):
        self.loop = loop
        self.path = path
        self.forgotten = False  # something between has lost track of it: packets get lost, both ways
        self.near = Stream(self)
        self.far = Transport(self)
        self.near.peer, self.far.peer = self.far, self.near
        path.connections.append(self)

    def resume(self):
        self.near.inbound.resume()
        self.far.inbound.resume()

    def vanish(self, error):
        self.near.vanish(error)
        self.forget()

    def forget(self):
        """No fault of the path can meet it any more."""
        if self in self.path.connections:
            self.path.connections.remove(self)


class Flow:
    """One direction: items that arrive in order at `receive`, each `latency` after it was sent."""

    __slots__ = ("_connection", "_held", "_items", "_last_us", "_receive", "_taken", "paused", "sent_us", "unread")

    def __init__(self, connection, receive, taken):
        self._connection = connection
        self._receive = receive
        self._taken = taken
        self._items = []  # few at a time, and a deque takes 600 bytes
        self._held = 0
        self._last_us = 0
        self.paused = False  # the receiver does not read
        self.sent_us = 0  # when what arrived last was sent
        self.unread = 0  # bytes on their way

    def send(self, item):
        loop = self._connection.loop
        due_us = loop.now_us + self._connection.path.latency_us
        if due_us < self._last_us:
            due_us = self._last_us
        self._last_us = due_us
        self._items.append((item, loop.now_us))
        if item is not _FIN and item is not _RST:
            self.unread += len(item)
        loop.at_us(due_us, self._arrive)

    def discard(self):
        """What is on its way is lost."""
        self._items.clear()
        self._held = self.unread = 0

    def resume(self):
        held, self._held = self._held, 0
        for _ in range(held):
            self._arrive()

    def _arrive(self):
        if not self._items:
            return
        if self.paused or self._connection.path.blocked:
            self._held += 1
            return
        item, self.sent_us = self._items.pop(0)
        if item is not _FIN and item is not _RST:
            self.unread -= len(item)
        if self._connection.forgotten:
            return
        self._receive(item)
        if self._taken is not None:
            self._taken()


class Stream:
    """The node's end, as the contract of the board has it."""

    __slots__ = ("_closed", "_connection", "_data", "_end", "_error", "_pending", "_room", "_waiter", "inbound", "peer")

    def __init__(self, connection):
        self._connection = connection
        self.inbound = Flow(connection, self.receive, None)
        self._data = b""
        self._end = self._closed = False
        self._error = None
        self._waiter = self._room = None
        self._pending = None  # bytes that the socket did not take yet
        self.peer = None

    async def readable(self):
        """Wait until `read` gives something or raises."""
        while not (self._data or self._closed or self._end or self._error is not None):
            self._waiter = self._connection.loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def read(self, buf):
        """How many bytes were read, 0 when the peer has closed, None when nothing is there now. Raises OSError."""
        if not self._data:
            if self._closed:
                raise OSError(9, "closed")
            if self._error is not None:
                raise self._error
            return 0 if self._end else None
        count = min(len(buf), len(self._data))
        buf[:count] = self._data[:count]
        self._data = self._data[count:]
        return count

    def write(self, buf, size=None):
        """Hand the first `size` bytes to the socket; what it does not take waits for `drain`, and whether it took all
        is returned. Raises OSError."""
        if self._closed or self._error is not None:
            raise self._error or OSError(9, "closed")
        if self._pending:
            self._pending += buf[:size]
        else:
            self._send(bytes(buf[:size]))
        return not self._pending

    def _send(self, data):
        flow = self.peer.inbound
        count = max(0, SEND_BYTES - flow.unread)
        if count >= len(data):
            self._pending = None
            flow.send(data)
            return
        if count:
            flow.send(data[:count])
        self._pending = bytearray(data[count:])

    def sent(self):
        """The peer has read: there may be room for what waits."""
        if self._pending and not self._closed:
            self._send(bytes(self._pending))
        if self._room is not None and not self._room.done() and not self._pending:
            self._room.set_result(None)

    async def drain(self):
        """Wait until the socket has taken everything. Raises OSError."""
        await asyncio.sleep(0)  # always once, or writing in a loop starves the other tasks
        while self._pending:
            if self._error is not None or self._closed:
                raise self._error or OSError(9, "closed")
            self._room = self._connection.loop.create_future()
            await self._room
        if self._error is not None:
            raise self._error

    def close(self):
        """At once; what the socket has taken still goes out."""
        if not self._closed:
            self._closed = True
            self._pending = None
            if self._connection.path.blocked:  # it gives up on what it cannot deliver: no FIN will pass either
                self.peer.inbound.discard()
                self.peer.orphaned = True
                self._connection.forget()
            elif self._error is None:
                self.peer.inbound.send(_FIN)
            self._data = b""
            self._wake()

    async def wait_closed(self):
        """It is at once."""
        await asyncio.sleep(0)

    def receive(self, item):
        """Something arrives."""
        if self._closed:  # nobody is there to take it: the other end is told
            if item is not _FIN and item is not _RST:
                self.peer.inbound.send(_RST)
        elif item is _FIN:
            self._end = True
        elif item is _RST:
            self._fail(OSError(RESET, "connection reset"))
        else:
            self._data = self._data + item if self._data else item
        self._wake()

    def vanish(self, error):
        """This end is gone, with all that it has not sent; `error` tells whoever still has the Stream."""
        self._fail(error or OSError(UNREACHABLE, "no route to host"))
        self.peer.inbound.discard()
        self.peer.orphaned = True
        self._wake()

    def _fail(self, error):
        if self._error is None:
            self._error = error
        self._connection.forget()

    def _wake(self):
        for waiter in (self._waiter, self._room):
            if waiter is not None and not waiter.done():
                waiter.set_result(None)


class Transport(asyncio.Transport):
    """The other end: an asyncio transport with its protocol."""

    __slots__ = ("_closing", "_connection", "_protocol", "inbound", "orphaned", "peer")

    def __init__(self, connection):
        self._connection = connection
        self.peer = None
        self.inbound = Flow(connection, self.receive, self._read)
        self._protocol = None
        self._closing = False
        self.orphaned = False  # the node's end is gone without a word

    def begin(self, protocol):
        self._protocol = protocol
        protocol.connection_made(self)

    def get_extra_info(self, name, default=None):
        return self._connection.path.name if name == "peername" else default

    def write(self, data):
        if self._closing:
            return
        if self.orphaned:  # whoever is there now has no such connection, and says so, if it is reached
            path = self._connection.path
            if not path.blocked:
                self._connection.loop.after_us(2 * path.latency_us, self.receive, _RST)
            return
        self.peer.inbound.send(bytes(data))

    def is_closing(self):
        return self._closing

    def pause_reading(self):
        self.inbound.paused = True

    def resume_reading(self):
        self.inbound.paused = False
        self.inbound.resume()

    def close(self):
        self._finish(_FIN, None)

    def abort(self):
        self._finish(_RST, None)

    def _read(self):
        self.peer.sent()

    def receive(self, item):
        if self._closing:
            if item is not _FIN and item is not _RST and not self.orphaned:
                self.peer.inbound.send(_RST)
        elif item is _RST:
            self._finish(None, ConnectionResetError(RESET, "connection reset"))
        elif item is not _FIN:
            self._protocol.data_received(item)
        elif not self._protocol.eof_received():
            self._finish(_FIN, None)

    def _finish(self, last, error):
        if self._closing:
            return
        self._closing = True
        if last is not None and not self.orphaned:
            self.peer.inbound.send(last)
        self._connection.loop.call_soon(self._protocol.connection_lost, error)
