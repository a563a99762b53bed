"""The connection of every verb to the broker: which one, as whom, and what to say when it does not work.

A thin wrapper over paho-mqtt 2, MQTT 3.1.1. TLS always verifies.
"""

import json
import os
import re
import secrets
import socket
import ssl
import stat
import threading
import time
import urllib.parse
from collections import deque, namedtuple

import paho.mqtt.client as paho

from tools import errors

CONNECT_S = 10  # TCP, TLS and the broker's answer
ANSWER_S = 10  # SUBACK or PUBACK over any link that is worth using
_KEEPALIVE_S = 15  # a broker that has gone without a word is noticed within half a minute
_RETRY_MIN_S, _RETRY_MAX_S = 0.1, 0.4  # one client; and an audit should be back before the nodes are
_QUEUE_MESSAGES = 20_000  # about 10 MB of readings: seconds of a large fleet, when the terminal is slow

Target = namedtuple("Target", "host port tls user password ca base")
Target.__doc__ = "Which broker, and as whom; `ca` is a file or None, `base` the first level of all topics."
Message = namedtuple("Message", "t topic payload retain")
Message.__doc__ = "What arrived: Unix time of arrival, topic, payload (bytes), whether it was kept by the broker."

_PROFILE_KEYS = ("broker", "password", "ca", "base")
_PROFILE_NAME = re.compile(r"[A-Za-z0-9_-]+")
_BASE = re.compile(r"[^+#/$\0][^+#\0]{0,63}")


def add_connection_options(parser, default=None):
    """Add --broker, --ca, --base and --profile. `default` is for parsers below one that has them already."""
    group = parser.add_argument_group("connection")
    group.add_argument("--broker", metavar="ADDRESS", default=default,
                       help="HOST:PORT or mqtt[s]://[user@]host[:port] (default localhost:1883; `mote run` does as "
                            "its configuration says); the password comes from the environment variable MOTE_PASSWORD "
                            "or a profile")
    group.add_argument("--ca", metavar="FILE", default=default,
                       help="authority that signed the broker's certificate, PEM (default: those of this system)")
    group.add_argument("--base", metavar="NAME", default=default,
                       help="first level of all topics, mqtt.base of the nodes (default mote)")
    group.add_argument("--profile", metavar="NAME", default=default,
                       help="take what is not given here from ~/.config/mote/NAME.json, an object with any of "
                            + ", ".join(_PROFILE_KEYS))


def target(args):
    """The Target that the options of add_connection_options name. Raises UserError."""
    profile = _profile(args.profile) if args.profile else {}
    if args.broker is not None:
        profile.pop("password", None)  # it belongs to the profile's own broker, and goes to no other
    host, port, tls, user = address(profile.get("broker", "localhost:1883") if args.broker is None else args.broker)
    ca = args.ca or profile.get("ca")
    if ca and not tls:
        raise errors.UserError("a CA file is only of use with TLS: write the broker as mqtts://HOST")
    base = profile.get("base", "mote") if args.base is None else args.base
    if not _BASE.fullmatch(base) or base.endswith("/"):
        raise errors.UserError(f"--base {base!r}: a topic of up to 64 bytes without +, # and $, or / at its ends")
    password = os.environ.get("MOTE_PASSWORD") or profile.get("password")
    return Target(host, port, tls, user, password, ca, base)


def _profile(name):
    if not _PROFILE_NAME.fullmatch(name):
        raise errors.UserError(f"--profile {name!r}: a name of letters, digits, _ and -, not a path")
    folder = os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
    path = os.path.join(folder, "mote", name + ".json")
    try:
        with open(path, encoding="utf-8") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise errors.UserError(f"{path} may be read by others: chmod 600 {path}")
            profile = json.load(file)
    except OSError as error:
        raise errors.UserError(f"cannot read the profile {path}: {error.strerror}") from None
    except ValueError as error:
        raise errors.UserError(f"{path} is not JSON: {error}") from None
    if not isinstance(profile, dict) or not all(
            key in _PROFILE_KEYS and isinstance(value, str) for key, value in profile.items()):
        raise errors.UserError(f"{path}: an object of texts, with any of the keys {', '.join(_PROFILE_KEYS)}")
    return profile


def checked(text):
    """The text, when it is a broker's address. Raises UserError."""
    address(text)
    return text


def address(text):
    """(host, port, TLS?, user or None) of a broker's address. Raises UserError."""
    try:
        parts = urllib.parse.urlsplit(text if "://" in text else "mqtt://" + text)
        port = parts.port
    except ValueError:
        parts, port = urllib.parse.urlsplit(""), None
    if parts.password is not None:
        raise errors.UserError("no password in --broker, where others can read it: set MOTE_PASSWORD, or use --profile")
    if (parts.scheme not in ("mqtt", "mqtts") or not parts.hostname or port == 0 or parts.path.strip("/")
            or parts.query or parts.fragment):  # not repeated: what is wrong may be a secret
        raise errors.UserError("the broker's address is not of the form HOST:PORT or mqtt[s]://[user@]host[:port]")
    tls = parts.scheme == "mqtts"
    user = urllib.parse.unquote(parts.username) if parts.username else None
    return parts.hostname, port or (8883 if tls else 1883), tls, user


class Connection:
    """A connection to the broker as a context manager, subscribed to `filters` when it is entered.

    A lost one comes back by itself and subscribes again; `on_change(text)` is called (from another thread) at each
    loss and return. What arrives waits in a queue; what does not fit is counted in `dropped`, and `interruptions`
    counts the losses. Entering raises UserError when the broker cannot be reached or refuses.
    """

    def __init__(self, target, filters=(), on_change=None):
        self.target = target
        self.base = target.base
        self.dropped = 0
        self.interruptions = 0
        self._filters = [(name, 1) for name in filters]
        self._on_change = on_change or _ignore
        self._queue = deque()
        self._changed = threading.Condition()
        self._refusal = None  # why the broker does not let us in, or does not let us hear
        self._entered = False
        self._ready = False
        self._subscription = None
        self._acknowledged = set()
        self._client = None

    def __enter__(self):
        self._client = self._new_client()
        try:
            self._client.connect(self.target.host, self.target.port, _KEEPALIVE_S)
        except ssl.SSLCertVerificationError as error:
            raise self._unreachable(
                f"its certificate is not trusted ({error.verify_message}); --ca names the authority that signed it"
            ) from None
        except (OSError, ValueError) as error:  # ValueError: a host name that cannot be encoded
            raise self._unreachable(_reason(error)) from None
        self._client.loop_start()
        try:
            self._await_welcome()
        except BaseException:
            self.__exit__()
            raise
        self._entered = True
        return self

    def __exit__(self, *_):
        self._ready = False  # the end of it that comes now is no interruption
        self._on_change = _ignore
        self._client.disconnect()
        self._client.loop_stop()

    def receive(self, seconds=None):
        """The oldest message that waits, or the next one within `seconds` (None: no end); None when there is none."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue, seconds)
            return self._queue.popleft() if self._queue else None

    def messages(self, seconds=None, quiet_s=None):
        """Yield messages as they arrive, for so many seconds (None: no end), or until none came for `quiet_s`."""
        deadline = None if seconds is None else time.monotonic() + seconds
        left = seconds
        while left is None or left > 0:
            message = self.receive(left if quiet_s is None else quiet_s)
            if message is None:
                return
            yield message
            left = None if deadline is None else deadline - time.monotonic()

    def wait_for(self, wanted, seconds):
        """The first message that `wanted(message)` likes within `seconds`, or None; the others are thrown away."""
        for message in self.messages(seconds):
            if wanted(message):
                return message
        return None

    def publish(self, topic, payload, retain=False):
        """Publish at QoS 1; returns when the broker has acknowledged. Raises UserError when it does not in time."""
        packet_id = self._client.publish(topic, payload, qos=1, retain=retain).mid
        with self._changed:
            if not self._changed.wait_for(lambda: packet_id in self._acknowledged, ANSWER_S):
                raise self._unreachable(f"it did not acknowledge a message to {topic} within {ANSWER_S} s")
            self._acknowledged.discard(packet_id)

    def _paho(self, **options):
        """The bare client: a name of its own, and nothing kept for it while it is away."""
        return paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv311,
                           **{"client_id": "mote-" + secrets.token_hex(4), **options})

    def _new_client(self):
        client = self._paho()
        client.connect_timeout = CONNECT_S
        client.reconnect_delay_set(_RETRY_MIN_S, _RETRY_MAX_S)
        if self.target.user is not None:
            client.username_pw_set(self.target.user, self.target.password)
        if self.target.tls:
            try:
                client.tls_set(ca_certs=self.target.ca)
            except (OSError, ValueError) as error:
                raise errors.UserError(f"cannot use the CA file {self.target.ca}: "
                                       f"{getattr(error, 'reason', None) or error.args[-1]}") from None
        client.on_socket_open = _at_once
        client.on_connect = self._connected
        client.on_disconnect = self._disconnected
        client.on_subscribe = self._subscribed
        client.on_publish = self._published
        client.on_message = self._arrived
        return client

    def _await_welcome(self):
        with self._changed:
            self._changed.wait_for(lambda: self._ready or self._refusal, CONNECT_S)
            if self._refusal:
                raise self._unreachable(self._refusal)
            if not self._ready:
                raise self._unreachable(f"something listens there, but gave no MQTT answer within {CONNECT_S} s")

    def _unreachable(self, reason):
        where = f"{self.target.host}:{self.target.port}"
        return errors.UserError(f"the broker at {where}: {reason}", errors.UNREACHABLE)

    def _connected(self, client, userdata, flags, reason, properties):
        if reason.is_failure:
            name = self.target.user or "nobody (no user in --broker)"
            self._refuse(f"it refused the connection as {name}: {reason}")
        elif self._filters:
            self._subscription = client.subscribe(self._filters)[1]
        else:
            self._become_ready()

    def _subscribed(self, client, userdata, packet_id, reasons, properties):
        if packet_id != self._subscription:
            return
        refused = [name for (name, _), reason in zip(self._filters, reasons, strict=False) if reason.is_failure]
        if refused:
            self._refuse(f"it refused the subscription to {', '.join(refused)}: look at its access control")
        else:
            self._become_ready()

    def _become_ready(self):
        with self._changed:
            self._ready = True
            self._refusal = None
            self._changed.notify_all()
        if self._entered:
            self._on_change("connected and subscribed again")

    def _disconnected(self, client, userdata, flags, reason, properties):
        if self._ready:
            self.interruptions += 1
            self._ready = False
            self._on_change(f"lost the connection ({reason}); trying again")
        elif not self._entered:
            self._refuse("it hung up without an answer: does it want a user and a password, or TLS?")

    def _refuse(self, why):
        with self._changed:
            if self._refusal:  # said already, and repeated by every attempt
                return
            self._refusal = why
            self._changed.notify_all()
        if self._entered:
            self._on_change(why)

    def _published(self, client, userdata, packet_id, reason, properties):
        with self._changed:
            self._acknowledged.add(packet_id)
            self._changed.notify_all()

    def _taken(self, message):
        return Message(time.time(), message.topic, message.payload, message.retain)

    def _arrived(self, client, userdata, message):
        with self._changed:
            try:
                self._queue.append(self._taken(message))
            except UnicodeDecodeError:  # a topic that is no text: nothing of ours, and paho's thread must live
                self.dropped += 1
            if len(self._queue) > _QUEUE_MESSAGES:
                self._queue.popleft()
                self.dropped += 1
            self._changed.notify_all()


Kept = namedtuple("Kept", (*Message._fields, "packet_id", "qos"))
Kept.__doc__ = "A Message that the broker keeps until it is acknowledged."


class Durable(Connection):
    """As Connection, for who must miss nothing: the broker keeps `session`, and in it every message at QoS 1 until
    `acknowledge`, also while nobody is connected, as many as it is willing to keep. Messages are of the type Kept."""

    def __init__(self, target, filters, session, on_change=None):
        super().__init__(target, filters, on_change)
        self._session = session

    def acknowledge(self, messages):
        """Let the broker forget these messages."""
        for message in messages:
            if message.qos:
                self._client.ack(message.packet_id, message.qos)

    def _paho(self, **options):
        return super()._paho(client_id=self._session, clean_session=False, manual_ack=True)

    def _taken(self, message):
        return Kept(*super()._taken(message), message.mid, message.qos)


def _at_once(client, userdata, sock):
    """A command must not wait 40 ms until the broker's TCP acknowledges what went before it."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _ignore(text):
    """Nobody asked to hear of changes."""


def _reason(error):
    """Why, in the system's words, without the number."""
    if isinstance(error, TimeoutError):
        return f"no answer within {CONNECT_S} s"
    if isinstance(error, ssl.SSLError):
        return f"no TLS connection ({error.reason or error}); without TLS it would be mqtt:// and port 1883"
    if isinstance(error, ConnectionResetError):
        return "it hung up: TLS (mqtts://) where it wants none, or the other way round?"
    text = getattr(error, "strerror", None) or str(error)
    return text + "; `mote broker` starts one here" if isinstance(error, ConnectionRefusedError) else text
