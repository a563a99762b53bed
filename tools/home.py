"""Home Assistant's own interface, its WebSocket API: https://developers.home-assistant.io/docs/api/websocket."""

import json
import urllib.parse

from tools import errors

ANSWER_S = 30  # a list of all statistics, on a small computer

try:
    import websockets
    import websockets.sync.client
except ImportError:
    websockets = None


class Home:
    """A connection as a context manager. `token` is a long-lived access token of an administrator."""

    def __init__(self, url, token):
        self._url = socket_url(url)
        self._token = token
        self._socket = None
        self._number = 0
        self.version = ()  # of Home Assistant: (year, month)

    def __enter__(self):
        if websockets is None:
            raise errors.UserError("this needs the package websockets: pip install 'mote[homeassistant]'")
        try:
            self._socket = websockets.sync.client.connect(self._url, max_size=None, open_timeout=ANSWER_S)
            self._receive()
            self._socket.send(json.dumps({"type": "auth", "access_token": self._token}))
            answer = self._receive()
        except (OSError, TimeoutError, websockets.exceptions.WebSocketException) as error:
            raise errors.UserError(f"no Home Assistant at {self._url}: {error}", errors.UNREACHABLE) from None
        if answer.get("type") != "auth_ok":
            self._socket.close()
            raise errors.UserError("Home Assistant does not accept the token: make a long-lived one on the page of an "
                                   "administrator, under Security")
        self.version = tuple(int(word) for word in answer.get("ha_version", "0.0").split(".")[:2])
        return self

    def __exit__(self, *_):
        self._socket.close()

    def call(self, kind, **fields):
        """The result of one command. Raises UserError when it is refused, or the connection lost."""
        self._number += 1
        try:
            self._socket.send(json.dumps({"id": self._number, "type": kind, **fields}))
            while (answer := self._receive()).get("id") != self._number:
                pass
        except (OSError, TimeoutError, websockets.exceptions.WebSocketException) as error:
            raise errors.UserError(f"lost Home Assistant at {self._url}: {error}", errors.UNREACHABLE) from None
        if not answer.get("success"):
            raise errors.UserError(f"Home Assistant refused {kind}: {answer.get('error', {}).get('message')}",
                                   errors.FAILED)
        return answer["result"]

    def _receive(self):
        return json.loads(self._socket.recv(ANSWER_S))


def socket_url(url):
    """The address of the WebSocket of a Home Assistant whose page is at `url`. Raises UserError."""
    parts = urllib.parse.urlsplit(url)
    scheme = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}.get(parts.scheme)
    if not scheme or not parts.hostname:
        raise errors.UserError(f"--url {url!r}: the address of its page, such as http://homeassistant.local:8123")
    path = parts.path.rstrip("/")
    return f"{scheme}://{parts.netloc}{path if path.endswith('/api/websocket') else path + '/api/websocket'}"
