"""Whether a node with a configuration would be let in by its broker: name, port, certificates, user, time."""

import base64
import contextlib
import os
import socket
import ssl
import tempfile
import time

import sntp
from tools import connection, errors
from tools.checks import Finding

_TIMEOUT_S = 3
_ELSEWHERE = ("192.0.2.1", 9)  # RFC 5737: nobody's
_SOON_DAYS = 30
_CLOCK_S = 30  # beyond this certificates and time stamps begin to be judged wrongly
_LOCAL = ("localhost", "127.", "::1")
# A sign in the reason -> what to do about it.
_HELP = (
    ("not trusted", "--ca with the authority that signed the broker's certificate, then mote provision; when it has "
     "expired, or is for another name, the broker needs a new one"),
    ("refused the connection as", "the password file of mote provision --acl has to be loaded by the broker, or "
     "mqtt.user and mqtt.password are wrong"),
    ("hung up", "mqtt.user and mqtt.password, or mqtt.tls, as the broker wants them"),
    ("refused", "start the broker; let it listen beyond localhost (Mosquitto: `listener 1883`)"),
    ("name", "mote provision --broker ADDRESS, with the name written right, or the broker's IP address"),
    ("no route", "mote provision --broker ADDRESS: nobody has this one in the network of this computer"),
)
_ELSE = "is the address right, does the broker run?"


def findings(document, board=True):
    """What keeps a node with this whole configuration off its broker. `board`: it is to run on one, not here."""
    mqtt = document["mqtt"]
    found = []
    if board and mqtt["host"].startswith(_LOCAL):
        found.append(Finding("mqtt.host", f"{mqtt['host']} is the board itself", "it will never find a broker there",
                             f"mote provision --broker {own_address()}, if it runs on this computer, and listens "
                             "beyond localhost (Mosquitto: `listener 1883`)"))
    with contextlib.ExitStack() as stack:
        target = _target(mqtt, stack)
        if target.tls:
            found += _certificate(target)
        try:
            with connection.Connection(target):
                pass
        except errors.UserError as error:
            reason = str(error)
            what = next((help for sign, help in _HELP if sign in reason.lower()), _ELSE)
            found.append(Finding("mqtt", reason, "the node will not get online", what))
    return found + _clock((document.get("time") or {}).get("servers") or ["pool.ntp.org"])


def own_address():
    """This computer's address in its network, as far as it can be told."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(_ELSEWHERE)  # sends nothing: the system picks the way out
        return sock.getsockname()[0]
    return "ADDRESS"


def _target(mqtt, stack):
    """The broker as the node would see it; its authority in a file, where it travels in the configuration."""
    tls, ca = mqtt.get("tls"), None
    if tls:
        ca = tls["ca"]
        if not (isinstance(ca, str) and os.path.exists(ca)):
            ders = ca if isinstance(ca, list) else [ca]
            file = stack.enter_context(tempfile.NamedTemporaryFile("w", suffix=".pem"))
            file.write("".join(ssl.DER_cert_to_PEM_cert(base64.b64decode(der)) for der in ders))
            file.flush()
            ca = file.name
    default = 8883 if tls else 1883
    return connection.Target(mqtt["host"], mqtt.get("port") or default, bool(tls), mqtt.get("user"),
                             mqtt.get("password"), ca, mqtt.get("base") or "mote")


def _certificate(target):
    """A certificate that is trusted and will not be for long."""
    try:
        context = ssl.create_default_context(cafile=target.ca)
        with socket.create_connection((target.host, target.port), _TIMEOUT_S) as raw, \
                context.wrap_socket(raw, server_hostname=target.host) as wrapped:
            ends = ssl.cert_time_to_seconds(wrapped.getpeercert()["notAfter"])
    except (OSError, ValueError):
        return []  # the connection itself will say so
    days = int((ends - time.time()) // 86_400)
    if days >= _SOON_DAYS:
        return []
    return [Finding("mqtt.tls", f"the broker's certificate ends in {days} day(s)", "then no node gets in any more",
                    "give the broker a new certificate of the same authority; nodes need nothing then")]


def _clock(servers):
    """Whether any time server answers, and whether this computer's clock is right."""
    for server in servers:
        try:
            told = ask(server)
        except (OSError, ValueError):
            continue
        off = round(time.time() - told)
        if abs(off) <= _CLOCK_S:
            return []
        return [Finding("this computer", f"its clock is {abs(off)} s {'ahead' if off > 0 else 'behind'}",
                        "certificates are judged by it, and readings of nodes here are stamped with it",
                        "sudo timedatectl set-ntp true")]
    return [Finding("time.servers", f"none of {', '.join(servers)} answers from here",
                    "without the time readings are buffered without a date, and certificates are judged by a guess",
                    "mote config set NODE 'time.servers=[\"ADDRESS\"]' with one in your network (a router often is)")]


def ask(server, port=sntp.PORT):
    """Unix seconds of a time server. Raises OSError or ValueError."""
    family, kind, _, _, address = socket.getaddrinfo(server, port, 0, socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind) as sock:
        sock.settimeout(_TIMEOUT_S)
        sock.connect(address)
        nonce = os.urandom(sntp.NONCE_BYTES)
        sock.send(sntp.request(nonce))
        return sntp.parse(sock.recv(512), nonce)
