"""What a client asks the broker for in MQTT 5. Lent, as mqtt_asking.

Section numbers are those of "MQTT Version 5.0".
"""

from lending import lend
from mqtt_asking import Asking as Asking4
from mqtt_writer import MQTTError

_TOPIC_BYTES = 400  # of a packet, beside its payload
_TOO_LARGE = 149
_PROTOCOL_ERROR = 130


class Asking(Asking4):
    """As for 3.1.1, with properties."""

    packets = "mqtt5_packets"

    def begin(
        self, client_id, user=None, password=None, will=None, clean=True, filters=(), properties=(), will_properties=()
    ):
        """As for 3.1.1, with properties of CONNECT and of the will, such as {"will_delay_s": 60}."""
        client = self.client
        asked = dict(properties)
        asked["maximum_packet_size"] = client.limit_bytes + _TOPIC_BYTES
        if client.session_expiry_s:
            asked["session_expiry_s"] = client.session_expiry_s
        if client.topic_aliases:
            asked["topic_alias_maximum"] = client.topic_aliases
        encode, packets = lend("mqtt5_properties").encode, lend(self.packets)
        packet = packets.connect(
            client_id, client.keepalive_s, user, password, will, clean, encode(asked), encode(dict(will_properties)))
        client.client_id = client_id
        self.ask(packet, 0)
        if filters:
            self.ask_for("subscribe", filters)

    async def disconnect(self, reason=0):
        """DISCONNECT (3.14); with reason 4 the broker sends the will all the same."""
        await self.leave(bytes((0xE0, 1, reason)) if reason else b"\xe0\x00")

    def accepted(self, answer):
        """Whether there was a session, by the body of a CONNACK (3.2). Raises MQTTError with the reason."""
        client, code = self.client, answer[1]
        if code:
            raise MQTTError("refused: " + lend(self.packets).reason(code), code)
        client.server, end = client.decoded(answer, 2, len(answer))
        if end != len(answer):
            raise MQTTError("malformed CONNACK")
        if 0 in (client.server.get("receive_maximum"), client.server.get("maximum_packet_size")):  # 3.2.2.3.3 and .6
            raise client.error(_PROTOCOL_ERROR)
        client.client_id = client.server.get("assigned_client_id", client.client_id)
        client.keepalive_s = client.server.get("server_keepalive_s", client.keepalive_s)
        return bool(answer[0] & 1)

    def granted(self, answer):
        """The reason code of each filter, by the body of a SUBACK (3.9): the granted QoS, or 128 and more: refused."""
        return answer[self.client.decoded(answer, 2, len(answer))[1] :]

    def ask(self, packet, number):
        if len(packet) > self.client.server.get("maximum_packet_size", len(packet)):
            raise self.client.error(_TOO_LARGE)
        return super().ask(packet, number)
