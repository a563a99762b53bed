"""Desired configuration as a person writes it: KEY=VALUE over the patch that a node has reported. Pure.

The patch is the whole deviation of a node from what it was provisioned with, laid over that as RFC 7396 has it: a null
in it takes a key away, so that the default holds or a sensor is gone. Taking a key out of the patch is another thing:
then what was provisioned holds again.
"""

import difflib
import json
import math

from firmware import config as table
from firmware import desired
from tools import errors, topics

_HIDDEN = "***"


def assignment(text):
    """(path, value) of KEY=VALUE: the key with dots, the value JSON, or else the text itself. Raises UserError."""
    key, _, value = text.partition("=")
    path = path_of(key)
    try:
        decoded = topics.decode(value)
    except ValueError:  # a bare word is a text
        return path, value
    return path, value if isinstance(decoded, (int, float)) and _takes_text(path) else decoded


def _takes_text(path):
    """Whether the value at this path is a text: a password of digits is none the less one."""
    row = table.row(path)
    return bool(row) and row[1] in ("text", "id", "topic")


def path_of(key):
    """The path of a dotted key, as a tuple. Raises UserError."""
    parts = key.split(".")
    if parts[0] == "wifi" and len(parts) > 2:  # the name of a network may hold dots
        last = parts[-1:] if table.row(("wifi", "*", parts[-1])) else []
        parts = ["wifi", ".".join(parts[1:len(parts) - len(last)]), *last]
    if not all(parts):
        raise errors.UserError(f"{key!r} is no key: such as telemetry.interval_s or sensors.air.driver")
    return tuple(parts)


def changed(patch, assignments):
    """The patch with these (path, value) in it."""
    for path, value in assignments:
        for part in reversed(path):
            value = {part: value}
        patch = _over(patch, value)
    return patch


def _over(old, new):
    """`new` over `old`, where a null is a value like any other."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    return {**old, **{key: _over(old.get(key), value) for key, value in new.items()}}


def without(patch, path):
    """The patch without what it has at this path, and without objects that this leaves empty. Raises UserError."""
    if is_secret(path):
        raise errors.UserError(
            f"{'.'.join(path)}: a secret that is left out keeps its value; set it to another, or to null")
    head, *rest = path
    if not isinstance(patch, dict) or head not in patch:
        return patch
    patch = dict(patch)
    inner = without(patch[head], rest) if rest else {}
    if inner == {}:
        del patch[head]
    else:
        patch[head] = inner
    return patch


def is_secret(path):
    """Whether the value at this path must never be shown."""
    return table.is_secret(path)


def may_be_tried(old, new):
    """Whether a node will obey the patch `new` after `old` on trial, going away to prove it."""
    before, after = dict(table.leaves(old)), dict(table.leaves(new))
    changed = [path for path in {*before, *after} if before.get(path, path) != after.get(path, path)]
    tried = [line[0].split(".") for line in table.rows() if "t" in line[5]]
    return any(all(part in (key, "*") for key, part in zip(path, parts, strict=False))
               for path in changed for parts in tried)


def has_secret(document):
    """Whether a secret has a value in it."""
    return any(value is not None and is_secret(path) for path, value in table.leaves(document))


def masked(document, path=()):
    """A copy that may be shown: every secret that is set is `***`."""
    if not isinstance(document, dict):
        return _HIDDEN if document is not None and is_secret(path) else document
    return {key: masked(value, (*path, key)) for key, value in document.items()}


def lines(document, path=()):
    """A configuration, or the part of one that is at `path`, as sorted lines of KEY = VALUE that may be shown."""
    return sorted(f"{topics.text('.'.join(key))} = {shown(value)}"
                  for key, value in table.leaves(masked(document, path), path))


def shown(value):
    """A value as JSON on one line."""
    return topics.text(json.dumps(value, ensure_ascii=False))


def equal(sent, reported, path=()):
    """Whether a reported patch is the one that was sent: secrets are not reported, and boards know seven digits."""
    if isinstance(sent, dict) and isinstance(reported, dict):
        names = [name for name in {*sent, *reported} if not is_secret((*path, name))]
        return all(equal(sent.get(name, {}), reported.get(name, {}), (*path, name)) for name in names)
    if isinstance(sent, float) and isinstance(reported, (int, float)):
        return math.isclose(sent, reported, rel_tol=1e-6)
    return sent == reported


def mistakes(data):
    """Every mistake of a provisioned configuration (bytes) as (key, found, allowed), by the node's own check; and, as a
    file is there to be mended, keys that stand twice, the nearest known key, and where the JSON breaks off."""
    try:
        problems = table.mistakes(desired.parsed(data))
    except desired.ConfigError as error:
        return [("", None, f"a configuration, but this is {error.args[0]}{_broken_at(data)}")]
    return _doubled(data) + [(key, found, allowed + _nearest(key, allowed)) for key, found, allowed in problems]


def _broken_at(data):
    try:
        json.loads(data.decode())
    except json.JSONDecodeError as error:
        return f" (line {error.lineno}, column {error.colno}: {error.msg})"
    except (UnicodeDecodeError, RecursionError):
        pass  # the node's own words say it
    return ""


def _doubled(data):
    """Keys that one object has twice: JSON keeps the last in silence."""
    found = []

    def look(pairs):
        names = [name for name, _ in pairs]
        found.extend((name, None, "once, but one object has it twice") for name in {*names} if names.count(name) > 1)
        return dict(pairs)

    json.loads(data, object_pairs_hook=look)
    return sorted(found)


def _nearest(key, allowed):
    """A word about the known key that is most like an unknown one."""
    if not allowed.startswith("nothing"):
        return ""
    parts = key.split(".")
    named = len(parts) > 1 and parts[0] in ("wifi", "sensors")
    generic = ".".join([parts[0], "*", *parts[2:]] if named else parts)
    near = difflib.get_close_matches(generic, [line[0] for line in table.rows()], n=1)
    return f"; did you mean {near[0].replace('*', parts[1]) if named else near[0]}?" if near else ""


def told(problems):
    """Mistakes (key, found, allowed) as lines."""
    return [f"  {topics.text(key or 'the document')}: found {shown(found)}, allowed: {topics.text(allowed)}"
            for key, found, allowed in problems]
