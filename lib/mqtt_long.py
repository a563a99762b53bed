"""Receiving a packet that is longer than the client's buffer, in bounded memory. Loaded when the first one comes."""

import asyncio

from mqtt_writer import MQTTError

_PUBLISH = 3  # in the upper half of the first byte
_PUBACK = 0x40
_BUFFER_BYTES = 256
_LONG_BYTES = 16_384  # of a packet: for all that comes after these there is one deadline, so that none mutes us long
_TOPIC_BYTES = 404  # of a packet, beside its payload: a topic of 400, its length, the packet id


async def receive(client, buffer, start, end, have):
    """Receive the packet whose first `have` bytes are in `buffer`, its body from `start` to `end`, and act on it.

    Of one that is longer than the client's limit only what the buffer holds is kept, and, where that is not the whole
    topic, the packet id that follows it (MQTT 3.1.1, 3.3.2).
    """
    whole = buffer
    if end - start <= client.limit_bytes + _TOPIC_BYTES:
        try:
            whole = bytearray(end)
            whole[:have] = memoryview(buffer)[:have]
        except MemoryError:
            whole = buffer  # more than there is memory for is too long as well
    rest = None
    number, id_at, at = 0, 0, have
    while at < end:
        if at < len(whole):
            view = memoryview(whole)[at:]
        else:
            if not rest:
                rest = bytearray(_BUFFER_BYTES)
                id_at = start + 2 + (whole[start] << 8 | whole[start + 1])
                number = whole[id_at] if id_at == at - 1 else 0  # cut in two
            view = memoryview(rest)[: end - at]
        count = client.read(view)
        if not count:
            if count == 0:
                return
            await client.stream.readable()
            continue
        if at >> 12 != at + count >> 12 and at < _LONG_BYTES:
            client.partial = 1  # each further 4 KB has the deadline anew, but not for ever
        for index in range(max(at, id_at), min(at + count, id_at + 2) if rest else 0):
            number = number << 8 | rest[index - at]
        at += count
        await asyncio.sleep(0)  # or a flood would leave nobody else a turn
    if id_at + 2 > len(whole) and whole[0] >> 4 == _PUBLISH:
        _discard(client, whole[0], number, id_at + (whole[0] & 2) > end)
    else:
        client.handle(whole, 0, start, min(end, len(whole)), end)


def _discard(client, first, number, cut):
    """Count a PUBLISH of which not even the topic was kept. It is acknowledged like any other: else it would take up a
    place in the broker's window for as long as the session lasts."""
    if cut or first & 4 or first & 2 and not number:
        raise MQTTError("malformed PUBLISH")
    client.discarded += 1
    if first & 2:
        client.append(bytes((_PUBACK, 2, number >> 8, number & 255)))
