"""Receiving a packet that is longer than the client's buffer, in bounded memory. Loaded when the first one comes."""

import asyncio

_BUFFER_BYTES = 256
_LONG_BYTES = 16_384  # of a packet: for all that comes after these there is one deadline, so that none mutes us long
_TOPIC_BYTES = 404  # of a packet, beside its payload: a topic of 400, its length, the packet id


async def receive(client, buffer, start, end, have):
    """Receive the packet whose first `have` bytes are in `buffer`, its body from `start` to `end`, and act on it.

    Of one that is longer than the client's limit only what the buffer holds is kept.
    """
    whole = buffer
    if end - start <= client.limit_bytes + _TOPIC_BYTES:
        try:
            whole = bytearray(end)
            whole[:have] = memoryview(buffer)[:have]
        except MemoryError:
            whole = buffer  # more than there is memory for is too long as well
    rest = None
    at = have
    while at < end:
        if at < len(whole):
            view = memoryview(whole)[at:]
        else:
            rest = rest or bytearray(_BUFFER_BYTES)
            view = memoryview(rest)[: end - at]
        count = client.read(view)
        if not count:
            if count == 0:
                return
            await client.stream.readable()
            continue
        if at >> 12 != at + count >> 12 and at < _LONG_BYTES:
            client.partial = 1  # each further 4 KB has the deadline anew, but not for ever
        at += count
        await asyncio.sleep(0)  # or a flood would leave nobody else a turn
    if rest and whole[0] >> 4 == 3 and start + 4 + (whole[start] << 8 | whole[start + 1]) > len(whole):
        client.discarded += 1  # not even its topic was kept
    else:
        client.handle(whole, 0, start, min(end, len(whole)), end)
