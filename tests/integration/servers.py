"""Servers that are no brokers, or broken ones: each answers a connection with its own kind of nonsense."""

import asyncio
import threading

CALL_LIMIT_S = 10
TRICKLE_S = 0.2
END_ROUNDS = 20
CONNACK = b"\x20\x02\x00\x00"
SUBACK = b"\x90\x03\x00\x01\x01"
PORTAL = (b"HTTP/1.1 302 Found\r\nLocation: http://portal.invalid/login\r\nContent-Type: text/html\r\n"
          b"Content-Length: 26\r\nConnection: close\r\n\r\n<html><body>Log in</body>\n")


class Server:
    """Reads a packet, sends each of `answers` (SUBACK after the next), then hangs up; or says nothing more when it
    `stays`; or goes on with `trickle`, again and again, TRICKLE_S apart, for as long as the node bears it."""

    def __init__(self, *answers, stays=False, trickle=b""):
        self._answers = answers
        self._stays = stays
        self._trickle = trickle
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._served = set()
        self._listener = None
        self.port = 0

    def __enter__(self):
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(CALL_LIMIT_S)
        return self

    def __exit__(self, *_):
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(CALL_LIMIT_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CALL_LIMIT_S)
        self._loop.close()

    async def _listen(self):
        self._listener = await asyncio.start_server(self._arrived, "127.0.0.1", 0)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def _end(self):
        self._listener.close()
        for _ in range(END_ROUNDS):  # a connection that was just being accepted shows up late
            for writer in self._served:
                writer.transport.abort()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            if not others:
                return
            await asyncio.wait(others, timeout=0.1)

    async def _arrived(self, reader, writer):
        self._served.add(writer)
        try:
            await reader.read(4096)
            for answer in self._answers:
                if answer == SUBACK:
                    await reader.read(4096)
                writer.write(answer)
                await writer.drain()
            while self._stays and await reader.read(4096):
                pass
            while self._trickle:
                writer.write(self._trickle)
                await writer.drain()
                await asyncio.sleep(TRICKLE_S)
        except OSError:
            pass  # the node hung up first, as it should
        finally:
            self._served.discard(writer)
            writer.close()


HOSTILE = {
    "captive portal": (PORTAL,),
    "hangs up at once": (),
    "never answers": {"stays": True},
    "portal that stays": {"answers": (PORTAL,), "stays": True},
    **{f"CONNACK {code}": (bytes((0x20, 2, 0, code)),) for code in (1, 2, 3, 4, 5, 255)},
    "half a CONNACK": (CONNACK[:2],),
    "half a CONNACK, then silence": {"answers": (CONNACK[:3],), "stays": True},
    "length of five bytes": (b"\x20\xff\xff\xff\xff\x01",),
    "CONNACK without a body": (b"\x20\x00",),
    "PUBLISH without a body": (CONNACK + b"\x30\x00",),
    "PUBLISH of 256 MB": {"answers": (CONNACK + b"\x30\xff\xff\xff\x7f\x00\x01a",), "stays": True},
    "PUBLISH that never ends": {
        "answers": (CONNACK, SUBACK, b"\x30\xff\xff\xff\x7f\x00\x01a"), "trickle": b"x" * 160},
    "short PUBLISH that never ends": {"answers": (CONNACK, SUBACK, b"\x30\xc0\x01\x00\x01a"), "trickle": b"x"},
    "PUBLISH with a topic that is too long": (CONNACK + b"\x30\x04\xff\xffab",),
    "PUBLISH with a topic that is no UTF-8": (CONNACK + b"\x30\x04\x00\x02\xff\xfe",),
    "PUBLISH with packet id 0": (CONNACK + b"\x32\x05\x00\x01a\x00\x00",),
    "QoS 3": (CONNACK + b"\x36\x05\x00\x01a\x00\x01",),
    "packet type 0": (CONNACK + b"\x00\x00",),
    "packet type 15": (CONNACK + b"\xf0\x00",),
    "CONNACK with reserved flags": (b"\x21\x02\x00\x00",),
    "a client's packet": (CONNACK + b"\x82\x05\x00\x01\x00\x00\x00",),
    "PUBACK cut short": (CONNACK + b"\x40\x01\x00",),
    "SUBACK without codes": {"answers": (CONNACK, b"\x90\x02\x00\x01"), "stays": True},
    "SUBACK for another id": {"answers": (CONNACK, b"\x90\x03\x00\x63\x00"), "stays": True},
}


def hostile(name):
    """The server of that name in HOSTILE."""
    recipe = HOSTILE[name]
    if isinstance(recipe, tuple):
        return Server(*recipe)
    return Server(*recipe.get("answers", ()), stays=recipe.get("stays", False), trickle=recipe.get("trickle", b""))
