"""Properties of MQTT 5 packets to bytes and back: pure functions. Section numbers are those of "MQTT Version 5.0".

A property is an item of a dict, by these names; those in seconds end in `_s`. `user` is a list of (name, value).
"""

from mqtt_packets import field, varint
from mqtt_writer import MQTTError

# Table 2-4: identifier, kind (1, 2, 4: a number of so many bytes; v: a variable byte integer; s: text; b: bytes;
# u: user properties), name.
_TABLE = (
    (0x01, "1", "payload_format"),
    (0x02, "4", "message_expiry_s"),
    (0x03, "s", "content_type"),
    (0x08, "s", "response_topic"),
    (0x09, "b", "correlation_data"),
    (0x0B, "v", "subscription_identifier"),
    (0x11, "4", "session_expiry_s"),
    (0x12, "s", "assigned_client_id"),
    (0x13, "2", "server_keepalive_s"),
    (0x15, "s", "authentication_method"),
    (0x16, "b", "authentication_data"),
    (0x17, "1", "request_problem_information"),
    (0x18, "4", "will_delay_s"),
    (0x19, "1", "request_response_information"),
    (0x1A, "s", "response_information"),
    (0x1C, "s", "server_reference"),
    (0x1F, "s", "reason_string"),
    (0x21, "2", "receive_maximum"),
    (0x22, "2", "topic_alias_maximum"),
    (0x23, "2", "topic_alias"),
    (0x24, "1", "maximum_qos"),
    (0x25, "1", "retain_available"),
    (0x26, "u", "user"),
    (0x27, "4", "maximum_packet_size"),
    (0x28, "1", "wildcard_subscription_available"),
    (0x29, "1", "subscription_identifier_available"),
    (0x2A, "1", "shared_subscription_available"),
)


def encode(properties):
    """A dict of properties as bytes, without the length before them. Raises ValueError for a name that is none."""
    found = b""
    for identifier, kind, name in _TABLE:
        if name in properties:
            value = properties[name]
            for item in value if kind == "u" else (value,):
                found += bytes((identifier,)) + _encoded(kind, item)
    known = [name for _, _, name in _TABLE]
    unknown = [name for name in properties if name not in known]
    if unknown:
        raise ValueError("no property of MQTT 5: " + unknown[0])
    return found


def _encoded(kind, value):
    if kind in "sb":
        return field(value)
    if kind == "u":
        return field(value[0]) + field(value[1])
    return varint(value) if kind == "v" else value.to_bytes(int(kind), "big")


def decode(buffer, at, end):
    """The properties whose length stands at `at` (2.2.2), and the index after them: (dict, index).

    Raises MQTTError when they do not end before `end`, occur twice, or are none.
    """
    size, at = _number(buffer, at, end)
    stop = at + size
    if stop > end:
        raise MQTTError("malformed properties")
    found = {}
    while at < stop:
        kind, name = _known(buffer[at])
        value, at = _decoded(kind, buffer, at + 1, stop)
        if kind == "u":
            found.setdefault(name, []).append(value)
        elif name in found and kind != "v":
            raise MQTTError("property occurs twice: " + name)
        else:
            found[name] = value
    return found, at


def _known(identifier):
    for known, kind, name in _TABLE:
        if known == identifier:
            return kind, name
    raise MQTTError("malformed properties")


def _decoded(kind, buffer, at, end):
    if kind == "v":
        return _number(buffer, at, end)
    if kind == "u":
        name, at = _decoded("s", buffer, at, end)
        value, at = _decoded("s", buffer, at, end)
        return (name, value), at
    size = 2 if kind in "sb" else int(kind)
    if at + size > end:
        raise MQTTError("malformed properties")
    number = int.from_bytes(bytes(buffer[at : at + size]), "big")
    at += size
    if kind not in "sb":
        return number, at
    if at + number > end:
        raise MQTTError("malformed properties")
    data = bytes(buffer[at : at + number])
    try:
        return data if kind == "b" else str(data, "utf-8"), at + number
    except UnicodeError:
        raise MQTTError("property is not UTF-8")


def _number(buffer, at, end):
    """A variable byte integer: (number, index after it)."""
    number = 0
    for shift in range(0, 28, 7):
        if at >= end:
            break
        digit = buffer[at]
        at += 1
        number |= (digit & 127) << shift
        if digit < 128:
            return number, at
    raise MQTTError("malformed properties")
