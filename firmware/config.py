"""The configuration: one table of keys, what may stand in it, and every mistake at once."""

import json

import lending

# The table, one line a key: name, kind, lowest, highest (of a number, or of a text's length), default as JSON, flags.
# `*` stands for any name. Flags: `?` null is allowed, `!` secret, `+` must be there, `r` a change reconnects,
# `t` and is on trial, as it could strand the node, `s` starts anew. Then, after `?`, what each kind allows, in words.
# Read where it is needed, a part at a time, as it would take four kilobytes of heap: from config.txt beside this file.
_BLOCK = 512

SCHEMA = 1  # of config.json and of patches: a change after which older ones mean something else adds one, and a step
# Pure functions: the one at n - 1 makes of a configuration, or of a patch, of schema n one of schema n + 1. It must
# bear keys that are missing, null and of a wrong kind, as only what comes out is checked.
STEPS = ()

HIDDEN = "***"
_MAX_PROBLEMS = 32  # in one report: a document may have more mistakes than a board has memory for their list
_NAMED = ("wifi", "sensors")  # sections whose keys are names of the user's choice


def row(path):
    """The table's line for a path (a sequence of keys), as a list of six words, or None."""
    if len(path) > 1 and path[0] in _NAMED:
        path = (path[0], "*") + tuple(path[2:])
    key = ".".join(path)
    line = _line(key + " ").split()
    return line if line and line[0] == key and key.count(".") < len(path) else None  # a name may have dots


def rows():
    """Yield every line of the table, as a list of six words."""
    with _table() as file:
        while (line := file.readline())[:1] > "?":
            yield line.split()


def _table():
    return open(__file__.rsplit(".", 1)[0] + ".txt")


def _line(start):
    """The first line of the file that starts so, else an empty text."""
    text = "\n"
    with _table() as file:
        while more := file.read(_BLOCK):
            text += more
            at = text.find("\n" + start)
            if at >= 0 and text.find("\n", at + 1) > 0:
                return text[at + 1 : text.find("\n", at + 1)]
            text = text[text.rfind("\n") :]
    return ""


def merge(target, patch):
    """`target` with `patch` over it as RFC 7396 has it; neither is changed."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key in patch:
        result[key] = merge(result.get(key), patch[key])
        if patch[key] is None:
            del result[key]
    return result


def upgraded(document, schema):
    """A configuration, or a patch, that was written in an older `schema`, in the present one; what is of no schema that
    is known here stays as it is."""
    if not isinstance(schema, int) or isinstance(schema, bool) or not 0 < schema < SCHEMA:
        return document
    for step in STEPS[schema - 1 :]:
        document = step(document)
    return dict(document, schema=SCHEMA) if "schema" in document else document


def leaves(document, path=()):
    """Yield (path, value) of each value that is not an object, and of each empty object."""
    for key in document:
        if isinstance(document[key], dict) and document[key]:
            yield from leaves(document[key], path + (key,))
        else:
            yield path + (key,), document[key]


def filled(result):
    """The document itself, now with a default for every key of the table, and no network or sensor that is null."""
    for key, _, _, _, default, _ in rows():
        parts = key.split(".")
        at = result.get(parts[0]) or {} if len(parts) > 1 else result
        if parts[-1] == "*":
            result[parts[0]] = {name: at[name] for name in at if at[name] is not None}
        if "*" in parts or "tls" in parts or key[:6] == "power." and (at.get("mode") or "deepsleep") != "deepsleep":
            continue  # a node that never sleeps need not hold how
        if at is not result:
            result[parts[0]] = at
        if at.get(parts[-1]) is None:
            at[parts[-1]] = json.loads(default)
    result["mqtt"].setdefault("tls", None)
    return result


def check(document):
    """Every mistake (up to 32) in a whole configuration, an object: a list of (key, found, allowed), else empty."""
    problems = []
    for path, value in leaves(document):
        if len(problems) < _MAX_PROBLEMS:
            _check_leaf(path, value, problems)
    for path in _required(document):
        problems.append((_shown(".".join([str(part) for part in path]), 60), None, bounds(row(path))))
    return problems[:_MAX_PROBLEMS]


def mistakes(document):
    """Every mistake in a whole configuration of any schema, the table's, then the drivers': (key, found, allowed)."""
    document = upgraded(document, document.get("schema", 1))
    problems = check(document)
    sensors = document.get("sensors") if not problems else None
    for name in sensors or ():
        if sensors[name]:
            _check_driver("sensors." + name + ".", sensors[name], problems)
    return problems


def _check_driver(prefix, options, problems):
    name = "firmware.drivers." + options["driver"]
    try:
        driver = lending.load(name).Driver
    except (ImportError, AttributeError):
        return problems.append((prefix + "driver", options["driver"], "the name of a file in firmware/drivers"))
    if getattr(driver, "NEEDS_PIN", 0) and options.get("pin") is None:
        problems.append((prefix + "pin", None, "the number of a pin"))
    kinds = getattr(driver, "KINDS", 0)
    if kinds and options.get("kind") not in (None,) + kinds:
        problems.append((prefix + "kind", options["kind"], " or ".join(kinds)))


def is_secret(path):
    """Whether the value at this path must never be shown."""
    return "!" in (row(path) or "------")[5]


def differs(old, new, flag):
    """Whether two whole configurations differ in a key that has this flag."""
    return any(_at(old, path) != _at(new, path) for path in [line[0].split(".") for line in rows() if flag in line[5]])


def _at(document, parts):
    """The value at a path; at a `*`, a dict of the values below every name that is there."""
    for index, part in enumerate(parts):
        if not isinstance(document, dict):
            return None
        if part == "*":
            return {name: _at(document[name], parts[index + 1 :]) for name in document}
        document = document.get(part)
    return document


def _required(document):
    """Keys that must have a value and have none."""
    for path in (("mqtt", "host"), ("mqtt", "tls", "ca")):
        if _at(document, path) is None and (len(path) == 2 or isinstance(_at(document, path[:-1]), dict)):
            yield path
    sensors = _at(document, ("sensors", "*")) or {}
    for name in sensors:
        if isinstance(sensors[name], dict) and sensors[name].get("driver") is None:
            yield "sensors", name, "driver"


def _check_leaf(path, value, problems):
    texts = all([isinstance(part, str) for part in path])  # MicroPython's parser takes {1: 2}
    line = row(path) if texts else None
    key = _shown(".".join([str(part) for part in path]), 60)
    if texts and len(path) > 1 and path[0] in _NAMED and not _good_name(path[0], path[1]):
        allowed = "a name of 1 to 32 bytes" if path[0] == "wifi" else "a name of [a-z][a-z0-9_]{0,15}"
        problems.append((key, _shown(path[1]), allowed))
    elif line is None or line[1] == "names":
        section = line or key.count(".") < len(path) and _line(key + ".")
        if not section or value not in ({}, None):
            found = HIDDEN if len(str(value)) > 4 else _shown(value)  # in a wrong place it may be a secret
            problems.append((key, found, "an object" if section else "nothing, as there is no such key"))
    elif value is not None and (value == HIDDEN or not _good(line[1], float(line[2]), float(line[3]), value)):
        problems.append((key, HIDDEN if "!" in line[5] else _shown(value), bounds(line)))


def bounds(line):
    """What may stand at a line of the table, in words."""
    start = "? " + line[1] + " "
    text = _line(start)[len(start) :] or "one of " + line[1].replace("/", ", ")
    return (text % (line[2], line[3]) if "%" in text else text) + " or null" * ("?" in line[5])


def _shown(value, most=40):
    """What was found, small enough and plain enough to go into a report."""
    if isinstance(value, str):
        return (value if _size(value) >= 0 else repr(value))[:most]
    if isinstance(value, (list, dict)):
        return HIDDEN  # a secret may be in it
    return value if value is None or isinstance(value, int) and abs(value) < 2**30 else str(value)[:most]


def _good_name(section, name):
    return 1 <= _size(name) <= 32 if section == "wifi" else name[:1] > "_" and _only(name, b"_") and len(name) <= 16


def _size(text):
    """Bytes of a text in UTF-8; -1 when it has half a surrogate pair, which JSON can spell and UTF-8 cannot."""
    data = text.encode("utf-8", "surrogatepass")
    return -1 if any([data[at] == 0xED and data[at + 1] >= 0xA0 for at in range(len(data) - 1)]) else len(data)


def _only(text, more):
    """Whether `text` has only a-z, 0-9 and the bytes `more`. (MicroPython keeps each letter that is taken alone.)"""
    return all([97 <= one <= 122 or 48 <= one <= 57 or one in more for one in text.encode("utf-8", "surrogatepass")])


def _good(kind, low, high, value):
    """Whether a value that is not null is of this kind and within its bounds."""
    if kind == "bool" or isinstance(value, bool):
        return kind == "bool" and isinstance(value, bool)
    if kind == "schema":
        return isinstance(value, int) and 0 < value <= SCHEMA
    if kind == "int" or kind == "number":
        return isinstance(value, int if kind == "int" else (int, float)) and low <= value <= high
    if kind == "ids" or kind == "hosts":
        fits = isinstance(value, list) and low <= len(value) <= high
        return fits and all([_good(kind[:-1], 1, 64, item) for item in value])
    if kind == "files" and isinstance(value, list):
        return 1 <= len(value) <= 2 and all([_good("text", low, high, item) for item in value])
    if not isinstance(value, str) or not low <= _size(value) <= high or "\0" in value:
        return False
    if kind == "topic":
        wrong = any([byte in b'+#"\\\x7f' or byte < 32 for byte in value.encode()])
        return not wrong and value[:1] not in "/$" and value[-1:] != "/"
    if "/" in kind:  # the words that may stand there
        return value in kind.split("/")
    if kind == "path":
        return value.startswith("/") and all([33 <= byte <= 126 for byte in value.encode()])
    if kind == "hex":
        return all([byte in b"0123456789abcdef" for byte in value.encode()])
    return kind != "id" or _only(value, b"_-") and value not in ("all", "group")
