"""A publish whose payload comes in pieces, so that it is never whole in memory. Lent, but to who sends nothing else.

Sections are those of "MQTT Version 3.1.1".
"""

from mqtt_writer import MQTTError, encoded, put_packet


def put(writer, pieces, first, token):
    """Put a PUBLISH (3.3) to the writer's last topic; `first` is its first byte, `pieces` are iterated twice."""
    size = 0
    for piece in pieces:  # not into a list: of a long document it would take kilobytes in one piece
        size += len(encoded(piece))
    if first & 2:
        writer.take(token)
    put_packet(writer, b"", size, first)
    for piece in pieces:
        piece = encoded(piece)
        size -= len(piece)
        writer.append(piece)
    if size:
        raise MQTTError("pieces changed")  # a wrong length is on the wire: only a new connection helps
