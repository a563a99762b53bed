"""MQTT 3.1.1 packets to bytes and back: pure functions, no I/O, no state.

Section numbers are those of the OASIS standard "MQTT Version 3.1.1".
"""

_CONNECT = 0x10
CONNACK = 0x20
PUBLISH = 0x30
PUBACK = 0x40
_SUBSCRIBE = 0x82
SUBACK = 0x90
_UNSUBSCRIBE = 0xA2
UNSUBACK = 0xB0
PINGREQ = b"\xc0\x00"
PINGRESP = 0xD0
DISCONNECT = b"\xe0\x00"


class MQTTError(OSError):
    """The peer broke the protocol, refused us, fell silent or left; the connection is of no more use."""


def encoded(text):
    """Bytes of `text`, which may be bytes already."""
    return text.encode() if isinstance(text, str) else text


def put_length(buffer, at, length):
    """Write the remaining length (section 2.2.3) into `buffer` at `at`; return the index after it."""
    while length > 127:
        buffer[at] = length & 127 | 128
        length >>= 7
        at += 1
    buffer[at] = length
    return at + 1


def put_field(buffer, at, data):
    """Write a two-byte length and `data` (section 1.5.3); return the index after it."""
    size = len(data)
    buffer[at] = size >> 8
    buffer[at + 1] = size & 255
    at += 2
    buffer[at : at + size] = data
    return at + size


def _packet(first, head, fields):
    """One whole packet: first byte, `head`, then each of `fields` with its length before it (None: left out)."""
    fields = [encoded(field) for field in fields if field is not None]
    size = len(head) + sum([2 + len(field) for field in fields])
    packet = bytearray(5 + size)
    packet[0] = first
    at = put_length(packet, 1, size)
    packet[at : at + len(head)] = head
    size += at
    at += len(head)
    for field in fields:
        at = put_field(packet, at, field)
    return packet[:size]


def connect(client_id, keepalive_s, user=None, password=None, will=None, clean=True):
    """CONNECT (section 3.1). `will` is (topic, payload, retain, qos) or None."""
    flags = 2 if clean else 0
    topic = message = None
    if will:
        topic, message, retain, qos = will
        flags |= 4 | qos << 3 | (32 if retain else 0)
    if user is not None:
        flags |= 128 | (64 if password is not None else 0)
    else:
        password = None  # section 3.1.2.9: no password without a user name
    head = b"\x00\x04MQTT\x04" + bytes((flags, keepalive_s >> 8, keepalive_s & 255))
    return _packet(_CONNECT, head, (client_id, topic, message, user, password))


def subscribe(packet_id, filters):
    """SUBSCRIBE (section 3.8). `filters` is a sequence of (topic filter, QoS)."""
    size = 2 + sum([3 + len(encoded(name)) for name, _ in filters])
    packet = bytearray(5 + size)
    packet[0] = _SUBSCRIBE
    at = put_length(packet, 1, size)
    size += at
    packet[at] = packet_id >> 8
    packet[at + 1] = packet_id & 255
    at += 2
    for name, qos in filters:
        at = put_field(packet, at, encoded(name))
        packet[at] = qos
        at += 1
    return packet[:size]


def unsubscribe(packet_id, filters):
    """UNSUBSCRIBE (section 3.10). `filters` is a sequence of topic filters."""
    return _packet(_UNSUBSCRIBE, bytes((packet_id >> 8, packet_id & 255)), filters)


def publish_header(buffer, at, topic, size, retain, qos, packet_id, dup=False):
    """Write a PUBLISH (section 3.3) up to where its payload of `size` bytes begins; return that index.

    `topic` is bytes; `packet_id` counts at QoS 1 only. `buffer` needs 9 bytes more than the topic.
    """
    buffer[at] = PUBLISH | (8 if dup else 0) | qos << 1 | (1 if retain else 0)
    at = put_length(buffer, at + 1, 2 + len(topic) + (2 if qos else 0) + size)
    at = put_field(buffer, at, topic)
    if qos:
        buffer[at] = packet_id >> 8
        buffer[at + 1] = packet_id & 255
        at += 2
    return at


def body(buffer, at, end):
    """Index at which the packet that starts at `at` has its first byte after the fixed header, 0 if not all is there.

    Raises MQTTError on a length of more than four bytes (section 2.2.3).
    """
    for index in range(at + 1, min(end, at + 5)):
        if buffer[index] < 128:
            return index + 1
    if end >= at + 5:
        raise MQTTError("malformed length")
    return 0


def remaining(buffer, at, start):
    """The remaining length of the packet that starts at `at` and has its body at `start`, in bytes."""
    length = 0
    for index in range(start - 1, at, -1):
        length = length << 7 | buffer[index] & 127
    return length


def packet_id(buffer, at, end):
    """The two-byte packet identifier at `at` (section 2.3.1); raises MQTTError when cut off or zero."""
    number = buffer[at] << 8 | buffer[at + 1] if at + 2 <= end else 0
    if not number:
        raise MQTTError("bad packet id")
    return number


def published(buffer, first, at, end):
    """Take apart the body of a PUBLISH (section 3.3): (topic, packet id or 0, index of the payload).

    `end` is where the packet, or as much of it as is at hand, ends. Raises MQTTError on whatever a server may not send.
    """
    start = at + 2
    stop = start + (buffer[at] << 8 | buffer[at + 1]) if start <= end else end + 1
    if stop > end or stop == start or first & 6 > 2:
        raise MQTTError("malformed PUBLISH")
    try:
        topic = str(bytes(buffer[start:stop]), "utf-8")
    except UnicodeError:
        raise MQTTError("topic is not UTF-8")
    if not first & 6:
        return topic, 0, stop
    return topic, packet_id(buffer, stop, end), stop + 2
