"""The mote dialect as host programs meet it: topics, and payloads that may hold anything (design: topics)."""

import json
import math
import re

from tools import errors

# What nodes say. Not what they are told: a desired configuration may carry secrets.
SPOKEN = ("status", "info", "telemetry/+", "event/+", "backlog", "diagnostics", "config", "reply", "log")

_NODE_ID = re.compile(r"[a-z0-9_-]{1,23}")


def filters(base, kinds=SPOKEN, node="+"):
    """Topic filters for these kinds of messages of one node, or of all."""
    return [f"{base}/{node}/{kind}" for kind in kinds]


def split(base, topic):
    """(node, kind, what is below) of a topic such as mote/esp32-a1b2c3/telemetry/air, None for any other."""
    top, _, rest = topic.partition(base + "/")
    node, _, rest = rest.partition("/")
    kind, _, below = rest.partition("/")
    return (node, kind, below) if not top and is_node_id(node) and kind else None


def is_node_id(text):
    """Whether a text can be the id of a node."""
    return _NODE_ID.fullmatch(text) is not None and text not in ("all", "group")


def node_id(text):
    """The text, when it can be the id of a node. Raises UserError."""
    if not is_node_id(text):
        raise errors.UserError(f"{text!r} is no node id: 1 to 23 of a-z, 0-9, _ and -, neither `all` nor `group`")
    return text


def group(text):
    """The text, when it can be the name of a group. Raises UserError."""
    if re.fullmatch(r"[a-z0-9_-]{1,64}", text) is None:
        raise errors.UserError(f"{text!r} is no group: 1 to 64 of a-z, 0-9, _ and -, as in node.groups")
    if text in ("all", "group"):
        raise errors.UserError(
            f"no group is called {text!r}, as topics give that word another meaning: put the nodes into a group of "
            "their own, as in `mote config set NODE 'node.groups=[\"everywhere\"]'`, and name that")
    return text


def decode(payload):
    """The value of a JSON payload. Raises ValueError, also for the Infinity and NaN that Python lets pass."""
    try:
        return json.loads(payload, parse_constant=_refuse, parse_float=_finite)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _refuse(word):
    raise ValueError(f"{word} is no number")


def _finite(digits):
    number = float(digits)
    return number if math.isfinite(number) else _refuse(digits)


def document(payload):
    """The object in a JSON payload; an empty one for whatever else it holds."""
    try:
        value = decode(payload)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def lines(payload):
    """A payload of several lines as a list of them, each as safe to print as `text`."""
    decoded = payload.decode("utf-8", "replace") if isinstance(payload, bytes) else str(payload)
    return [text(line) for line in decoded.split("\n")]


def text(payload):
    """A payload as text that is safe to print: no control characters, so that no node can steer the terminal."""
    decoded = payload.decode("utf-8", "replace") if isinstance(payload, bytes) else str(payload)
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in decoded)
