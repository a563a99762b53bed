"""Sessions that outlive a connection (MQTT 3.1.1 section 4.4, MQTT 5 section 4.4): what was in flight is sent again.

    before = kept(client)                              # once its connection is over; plain data
    if await another.connect("me", clean=False):       # the broker still has the session
        await resume(another, before, message)
    else:
        ...                                            # before[1] are the tokens to put anew
"""


def kept(client):
    """What of a client's session has to be known to resume it: (the number of its next publish, its tokens)."""
    return client.next, list(client.tokens)


async def resume(client, session, message):
    """Send again what was in flight, with its old packet ids and DUP, and go on behind them. Comes before any `put`.

    `message(token)` is (topic, payload, retain), and with MQTT 5 the properties. Raises ValueError for another window.
    """
    last, tokens = session
    window = len(tokens)
    if window != len(client.tokens):
        raise ValueError("the session has a window of %d" % window)
    for number in range(last - window, last):
        token = tokens[number % window]
        if token is None:
            continue
        topic, payload, retain, *rest = message(token)
        client.next = number % client.ids
        while not client.put(topic, payload, retain | 8, 1, token, *rest):  # 8: DUP (3.3.1.1)
            await client.drain()
    client.next = last
    await client.drain()
