"""The keys of nodes on this computer (config.key: 64 hex digits), one file each, for its owner alone; and signing."""

import json
import os
import re
import secrets
import stat
import time

from signed import sign
from tools import errors, topics

_KEY = re.compile(r"[0-9a-f]{64}")


def folder():
    """Where the keys are kept."""
    config = os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
    return os.path.join(config, "mote", "keys")


def path_of(node):
    """The file of a node's key. Raises UserError for what is no id."""
    return os.path.join(folder(), topics.node_id(node))


def load(node):
    """The key of a node, None when there is none. Raises UserError when others may read it, or when it is none."""
    path = path_of(node)
    try:
        with open(path, encoding="utf-8") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise errors.UserError(f"{path} may be read by others: chmod 600 {path}")
            key = file.read().strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise errors.UserError(f"cannot read the key {path}: {error}") from None
    if not _KEY.fullmatch(key):
        raise errors.UserError(f"{path} is not a key of 64 lowercase hex digits")
    return key


def create(node):
    """Draw a key for a node and keep it; returns it. Raises UserError when the node has one already."""
    key, path = secrets.token_hex(32), path_of(node)
    os.makedirs(folder(), mode=0o700, exist_ok=True)
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(key + "\n")
    except FileExistsError:
        raise errors.UserError(f"{node} has a key already: {path}", errors.FAILED) from None
    except OSError as error:
        raise errors.UserError(f"cannot keep the key {path}: {error.strerror}") from None
    return key


def wanted(report):
    """Whether the node that reports this obeys signed documents only."""
    config = report.get("config")
    section = config.get("config") if isinstance(config, dict) else None
    return isinstance(section, dict) and section.get("key") is not None


def message(node, kind, document, signed, owner=None):
    """The payload (bytes) of a document or a command, signed for the node when `signed`, with the key of `owner`, the
    node's present id (None: it is `node`). Raises UserError when there is no key."""
    text = json.dumps(document, ensure_ascii=False).encode()
    if not signed:
        return text
    owner = owner or node
    key = load(owner)
    if key is None:
        raise errors.UserError(
            f"{owner} obeys only what is signed with its config.key, and {path_of(owner)} is not there: copy it from "
            "where the node was provisioned")
    return sign(key, node, kind, text)


def number():
    """A counter that rises from one command to the next, whoever gives it: microseconds of Unix time."""
    return time.time_ns() // 1000
