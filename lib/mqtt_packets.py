"""The MQTT 3.1.1 packets that a client sends once in a connection, as bytes. Lent: loaded, used and forgotten.

Section numbers are those of the OASIS standard "MQTT Version 3.1.1".
"""

from mqtt_writer import encoded

_CONNECT = 0x10
_SUBSCRIBE = 0x82
_UNSUBSCRIBE = 0xA2
_REASONS = (  # table 3.1
    "malformed answer", "unacceptable protocol version", "identifier rejected", "server unavailable",
    "bad user name or password", "not authorized")


def reason(code):
    """A return code of CONNACK (section 3.2.2.3) in words."""
    return _REASONS[code] if code < len(_REASONS) else "reason %d" % code


def field(data):
    """Text or bytes with their length before them (section 1.5.3)."""
    data = encoded(data)
    return bytes((len(data) >> 8, len(data) & 255)) + data


def varint(number):
    """A length in one to four bytes (section 2.2.3)."""
    digits = b""
    while number > 127:
        digits += bytes((number & 127 | 128,))
        number >>= 7
    return digits + bytes((number,))


def packet(first, parts):
    """One whole packet: its first byte, the remaining length, its body in parts."""
    return b"".join([bytes((first,)) + varint(sum([len(part) for part in parts]))] + parts)


def connect(client_id, keepalive_s, user=None, password=None, will=None, clean=True):
    """CONNECT (section 3.1). `will` is (topic, payload, retain, qos) or None."""
    flags = 2 if clean else 0
    fields = [client_id]
    if will:
        fields += will[:2]
        flags |= 4 | will[3] << 3 | (32 if will[2] else 0)
    if user is not None:
        fields.append(user)
        flags |= 128
        if password is not None:  # section 3.1.2.9: no password without a user name
            fields.append(password)
            flags |= 64
    head = b"\x00\x04MQTT\x04" + bytes((flags, keepalive_s >> 8, keepalive_s & 255))
    return packet(_CONNECT, [head] + [field(data) for data in fields])


def subscribe(packet_id, filters):
    """SUBSCRIBE (section 3.8). `filters` is a sequence of (topic filter, QoS)."""
    parts = [field(name) + bytes((qos,)) for name, qos in filters]
    return packet(_SUBSCRIBE, [bytes((packet_id >> 8, packet_id & 255))] + parts)


def unsubscribe(packet_id, filters):
    """UNSUBSCRIBE (section 3.10). `filters` is a sequence of topic filters."""
    return packet(_UNSUBSCRIBE, [bytes((packet_id >> 8, packet_id & 255))] + [field(name) for name in filters])
