"""The MQTT 5 packets that a client sends once in a connection, and its reason codes in words. Lent, as mqtt_packets.

Section numbers are those of the OASIS standard "MQTT Version 5.0".
"""

from mqtt_packets import field, packet, varint

# Table 2-6, the codes that are errors, in the words of the table; and what a broker of 3.1.1 says of version 5.
_REASONS = """
1 unacceptable protocol version
128 unspecified error
129 malformed packet
130 protocol error
131 implementation specific error
132 unsupported protocol version
133 client identifier not valid
134 bad user name or password
135 not authorized
136 server unavailable
137 server busy
138 banned
139 server shutting down
140 bad authentication method
141 keep alive timeout
142 session taken over
143 topic filter invalid
144 topic name invalid
147 receive maximum exceeded
148 topic alias invalid
149 packet too large
150 message rate too high
151 quota exceeded
152 administrative action
153 payload format invalid
154 retain not supported
155 QoS not supported
156 use another server
157 server moved
158 shared subscriptions not supported
159 connection rate exceeded
160 maximum connect time
161 subscription identifiers not supported
162 wildcard subscriptions not supported
"""


def reason(code):
    """A reason code (2.4) in words."""
    head = "\n%d " % code
    start = _REASONS.find(head)
    return "reason %d" % code if start < 0 else _REASONS[start + len(head) : _REASONS.find("\n", start + 1)]


def connect(client_id, keepalive_s, user, password, will, clean, properties, will_properties):
    """CONNECT (3.1). `will` is (topic, payload, retain, qos) or None; properties are encoded, without their length."""
    flags = 2 if clean else 0
    fields = [field(client_id)]
    if will:
        fields += [varint(len(will_properties)) + will_properties, field(will[0]), field(will[1])]
        flags |= 4 | will[3] << 3 | (32 if will[2] else 0)
    if user is not None:
        fields.append(field(user))
        flags |= 128
    if password is not None:  # unlike before 5 it may come without a user name (3.1.2.9)
        fields.append(field(password))
        flags |= 64
    head = b"\x00\x04MQTT\x05" + bytes((flags, keepalive_s >> 8, keepalive_s & 255))
    return packet(0x10, [head, varint(len(properties)) + properties] + fields)


def subscribe(packet_id, filters):
    """SUBSCRIBE (3.8) without properties. `filters` is a sequence of (topic filter, QoS)."""
    parts = [field(name) + bytes((qos,)) for name, qos in filters]
    return packet(0x82, [bytes((packet_id >> 8, packet_id & 255, 0))] + parts)


def unsubscribe(packet_id, filters):
    """UNSUBSCRIBE (3.10) without properties. `filters` is a sequence of topic filters."""
    return packet(0xA2, [bytes((packet_id >> 8, packet_id & 255, 0))] + [field(name) for name in filters])
