"""What stands between a node and a TLS server: it forwards bytes, and keeps what the node sent."""

import socket
import ssl
import threading

RECORD_TYPES = range(20, 24)  # RFC 8446, section 5.1: what may travel under TLS, alerts and handshake included
HANDSHAKE = 22
MAX_RECORD_BYTES = 16_384 + 2_048
LIMIT_S = 30
PAGE = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"


class Tap:
    """`with Tap(target) as tap:` forwards `tap.port` to port `target` of loopback; both may be changed at any time.

    `target` None: nobody is there but a web server that speaks plain. `sent`: of each connection, the node's bytes.
    With `front` (certificate file, key file) the tap itself ends TLS, only with clients that tell a server name, and
    forwards what was inside; `names` are those told.
    """

    def __init__(self, target, front=None):
        self.target = target
        self.sent = []
        self.names = []
        self._context = self._strict(front) if front else None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._open = []

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def cut(self):
        """End every connection."""
        while self._open:
            _hang_up(self._open.pop())

    def plain(self):
        """The connections on which something other than whole TLS records was sent."""
        return [bytes(sent[:80]) for sent in self.sent if not _is_tls(bytes(sent))]

    def _strict(self, front):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*front)
        context.sni_callback = self._judge
        return context

    def _judge(self, connection, name, context):
        self.names.append(name)
        return None if name else ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME

    def _accept(self):
        while True:
            try:
                node = self._listener.accept()[0]
            except OSError:
                return  # the tap is shut
            threading.Thread(target=self._serve, args=(node,), daemon=True).start()

    def _serve(self, node):
        sent = bytearray()
        self.sent.append(sent)
        self._open.append(node)
        with node:
            try:
                if self.target is None:
                    sent += node.recv(65_536)
                    node.sendall(PAGE)
                elif self._context:
                    with self._context.wrap_socket(node, server_side=True) as inner:
                        self._forward(inner, bytearray())
                else:
                    self._forward(node, sent)
            except OSError:
                return  # one of the two has hung up

    def _forward(self, node, sent):
        with socket.create_connection(("127.0.0.1", self.target), LIMIT_S) as broker:
            broker.settimeout(None)
            self._open.append(broker)
            threading.Thread(target=self._back, args=(broker, node), daemon=True).start()
            while data := node.recv(65_536):
                sent += data
                broker.sendall(data)

    @staticmethod
    def _back(broker, node):
        try:
            while data := broker.recv(65_536):
                node.sendall(data)
        except OSError:
            pass  # one of the two has hung up, and so does the other now
        finally:
            _hang_up(node)


def _hang_up(connection):
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it had ended by itself


def _is_tls(data):
    """Whether these bytes are TLS records, the last one perhaps cut, that begin with a handshake."""
    at = 0
    while at + 5 <= len(data):
        kind, major, length = data[at], data[at + 1], data[at + 3] << 8 | data[at + 4]
        if kind not in RECORD_TYPES or major != 3 or length > MAX_RECORD_BYTES or (at == 0 and kind != HANDSHAKE):
            return False
        at += 5 + length
    return True
