"""A server on loopback that answers as it is told, for what a real broker does not do on demand."""

import socket
import ssl
import threading

CONNECT, SUBSCRIBE, PUBLISH, PINGREQ = 1, 8, 3, 12
LIMIT_S = 20


def connack(code=0):
    return bytes((0x20, 2, 0, code))


class ScriptedBroker:
    """`answers` maps the type of a packet to what is sent back: bytes, a function of the packet, None to hang up.

    What has no entry gets no answer. `files` (certificate, key) makes it speak TLS. Packets are shorter than 128 bytes.
    """

    def __init__(self, answers, files=None):
        self.heard = []
        self._answers = answers
        self._files = files
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(LIMIT_S)

    def _serve(self):
        while True:
            try:
                stream = self._listener.accept()[0]
            except OSError:  # the end of the listener, and of the test
                return
            try:
                with self._secured(stream) as stream:
                    stream.settimeout(LIMIT_S)
                    self._talk(stream)
            except OSError:  # the client's side tells what went wrong
                continue

    def _secured(self, stream):
        if not self._files:
            return stream
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self._files)
        return context.wrap_socket(stream, server_side=True)

    def _talk(self, stream):
        while True:
            head = stream.recv(2)
            if len(head) < 2:
                return
            packet = head + (stream.recv(head[1]) if head[1] else b"")
            self.heard.append(packet)
            answer = self._answers.get(packet[0] >> 4, b"")
            if answer is None:
                return
            stream.sendall(answer(packet) if callable(answer) else answer)
