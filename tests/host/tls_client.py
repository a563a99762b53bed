"""Open a TLS stream per line of standard input (JSON: host, port, tls), on either Python; say what became of it.

Prints a JSON line each: the echo of "ping", or the name and the text of what was raised.
"""

import asyncio
import json
import sys

from tools.host.board import HostBoard

DEADLINE_S = 20


async def ping(board, host, port, tls):
    """The answer to "ping"."""
    stream = await board.open_stream(host, port, tls)
    try:
        stream.write(b"ping")
        await stream.drain()
        buf = bytearray(8)
        return bytes(buf[: await stream.readinto(buf)]).decode()
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
