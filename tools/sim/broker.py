"""An MQTT 3.1.1 broker in memory, stricter than a server has to be: whatever a client does wrong is told.

It takes connections as an asyncio protocol. Everything that it hears and knows is told to `watcher` (see Watcher),
which is how a simulation looks at its nodes.
"""

import zlib

from tools.sim import packets
from tools.sim.topic_tree import Filters, Kept

_CONNECT_LIMIT_US = 30_000_000  # from the connection to CONNECT (3.1.4: "a reasonable amount of time")
_INFLIGHT = 20  # QoS 1 to one client, as Mosquitto has it; the rest waits in a queue
_QUEUE = 1_000
_LONG_BYTES = 100  # of a kept message: a thousand documents for Home Assistant take megabytes as they are


class Watcher:
    """What a broker tells; a simulation overrides what it wants to know."""

    def violation(self, client, text):
        """A client has broken the standard."""

    def opened(self, session):
        """A client is accepted."""

    def closed(self, session, why):
        """A session is over, and its will, if it was due, published."""

    def published(self, session, topic, payload, qos, retain):
        """A message was taken; `session` is None for the broker's own (wills, and what the simulation sends)."""


class Broker:
    """Knobs: `down`; `frozen` (takes bytes and does nothing); `refuses` (a code of CONNACK, 0: none); `deaf`
    (acknowledges no PUBLISH); `forgets` (loses what it kept when it restarts).
    """

    def __init__(self, network, host="broker", port=1883, watcher=None):
        self.loop = network._loop
        self.watcher = watcher or Watcher()
        self.sessions = {}  # client id -> Session
        self.kept = Kept()
        self.filters = Filters()
        self.frozen = self.deaf = self.forgets = False
        self.refuses = 0
        self.peers = []
        self._models = {}  # kind of topic -> the first document of it: the others differ little
        self._waiting = []  # what came while it was frozen: (method of a peer, arguments)
        self._network = network
        self._address = host, port
        self._server = None
        self.start()

    def start(self):
        """Take connections."""
        if self.forgets:
            self.kept = Kept()
        self._server = self._network.listen(*self._address, lambda: Peer(self))

    def stop(self):
        """As a kill: every connection is reset, no will is published, no session survives."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        self._waiting, self.frozen = [], False
        peers, self.peers = self.peers, []
        for peer in peers:
            peer.abort()
        for session in list(self.sessions.values()):
            self.end(session, "broker", will=False)

    def running(self):
        """Whether it takes connections and obeys."""
        return self._server is not None and not self.frozen

    def freeze(self):
        """Take bytes, and answer nothing."""
        self.frozen = True

    def thaw(self):
        """Go on with all that has come meanwhile, in its order."""
        self.frozen = False
        waiting, self._waiting = self._waiting, []
        for method, arguments in waiting:
            method(*arguments)

    def later(self, method, *arguments):
        """Whether it is frozen; then the call is made when it goes on."""
        if self.frozen:
            self._waiting.append((method, arguments))
        return self.frozen

    def begin(self, session):
        """A client is accepted: an older session of its name ends (3.1.4)."""
        old = self.sessions.get(session.client_id)
        if old is not None:
            old.peer.finish("taken over")
        self.sessions[session.client_id] = session
        self.watcher.opened(session)

    def end(self, session, why, will):
        """A session is over."""
        if self.sessions.get(session.client_id) is not session:
            return
        del self.sessions[session.client_id]
        session.unsubscribe(session.filters)
        if will and session.will:
            topic, payload, retain, qos = session.will
            self.publish(topic, payload, qos, retain, None)
        self.watcher.closed(session, why)

    def publish(self, topic, payload, qos=1, retain=False, session=None):
        """Take a message: keep it, hand it on."""
        self.watcher.published(session, topic, payload, qos, retain)
        if retain:
            self.kept.put(topic, (self._packed(topic, payload), qos) if payload else None)
        found = self.filters.meet(topic)
        for subscriber in found:
            subscriber.deliver(topic, payload, min(qos, found[subscriber]), False)

    def _packed(self, topic, payload):
        """What is kept of a message: its payload; of a long one what makes it from another of its kind."""
        if len(payload) <= _LONG_BYTES:
            return payload
        kind = topic.partition("/")[0], topic.rpartition("/")[2]
        model = self._models.setdefault(kind, payload)
        packer = zlib.compressobj(1, zdict=model)
        return model, packer.compress(payload) + packer.flush()

    def unpacked(self, kept):
        """The payload of a kept message."""
        if isinstance(kept, bytes):
            return kept
        model, packed = kept
        return zlib.decompressobj(zdict=model).decompress(packed)


class Session:
    """One client between CONNACK and the end."""

    __slots__ = ("_next_id", "client_id", "filters", "inflight", "keepalive_s", "peer", "queue", "unanswered", "user",
                 "will")

    def __init__(self, peer, told):
        self.peer = peer
        self.client_id = told["client_id"]
        self.keepalive_s = told["keepalive_s"]
        self.user = told["user"]
        self.will = told["will"]
        self.filters = ()
        self.inflight = ()  # packet ids that the client has not acknowledged
        self.unanswered = ()  # packet ids of the client that got no PUBACK
        self.queue = ()
        self._next_id = 1

    def subscribe(self, filters):
        """Grant everything (at most QoS 1), then send what was kept; returns the codes for SUBACK."""
        for name, qos in filters:
            self.peer.broker.filters.add(name, self, min(qos, 1))
            if name not in self.filters:
                self.filters += (name,)
        return bytes(min(qos, 1) for _, qos in filters)

    def unsubscribe(self, names):
        """Forget these filters."""
        for name in names:
            self.peer.broker.filters.remove(name, self)
        self.filters = tuple(name for name in self.filters if name not in names)

    def send_kept(self, filters):
        """What was kept (3.3.1.3), after SUBACK."""
        for name, qos in filters:
            for topic, (kept, kept_qos) in self.peer.broker.kept.meet(name):
                self.deliver(topic, self.peer.broker.unpacked(kept), min(qos, kept_qos, 1), True)

    def deliver(self, topic, payload, qos, retain):
        """Send a message, at QoS 1 when there is room in flight."""
        if not qos:
            self.peer.send(packets.delivery(topic, payload, 0, retain, 0))
        elif len(self.inflight) < _INFLIGHT:
            number = self._next_id
            self._next_id = number % 65_535 + 1
            self.inflight += (number,)
            self.peer.send(packets.delivery(topic, payload, 1, retain, number))
        elif len(self.queue) < _QUEUE:
            self.queue += ((topic, payload, retain),)

    def acknowledged(self, number):
        """A PUBACK. Raises Violation for one that was not asked for."""
        if number not in self.inflight:
            raise packets.Violation(f"4.3.2 PUBACK {number} for nothing")
        self.inflight = tuple(other for other in self.inflight if other != number)
        if self.queue:
            (topic, payload, retain), *rest = self.queue
            self.queue = tuple(rest)
            self.deliver(topic, payload, 1, retain)


class Peer:
    """One connection; an asyncio protocol."""

    __slots__ = ("_data", "_done", "_heard_us", "_limit", "_out", "_transport", "broker", "sent_us", "session")

    def __init__(self, broker):
        self.broker = broker
        self.session = None
        self.sent_us = 0  # when the client handed the network what is being read
        self._transport = None
        self._data = b""
        self._out = []
        self._heard_us = broker.loop.now_us
        self._done = False
        self._limit = None

    # What the transport calls

    def connection_made(self, transport):
        self._transport = transport
        self.broker.peers.append(self)
        self._limit = self.broker.loop.after_us(_CONNECT_LIMIT_US, self._look)

    def data_received(self, data):
        self._read(data, self._transport.inbound.sent_us)

    def eof_received(self):
        if not self.broker.later(self.eof_received):
            self.finish("closed without DISCONNECT" if self.session else "closed before CONNECT")
        return True

    def connection_lost(self, error):
        if not self.broker.later(self.connection_lost, error):
            self.finish("reset" if error else "closed")

    def _read(self, data, sent_us):
        if self._done or self.broker.later(self._read, data, sent_us):
            return
        self._data = self._data + data if self._data else data
        self.sent_us = sent_us
        self._heard_us = self.broker.loop.now_us
        frames = packets.frames(self._data)
        try:
            while not self._done:
                try:
                    first, body = next(frames)
                except StopIteration as end:
                    self._data = end.value
                    break
                self._take(first, body)
        except packets.Violation as error:
            self._violated(str(error))
        if self._out:
            self.flush()

    # What the broker calls

    def address(self):
        """Where the client is: the name of its path."""
        return self._transport.get_extra_info("peername")

    def heard_lately(self):
        """Whether something has arrived within the last ten seconds."""
        return self.broker.loop.now_us - self._heard_us < 10_000_000

    def send(self, packet):
        """Put a packet; it leaves with the answers to what has just arrived."""
        if not self._out:
            self.broker.loop.call_soon(self.flush)
        self._out.append(packet)

    def flush(self):
        """Hand what was put to the transport."""
        out, self._out = self._out, []
        if out and not self._done:
            self._transport.write(b"".join(out))

    def finish(self, why, will=True):
        """End the connection, and the session with its will."""
        if self._done:
            return
        self.flush()
        self._done = True
        self._limit.cancel()
        if self in self.broker.peers:
            self.broker.peers.remove(self)
        self._transport.close()
        if self.session:
            self.broker.end(self.session, why, will)

    def abort(self):
        """The process that had this connection is gone."""
        self._done = True
        self._limit.cancel()
        self._transport.abort()

    # Inside

    def _violated(self, text):
        name = self.session.client_id if self.session else self.address()
        self.broker.watcher.violation(name, text)
        self.finish("violation")

    def _look(self):
        """CONNECT in time, then something within one and a half times the keepalive (3.1.2.10)."""
        loop = self.broker.loop
        if self.session is None:
            limit_us = _CONNECT_LIMIT_US
        elif self.session.keepalive_s:
            limit_us = 1_500_000 * self.session.keepalive_s
        else:
            return
        due_us = self._heard_us + limit_us
        if loop.now_us < due_us or self.broker.frozen:
            self._limit = loop.at_us(max(due_us, loop.now_us + 1_000_000), self._look)
        else:
            self.finish("keepalive" if self.session else "no CONNECT")

    def _take(self, first, body):
        kind = packets.check_flags(first)
        if self.session is None:
            if kind != packets.CONNECT:
                raise packets.Violation(f"3.1 packet type {kind} before CONNECT")
            self._connect(body)
        elif kind == packets.PUBLISH:
            self._publish(first, body)
        else:
            self._other(kind, body)

    def _connect(self, body):
        told = packets.connect(body)
        if not 1 <= len(told["client_id"]) <= 23:
            raise packets.Violation("3.1.3.1 a client id that servers need not take")
        code = self.broker.refuses
        self._out.append(packets.packed(0x20, bytes((0, code))))
        if code:
            self.finish("refused")
            return
        self.session = Session(self, told)
        self.broker.begin(self.session)

    def _publish(self, first, body):
        topic, payload, qos, retain, dup, number = packets.publish(first, body)
        if dup:
            raise packets.Violation("3.3.1.1 DUP in a clean session, where nothing is sent twice")
        if qos == 2:
            raise packets.Violation("QoS 2, which no node uses")
        if number in self.session.unanswered:
            raise packets.Violation(f"2.3.1 packet id {number} is in use")
        if qos and self.broker.deaf:
            self.session.unanswered += (number,)
        elif qos:
            self._out.append(bytes((0x40, 2, number >> 8, number & 255)))
        self.broker.publish(topic, payload, qos, retain, self.session)

    def _other(self, kind, body):
        session = self.session
        if kind == packets.PUBACK:
            if len(body) != 2:
                raise packets.Violation("3.4 PUBACK of another size than 2")
            session.acknowledged(packets.packet_id(body))
        elif kind == packets.PINGREQ:
            self._out.append(packets.PONG)
        elif kind == packets.SUBSCRIBE:
            number, filters = packets.subscribe(body)
            codes = session.subscribe(filters)
            self._out.append(packets.packed(0x90, body[:2] + codes))
            session.send_kept(filters)
        elif kind == packets.UNSUBSCRIBE:
            number, names = packets.unsubscribe(body)
            session.unsubscribe(names)
            self._out.append(packets.packed(0xB0, body[:2]))
        elif kind == packets.DISCONNECT:
            if body:
                raise packets.Violation("3.14 DISCONNECT with a body")
            self.finish("DISCONNECT", will=False)
        else:
            raise packets.Violation("3.1 a second CONNECT")
