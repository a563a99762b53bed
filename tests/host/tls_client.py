"""Open a TLS stream per line of standard input (JSON: host, port, tls), on either Python; say what became of it.

Prints a JSON line each: the echo of "ping", or the name and the text of what was raised.
"""

import asyncio
import json
import sys

if sys.implementation.name == "micropython":
    from tools.host.micropython_world import HostBoard
else:
    from tools.host.cpython_world import HostBoard

DEADLINE_S = 20
REPEATS = 50_000  # more than sockets take at once


async def ping(board, host, port, tls):
    """The echo of "ping" many times, sent in pieces small and large; "ping" when it is whole."""
    stream = await board.open_stream(host, port, tls)
    try:
        sent = b"ping" * REPEATS
        for piece in (sent[:1], sent[1:3], sent[3:]):
            stream.write(piece)
            await stream.drain()
        buf = bytearray(4096)
        received = b""
        while len(received) < len(sent):
            count = stream.read(buf)
            if count is None:
                await stream.readable()
                continue
            if not count:
                break
            received += bytes(buf[:count])
        return received.decode() if received != sent else "ping"
    finally:
        stream.close()
        await stream.wait_closed()


async def main(state):
    board = HostBoard({"config": "", "state": state, "chips": "none", "mac": "02:00:00:00:00:01", "model": "test"})
    for line in sys.stdin:
        try:
            answer = await asyncio.wait_for(ping(board, *json.loads(line)), DEADLINE_S)
        except Exception as error:  # which one it is, is what the test is about
            answer = type(error).__name__ if not isinstance(error, OSError) else "OSError: " + str(error)
        print(json.dumps(answer))


asyncio.run(main(sys.argv[1]))
