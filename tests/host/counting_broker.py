"""A broker on loopback that acknowledges and counts: what a real one does not tell."""

import socket
import threading

from tests.host.scripted_broker import connack

CONNECT, PUBLISH = 1, 3
LIMIT_S = 20


class CountingBroker:
    """Serves one connection after the other; `published()` is how many messages came at QoS 0 and at QoS 1."""

    def __init__(self):
        self.host = "127.0.0.1"
        self._listener = socket.create_server((self.host, 0))
        self.port = self._listener.getsockname()[1]
        self._counts = [0, 0]
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(LIMIT_S)

    def published(self):
        return tuple(self._counts)

    def _serve(self):
        while True:
            try:
                stream = self._listener.accept()[0]
            except OSError:  # the end of the listener
                return
            with stream, stream.makefile("rb") as packets:
                stream.settimeout(LIMIT_S)
                while self._answer(stream, packets):
                    pass

    def _answer(self, stream, packets):
        """Take one packet; False at the end of the connection. None of a bench is longer than 127 bytes."""
        head = packets.read(2)
        if len(head) < 2:
            return False
        body = packets.read(head[1])
        if head[0] >> 4 == CONNECT:
            stream.sendall(connack())
        elif head[0] >> 4 == PUBLISH:
            qos = head[0] >> 1 & 3
            self._counts[qos] += 1
            if qos:
                at = 2 + body[0] * 256 + body[1]
                stream.sendall(b"\x40\x02" + body[at:at + 2])
        return True
