"""A change that leads a node to another broker: where that is, and several connections as one.

A node keeps such a change only when it finds the same document at the new broker, so that a wrong one, which may let
everybody in, cannot have it for good.
"""

import contextlib
import os
import time
from collections import namedtuple

from firmware import config as table
from tools import connection, errors

Post = namedtuple("Post", "link topic node")
Post.__doc__ = "Where a document is left: connection, topic, and the id that the node has when it reads it there."
_SLICE_S = 0.05  # how long to listen to one broker before it is another one's turn


def address(report, patch, named=None):
    """(host, port, TLS?) to which a patch leads a node, over what it reported; None when it stays where it is.

    `named` is what --new-broker says, the only one who knows when the node is to go where it was provisioned to. Raises
    UserError when nobody knows.
    """
    now = _section(report.get("config"))
    before, after = _section(report.get("patch")), _section(patch)
    if any(before.get(key) is not None and key not in after for key in ("host", "port")):
        if named is None:
            raise errors.UserError("the broker that this node was provisioned with is not known here: name it with "
                                   "--new-broker mqtt[s]://[USER@]HOST[:PORT]")
        return connection.address(named)[:3]
    wanted = {key: now.get(key) if after.get(key) is None else after[key] for key in ("host", "port", "tls")}
    if "port" in after and after["port"] is None:
        wanted["port"] = int(table.row(("mqtt", "port"))[4])
    moved = any(key in after and wanted[key] != now.get(key) for key in ("host", "port"))
    good = isinstance(wanted["host"], str) and isinstance(wanted["port"], int) and 0 < wanted["port"] < 65536
    return (wanted["host"], wanted["port"], isinstance(wanted["tls"], dict)) if moved and good else None


def _section(document):
    section = document.get("mqtt") if isinstance(document, dict) else None
    return section if isinstance(section, dict) else {}


def target(place, old, args):
    """The Target of the new broker for this computer: `place` as `address` gives it, and what the options say.

    No password goes there that was meant for the old one.
    """
    password = os.environ.get("MOTE_NEW_PASSWORD")
    if args.new_broker is not None:
        host, port, tls, user = connection.address(args.new_broker)
        return connection.Target(host, port, tls, user, password, args.new_ca, old.base)
    host, port, tls = place
    return connection.Target(host, port, tls, None, password, args.new_ca if tls else None, old.base)


@contextlib.contextmanager
def connected(place, old, args, filters):
    """A Connection to the new broker. Raises UserError, with what to do, when there cannot be one."""
    there = connection.Connection(target(place, old, args), filters)
    try:
        there.__enter__()
    except errors.UserError as error:
        raise errors.UserError(
            f"{error}\nNothing was changed: a node is sent to {place[0]}:{place[1]} only when its document can be left "
            "there, too. Where that broker has another address for this computer, or wants a user: --new-broker "
            "mqtt[s]://[USER@]HOST[:PORT], with the password in MOTE_NEW_PASSWORD", errors.UNREACHABLE) from None
    try:
        yield there
    finally:
        there.__exit__()


class Ears:
    """Several connections, to be listened to as to one."""

    def __init__(self, links):
        self._links = links

    def wait_for(self, wanted, seconds):
        """The first message of any that `wanted(message)` likes within `seconds`, or None."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for link in self._links:
                message = link.receive(_SLICE_S)
                if message is not None and wanted(message):
                    return message
        return None
