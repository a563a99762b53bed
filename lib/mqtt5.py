"""MQTT 5 for the client of mqtt.py, loaded only where it is spoken. Section numbers are those of "MQTT Version 5.0".

Properties are dicts, by the names in mqtt5_properties; they are bytes where they were encoded before. Every error of
the broker is an MQTTError with the reason in words, then its code.
"""

from lending import lend
from mqtt import Client, packet_id, published
from mqtt_pieces import put
from mqtt_writer import MQTTError, encoded
from together import within

_PUBACK = 0x40
_DISCONNECT = 0xE0
_ERROR = 128  # reason codes from here on are errors (2.4)
_UNSUPPORTED = (1, 132)  # protocol version, in a CONNACK of 3.1.1 and of 5
_TOO_LARGE = 149
_NO_RETAIN = 154
_NO_QOS = 155
_ALIAS_INVALID = 148


def older(error):
    """Whether `error`, of `connect` or `begun`, is that of a broker that speaks an older version: try mqtt.Client."""
    return len(error.args) > 1 and error.args[1] in _UNSUPPORTED


class Awaited:
    """The token of a publish that somebody awaits; `refusal` is the error when the broker did not want it."""

    refusal = None


class Pieces:
    """A payload with its properties before it, as an iterable of pieces."""

    def __init__(self, properties, payload):
        self._properties = properties
        self._payload = payload

    def __iter__(self):
        yield self._properties
        if isinstance(self._payload, (str, bytes, bytearray, memoryview)):
            yield self._payload
        else:
            yield from self._payload


class Client5(Client):
    """As mqtt.Client. `session_expiry_s`: how long the broker keeps the session of a lost connection (3.1.2.11.2).
    `topic_aliases`: how many topics may be sent as numbers, in each direction (3.3.2.3.4). `on_refused(token, error)`
    gets what the broker did not want, as an MQTTError; without it that ends the connection. So it gets what CONNACK has
    told beforehand that the broker does not take, which is not sent; without it `put` raises the error.

    `properties` are those of the message that `on_message` is called for, `server` those of CONNACK; `client_id` is the
    one that the broker has assigned, where it has.
    """

    asking_module = "mqtt5_asking"

    def __init__(
        self, stream, on_message=None, on_acknowledged=None, *options,
        session_expiry_s=0, topic_aliases=0, on_refused=None, **named
    ):
        super().__init__(stream, self.message, self.acknowledged, *options, **named)
        self.on_heard, self.on_done, self.on_refused = on_message, on_acknowledged, on_refused
        self.session_expiry_s = session_expiry_s
        self.topic_aliases = topic_aliases
        self.properties = self.server = {}
        self.client_id = None
        self.heard_as = {}  # the broker's topic aliases
        self.known_as = {}  # ours
        self.cut = False  # of the packet at hand there is only the beginning
        self.replies = {}  # correlation data of a request: its reply's payload, None before it has come
        self.requests = 0

    def put(self, topic, payload, retain=False, qos=0, token=True, properties=b""):
        """As Client's, with properties: a dict, or bytes that mqtt5_properties.encode made of one."""
        if not isinstance(properties, bytes):
            properties = lend("mqtt5_properties").encode(properties)
        alias, name = self.known_as.get(topic), topic
        if alias:
            name = ""
        elif len(self.known_as) < min(self.topic_aliases, self.server.get("topic_alias_maximum", 0)):
            alias = len(self.known_as) + 1
        if alias:
            properties += bytes((0x23, alias >> 8, alias & 255))
        size = len(properties)
        head = bytes((size,)) if size < 128 else lend("mqtt_packets").varint(size)
        pieces = Pieces(head + properties, payload)
        code = self.unwanted(name, pieces, retain, qos)
        if code:
            self.reject(token, self.error(code))
            return True
        if not super().put(name, pieces, retain, qos, token):
            return False
        if alias:
            self.known_as[topic] = alias
        return True

    def put_pieces(self, pieces, first, token):
        put(self, pieces, first, token)

    def unwanted(self, name, pieces, retain, qos):
        """The reason code of what CONNACK has said that a publish may not be (3.2.2.3), or 0."""
        server = self.server
        if qos > server.get("maximum_qos", 1):
            return _NO_QOS
        if retain & 1 and not server.get("retain_available", 1):
            return _NO_RETAIN
        if "maximum_packet_size" in server:
            size = 2 + len(encoded(name)) + 2 * (qos > 0) + sum([len(encoded(piece)) for piece in pieces])
            size += 2 + (size > 127) + (size > 16_383) + (size > 2_097_151)  # with its fixed header
            return _TOO_LARGE * (size > server["maximum_packet_size"])
        return 0

    def reject(self, token, error):
        """Tell whoever waits for a publish that the broker does not want it."""
        if isinstance(token, Awaited):
            token.refusal = error
        elif self.on_refused:
            self.on_refused(token, error)
        else:
            raise error

    def full(self, qos):
        """Whether the window is full, or the broker's receive maximum reached (3.2.2.3.3)."""
        most = self.server.get("receive_maximum", len(self.tokens))
        return super().full(qos) or most < len(self.tokens) and len(self.unacknowledged()) >= most

    async def publish(self, topic, payload, retain=False, qos=0, properties=b""):
        """Publish, and return when it is done: at QoS 1 acknowledged, at QoS 0 handed to the network. Raises MQTTError,
        with the reason and its code when the broker refuses it."""
        await self.room(qos)
        token = Awaited()
        self.put(topic, payload, retain, qos, token, properties)
        number = qos and (self.next or self.ids)
        await self.drain()
        while number and not token.refusal and self.waits(number):
            await self.change()
        if token.refusal:
            raise token.refusal

    async def request(self, topic, payload, response_topic, wait_s, properties=()):
        """Publish at QoS 1 and return the payload of the reply (4.10); `response_topic` has been subscribed to before.
        Raises asyncio.TimeoutError when none has come after `wait_s`."""
        self.requests += 1
        correlation = b"%d" % self.requests
        asked = dict(properties)
        asked.update({"response_topic": response_topic, "correlation_data": correlation})
        self.replies[correlation] = None
        try:
            await within(wait_s, self.replied(topic, payload, asked, correlation))
        finally:
            reply = self.replies.pop(correlation)
        return reply

    async def replied(self, topic, payload, asked, correlation):
        await self.publish(topic, payload, False, 1, asked)
        while self.replies[correlation] is None:
            await self.change()

    def message(self, topic, payload, retained):
        correlation = self.properties.get("correlation_data")
        if correlation in self.replies and payload is not None:
            self.replies[correlation] = bytes(payload)
            self.news.set()
        elif self.on_heard:
            self.on_heard(topic, payload, retained)

    def acknowledged(self, token):
        if self.on_done and not isinstance(token, Awaited):
            self.on_done(token)

    def handle(self, buffer, at, start, end, true_end):
        """As Client's; a PUBACK may refuse (3.4.2.1), and the broker may say why it leaves (3.14)."""
        first = buffer[at]
        if first == _PUBACK and end > start + 2 and buffer[start + 2] >= _ERROR:
            self.refused(packet_id(buffer, start, end), self.error(buffer[start + 2]))
        elif first == _DISCONNECT:
            raise self.error(buffer[start] if end > start else 0)
        else:
            self.cut = true_end > end
            super().handle(buffer, at, start, end, true_end)

    def refused(self, number, error):
        if not self.waits(number):
            return
        slot = (number - 1) % len(self.tokens)
        token, self.tokens[slot] = self.tokens[slot], None
        self.news.set()
        self.reject(token, error)

    def published(self, buffer, first, start, end):
        """As in mqtt.py, past the properties, and with the topic that an alias stands for."""
        topic, number, at = published(buffer, first, start, end, 0)
        try:
            self.properties, at = self.decoded(buffer, at, end)
        except MQTTError:
            if not self.cut or self.topic_aliases:  # an alias that is not known would be missed later
                raise
            self.properties = {}  # their end was not kept, and nothing of the payload
        alias = self.properties.pop("topic_alias", None)
        if alias is not None:
            if not 0 < alias <= self.topic_aliases:
                raise self.error(_ALIAS_INVALID)
            if topic:
                self.heard_as[alias] = topic
            topic = self.heard_as.get(alias)
        if not topic:
            raise MQTTError("malformed PUBLISH")
        return topic, number, at

    def decoded(self, buffer, at, end):
        """(properties, index after them); most packets have none."""
        if at < end and not buffer[at]:
            return {}, at + 1
        return lend("mqtt5_properties").decode(buffer, at, end)

    def error(self, code):
        return MQTTError(lend("mqtt5_packets").reason(code), code)
