"""MQTT 3.1.1 from the server's side, with a parser of its own that takes nothing the standard does not allow.

Shares no code with lib/mqtt_codec, so that a mistake there cannot hide here. Numbers are sections of
"MQTT Version 3.1.1", OASIS Standard, 29 October 2014.
"""

CONNECT, CONNACK, PUBLISH, PUBACK = 1, 2, 3, 4
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK = 8, 9, 10, 11
PINGREQ, PINGRESP, DISCONNECT = 12, 13, 14
_FLAGS = {CONNECT: 0, PUBACK: 0, SUBSCRIBE: 2, UNSUBSCRIBE: 2, PINGREQ: 0, DISCONNECT: 0}  # table 2.2
PONG = b"\xd0\x00"


class Violation(Exception):
    """What the peer sent is not MQTT; the text names the section."""


def frames(data, at=0):
    """Yield (first byte, body) of each whole packet in `data`; then return, by `StopIteration.value`, what is left."""
    size = len(data)
    while size - at >= 2:
        length = data[at + 1]
        start = at + 2
        if length > 127:
            length, start = _length(data, at + 1)
            if start is None:
                break
        if start + length > size:
            break
        yield data[at], data[start:start + length]
        at = start + length
    return data[at:]


def _length(data, at):
    """(value, index after it) of a remaining length; index None when it is not complete (2.2.3)."""
    length = shift = 0
    for index in range(at, min(at + 4, len(data))):
        byte = data[index]
        length |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            if index > at and byte == 0:
                raise Violation("2.2.3 a length with more bytes than it needs")
            return length, index + 1
    if len(data) >= at + 4:
        raise Violation("2.2.3 a length of more than four bytes")
    return 0, None


def check_flags(first):
    """The packet type. Raises Violation for reserved flags and for what only servers send."""
    kind = first >> 4
    if kind == PUBLISH:
        return kind
    if kind not in _FLAGS:
        raise Violation(f"2.2.1 packet type {kind} from a client")
    if first & 15 != _FLAGS[kind]:
        raise Violation(f"2.2.2 flags {first & 15} on packet type {kind}")
    return kind


def _text(raw, what):
    """A UTF-8 text (1.5.3)."""
    try:
        text = str(raw, "utf-8")
    except UnicodeError:
        raise Violation(f"1.5.3 {what} is not UTF-8") from None
    if "\0" in text:
        raise Violation(f"1.5.3 {what} holds U+0000")
    return text


def field(body, at, what):
    """(bytes, index after them) of a field with its length before it (1.5.3)."""
    if at + 2 > len(body):
        raise Violation(f"1.5.3 {what} is cut off")
    end = at + 2 + (body[at] << 8 | body[at + 1])
    if end > len(body):
        raise Violation(f"1.5.3 {what} is cut off")
    return body[at + 2:end], end


def packet_id(body, at=0):
    """A packet identifier (2.3.1)."""
    number = body[at] << 8 | body[at + 1] if at + 2 <= len(body) else 0
    if not number:
        raise Violation("2.3.1 no packet identifier")
    return number


def connect(body):
    """CONNECT (3.1) as a dict: client_id, keepalive_s, clean, will (topic, payload, retain, qos) or None, user,
    password."""
    if body[:7] != b"\x00\x04MQTT\x04":
        raise Violation("3.1.2.1 not MQTT 3.1.1")
    if len(body) < 10:
        raise Violation("3.1.2 CONNECT is cut off")
    flags, keepalive_s = body[7], body[8] << 8 | body[9]
    if flags & 1:
        raise Violation("3.1.2.3 the reserved flag is set")
    raw, at = field(body, 10, "client id")
    result = {"client_id": _text(raw, "client id"), "keepalive_s": keepalive_s, "clean": bool(flags & 2), "will": None,
              "user": None, "password": None}
    if not raw and not flags & 2:
        raise Violation("3.1.3.1 no client id, and not a clean session")
    if flags & 4:
        topic, at = field(body, at, "will topic")
        payload, at = field(body, at, "will message")
        if flags >> 3 & 3 == 3:
            raise Violation("3.1.2.6 will QoS 3")
        result["will"] = topic_name(topic), payload, bool(flags & 32), flags >> 3 & 3
    elif flags & 56:
        raise Violation("3.1.2.6 will flags without a will")
    if flags & 128:
        raw, at = field(body, at, "user name")
        result["user"] = _text(raw, "user name")
    if flags & 64:
        if not flags & 128:
            raise Violation("3.1.2.9 a password without a user name")
        result["password"], at = field(body, at, "password")
    if at != len(body):
        raise Violation("3.1.3 bytes behind the payload")
    return result


def topic_name(raw):
    """A topic to publish to (4.7)."""
    text = _text(raw, "topic")
    if not text or "+" in text or "#" in text:
        raise Violation(f"4.7 {text!r} is no topic to publish to")
    return text


def topic_filter(raw):
    """A topic filter (4.7.1)."""
    text = _text(raw, "filter")
    parts = text.split("/")
    wrong = any(("#" in part or "+" in part) and len(part) > 1 for part in parts) or "#" in parts[:-1]
    if not text or wrong:
        raise Violation(f"4.7.1 {text!r} is no topic filter")
    return text


def publish(first, body):
    """(topic, payload, QoS, retain, DUP, packet id or 0) of a PUBLISH (3.3)."""
    qos = first >> 1 & 3
    if qos == 3:
        raise Violation("3.3.1.2 QoS 3")
    if first & 8 and not qos:
        raise Violation("3.3.1.1 DUP at QoS 0")
    raw, at = field(body, 0, "topic")
    number = 0
    if qos:
        number = packet_id(body, at)
        at += 2
    return topic_name(raw), body[at:], qos, bool(first & 1), bool(first & 8), number


def subscribe(body):
    """(packet id, [(filter, QoS)]) of a SUBSCRIBE (3.8)."""
    number, at, filters = packet_id(body), 2, []
    while at < len(body):
        raw, at = field(body, at, "filter")
        if at >= len(body) or body[at] > 2:
            raise Violation("3.8.3.1 no QoS, or one above 2")
        filters.append((topic_filter(raw), body[at]))
        at += 1
    if not filters:
        raise Violation("3.8.3 a SUBSCRIBE without a filter")
    return number, filters


def unsubscribe(body):
    """(packet id, [filter]) of an UNSUBSCRIBE (3.10)."""
    number, at, filters = packet_id(body), 2, []
    while at < len(body):
        raw, at = field(body, at, "filter")
        filters.append(topic_filter(raw))
    if not filters:
        raise Violation("3.10.3 an UNSUBSCRIBE without a filter")
    return number, filters


def packed(first, body):
    """A packet for a client."""
    length, head = len(body), bytearray((first,))
    while length > 127:
        head.append(length & 127 | 128)
        length >>= 7
    head.append(length)
    return bytes(head) + body


def delivery(topic, payload, qos, retain, number):
    """PUBLISH for a client."""
    name = topic.encode()
    body = len(name).to_bytes(2, "big") + name + (number.to_bytes(2, "big") if qos else b"") + payload
    return packed(PUBLISH << 4 | qos << 1 | retain, body)
