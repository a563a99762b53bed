"""An independent reading of MQTT 3.1.1 frames, so that the proxy does not trust the codec it tests.

Section numbers are those of the OASIS standard "MQTT Version 3.1.1".
"""

from collections import namedtuple

NAMES = {
    1: "CONNECT", 2: "CONNACK", 3: "PUBLISH", 4: "PUBACK", 8: "SUBSCRIBE", 9: "SUBACK",
    10: "UNSUBSCRIBE", 11: "UNSUBACK", 12: "PINGREQ", 13: "PINGRESP", 14: "DISCONNECT",
}
IDENTIFIED = ("PUBACK", "SUBSCRIBE", "SUBACK", "UNSUBSCRIBE", "UNSUBACK")
FIRST_BYTES = {0x10, 0x20, 0x40, 0x82, 0x90, 0xA2, 0xB0, 0xC0, 0xD0, 0xE0, *range(0x30, 0x40)}  # section 2.2.2
MAX_ACK_BYTES = {0x20: 2, 0x40: 2, 0xB0: 2, 0xC0: 0, 0xD0: 0, 0xE0: 0}
MAX_FRAME_BYTES = 1_000_000  # larger than anything a node or a test sends; beyond it the stream is not MQTT

Frame = namedtuple("Frame", "name data topic packet_id qos retain payload")
Connect = namedtuple("Connect", "client_id keepalive_s clean will_topic will_payload will_qos will_retain user")


def puback(packet_id):
    """A PUBACK (section 3.4) as bytes."""
    return bytes((0x40, 2, packet_id >> 8, packet_id & 255))


def frame(data):
    """Name one whole frame and take from it what tests ask for; unknown or cut bytes give the name "GARBAGE"."""
    name = NAMES.get(data[0] >> 4, "GARBAGE") if data else "GARBAGE"
    topic, packet_id, qos, payload = None, None, None, b""
    try:
        body = data[_header_bytes(data):]
        if name == "PUBLISH":
            topic, packet_id, qos, payload = _publish(data[0], body)
        elif name in IDENTIFIED:
            packet_id = int.from_bytes(body[:2], "big")
    except (IndexError, UnicodeDecodeError, ValueError):
        name = "GARBAGE"
    return Frame(name, bytes(data), topic, packet_id, qos, name == "PUBLISH" and bool(data[0] & 1), payload)


def _header_bytes(data):
    at = 1
    while data[at] & 128:
        at += 1
    return at + 1


def _publish(first, body):
    size = int.from_bytes(body[:2], "big")
    topic, rest = body[2:2 + size].decode(), body[2 + size:]
    qos = first >> 1 & 3
    packet_id = int.from_bytes(rest[:2], "big") if qos else None
    return topic, packet_id, qos, bytes(rest[2:] if qos else rest)


def connect(data):
    """The fields of a CONNECT frame (section 3.1), None when it is of another version."""
    body = data[_header_bytes(data):]
    if body[:7] != b"\x00\x04MQTT\x04":
        return None
    flags, keepalive_s, rest = body[7], int.from_bytes(body[8:10], "big"), body[10:]
    fields = []
    while rest:
        size = int.from_bytes(rest[:2], "big")
        fields.append(bytes(rest[2:2 + size]))
        rest = rest[2 + size:]
    client_id = fields.pop(0).decode()
    will_topic, will_payload = (fields.pop(0).decode(), fields.pop(0)) if flags & 4 else (None, None)
    user = fields.pop(0).decode() if flags & 128 else None
    return Connect(client_id, keepalive_s, bool(flags & 2), will_topic, will_payload, flags >> 3 & 3,
                   bool(flags & 32), user)


class Splitter:
    """Cuts a byte stream into whole frames; what cannot be MQTT passes through as it comes."""

    def __init__(self):
        self._held = bytearray()
        self._raw = False

    def feed(self, data):
        """The whole frames, each as bytes, that `data` completes."""
        self._held += data
        pieces = []
        while self._held:
            size = len(self._held) if self._raw else self._size()
            if not size or size > len(self._held):
                break
            pieces.append(bytes(self._held[:size]))
            del self._held[:size]
        return pieces

    def rest(self):
        """The bytes of a frame that was never finished; empties the splitter."""
        held, self._held = bytes(self._held), bytearray()
        return held

    def _size(self):
        """Bytes of the frame at the front, 0 while its length is not known yet."""
        length = 0
        for index in range(4):
            if index + 1 >= len(self._held):
                return 0
            length |= (self._held[index + 1] & 127) << 7 * index
            if self._held[index + 1] < 128:
                first = self._held[0]
                if first in FIRST_BYTES and length <= MAX_ACK_BYTES.get(first, MAX_FRAME_BYTES):
                    return index + 2 + length
                break
        self._raw = True
        return len(self._held)
