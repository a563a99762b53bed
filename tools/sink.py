"""A server on loopback that only reads: a rate through it is the client's, where a broker's would be the broker's.

It knows the messages of tools/benches/clients by their bytes and answers what is at QoS 1, when it is the last that
came: as a client that measures ends a row of others.
"""

import socket
import threading

_CONNACK = b"\x20\x02\x00\x00"
_QOS1 = b"\x32\x71"  # how a message at QoS 1 begins: no other has these bytes
_QOS1_BYTES = 115
_ID_AT = 13  # in it
_ROOM_BYTES = 1 << 18
_END_LIMIT_S = 10


class Sink:
    """`with Sink() as sink:` serves one connection after the other at sink.host, sink.port."""

    host = "127.0.0.1"

    def __init__(self):
        self.port = 0
        self._listener = None
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self):
        self._listener = socket.create_server((self.host, 0))
        self.port = self._listener.getsockname()[1]
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(_END_LIMIT_S)

    def _serve(self):
        while True:
            try:
                client = self._listener.accept()[0]
            except OSError:  # the end of the listener
                return
            with client:
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                _drain(client)


def _drain(client):
    """Read until the client has gone."""
    room = memoryview(bytearray(_ROOM_BYTES))
    tail = b""
    try:
        while True:
            count = client.recv_into(room)
            if not count:
                return
            tail = (tail + bytes(room[max(0, count - _QOS1_BYTES):count]))[-_QOS1_BYTES:]
            answer = answer_to(tail)
            if answer:
                client.sendall(answer)
                tail = b""
    except OSError:
        return  # it hung up: what it measured is its own


def answer_to(tail):
    """What the last bytes of a stream want as an answer, if anything: CONNECT, or a message at QoS 1."""
    if tail[:1] == b"\x10" and len(tail) == tail[1] + 2:
        return _CONNACK
    if len(tail) == _QOS1_BYTES and tail.startswith(_QOS1):
        return b"\x40\x02" + tail[_ID_AT : _ID_AT + 2]
    return b""
