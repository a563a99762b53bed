"""One connection of a sleeping node: everything goes out in the first flight, and the last PUBACK is the end of it.

Order on the wire: CONNECT, SUBSCRIBE, readings, what has changed of the retained documents, `sleeping`; DISCONNECT when
all of it is acknowledged. That takes one round trip after the one for TCP, since a client may send before CONNACK (MQTT
3.1.1, 3.1.4). Readings at QoS 0 (telemetry.qos) have no answer of their own: that to `sleeping`, which is behind them
in the same stream, tells that the broker has had them. A broker that sends retained messages in the order of packets
has sent the desired configuration by the last PUBACK, if there is one; whether it does so shows in the node's own
retained status.

MQTT 5 is spoken where `mqtt.version` asks for it, but for the day after a broker did not welcome it: who speaks 3.1.1
alone may refuse it, hang up or keep silent. With it the broker forgets readings when Home Assistant does.
"""

import asyncio
import binascii
import struct

from mqtt import LINK_ERRORS, speaking
from together import together, within

GRACE_MS = 200  # for the desired configuration from a broker that has not shown its order
_WINDOW = 32  # publishes in flight: more than a wake has to say, so that nothing waits for a place
_CLOSE_S = 3  # a TLS goodbye to a dead peer
_ECHO_S = 5  # for the node's own nonce, in a trial
_OLDER_S = 86_400
_EXPIRY = 2  # the property message expiry interval (MQTT 5, 3.3.2.3.3)


class Visit:
    """`kept` is a firmware.kept.Kept. `changed`: a desired configuration came that was not there at the last visit;
    `document` is its bytes, None when it is longer than the client takes."""

    def __init__(self, board, config, dialect, kept):
        self._board = board
        self._config = config
        self._dialect = dialect
        self._kept = kept
        self._top = dialect.status("")[0][:-6]
        self._last = asyncio.Event()
        self._unproved = []  # readings at QoS 0, of which the answer to what follows tells
        self._nonce = None
        self._echo = asyncio.Event()
        self._word = None
        self._done = False
        self._level = 4
        self.document = None
        self.mark = 0
        self.changed = False

    async def run(self, first, second, word, nonce=None):
        """Connect, say the messages of `first()` and the status `word()`, await `second(self, client)`, disconnect.

        `first()` yields (readings in it or True, message). A `nonce` is sent, too, and must come back. Raises one of
        LINK_ERRORS.
        """
        kept, now_s = self._kept, self._board.clock_ms() // 1000
        self._word, self._nonce = word, nonce
        if now_s >= kept.older_s:
            self._level, kept.older_s = self._config["mqtt"]["version"], 0
        try:
            await self._session(first, second)
        except LINK_ERRORS:
            if self._level == 4 or not kept.older_s:
                raise
            self._level = 4
            await self._session(first, second)

    async def _session(self, first, second):
        mqtt = self._config["mqtt"]
        stream = await self._board.open_stream(mqtt["host"], mqtt["port"], mqtt["tls"])
        self._unproved = []
        if self._level == 5:  # until it is welcome: when this wake's time is up, nobody comes back here
            self._kept.older_s = self._board.clock_ms() // 1000 + _OLDER_S
        try:
            if mqtt["path"] is not None:
                from mqtt_ws import upgrade
                stream = await upgrade(stream, "%s:%d" % (mqtt["host"], mqtt["port"]), mqtt["path"])
            client = speaking(self._level)(
                stream, self._take, self._acknowledged, mqtt["keepalive_s"], window=_WINDOW)
            client.on_refused = self._refused
            await together(*client.parts(), self._talk(client, first, second))
        except LINK_ERRORS:
            if not self._done:  # else the broker has closed, as it should, before we looked
                raise
        finally:
            stream.close()
            try:
                await within(_CLOSE_S, stream.wait_closed())
            except LINK_ERRORS:
                pass  # it is gone either way

    async def say(self, client, messages):
        """Say more, and the status again; returns when the broker has it."""
        await self._put_all(client, messages)
        await client.drain()
        await self._last.wait()

    async def deliver(self, client, message):
        """Send one message; returns when the broker has it."""
        self._last.clear()
        await _put(client, message, self)
        await client.drain()
        await self._last.wait()

    async def _put_all(self, client, messages):
        for token, message in messages:
            await _put(client, message, token, *self._properties(message))
            if token is not True and not message[3]:
                self._unproved += token
        self._last.clear()
        await _put(client, self._dialect.status(self._word()), self)

    async def _talk(self, client, first, second):
        mqtt, filters = self._config["mqtt"], [(self._top + "config/set", 1)]
        if not self._kept.ordered:
            filters.append((self._top + "status", 0))
        if self._nonce:
            filters.append((self._top + "probe", 1))
        will = self._dialect.status("offline")
        client.begin(self._dialect.node_id, mqtt["user"], mqtt["password"], will, filters=filters)
        if self._nonce:
            await _put(client, self._dialect.probe(self._nonce), True)
        await self._put_all(client, first())
        granted = (await client.begun())[1]
        if self._level == 5:
            self._kept.older_s = 0
        self._board.keep_address()
        if max(granted, default=0) > 127:
            self._board.log("! link: the broker refuses a subscription: %s" % list(granted))
        await self._last.wait()
        if not self._kept.ordered:
            await self._board.sleep_ms(GRACE_MS)
        if self._nonce:
            await within(_ECHO_S, self._echo.wait())
        await second(self, client)
        self._done = True
        await client.disconnect()

    def _properties(self, message):
        """Those of MQTT 5: a reading that is kept expires, as Home Assistant has it, after four sleeps and a minute."""
        start = self._top + "telemetry/"
        if self._level == 5 and message[2] and message[0].startswith(start):
            every = self._config["power"].get("send_every", 1)
            for name, _, interval_s in self._dialect.sensors:
                if message[0] == start + name:
                    yield struct.pack(">BI", _EXPIRY, 4 * every * interval_s + 60)

    def _take(self, topic, payload, retained):
        if topic == self._top + "config/set":
            mark = 0 if payload is None else binascii.crc32(payload)
            if payload != b"" and mark != self._kept.desired:
                self.mark, self.changed = mark, True  # not yet in `kept`: it has only come, nobody has looked at it
                self.document = None if payload is None else bytes(payload)
        elif topic == self._top + "status":
            if retained and not self._last.is_set():
                self._kept.ordered = 1
        elif payload == self._nonce:
            self._echo.set()

    def _acknowledged(self, token):
        if token is self:
            self._last.set()
            token, self._unproved = self._unproved, []
        self._kept.acknowledge(token)

    def _refused(self, token, error):
        """A broker of MQTT 5 does not want this, now or later: gone, and counted."""
        self._board.log("! link: %s" % error.args[0])
        if token is self:
            self._acknowledged(self)  # an answer all the same
        elif token is not True:
            self._kept.refuse(token)


async def _put(client, message, token, *properties):
    topic, payload, retain, qos = message
    if not isinstance(payload, (str, bytes)):
        await client.drain()  # it is never whole in memory, so the stream takes what waits first
    while not client.put(topic, payload, retain, qos, token, *properties):
        await client.room(qos)
