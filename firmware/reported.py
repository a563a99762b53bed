"""The reported document (design: topics): what the node is asked to be, what became of that, and what it obeys, with
its secrets hidden. Made when it is sent, a section at a time, rather than kept; only lent.
"""

import json

_TABLE = "config.txt"  # beside this file; firmware/config.py tells what is in it
_HIDDEN = "***"


def pieces(facts):
    """Yield the document in pieces of text. `facts`: the board, the revision, the outcome (state, reason, mistakes)
    that firmware.desired leaves in `settings.report`, and the configuration that is obeyed."""
    board, revision, (state, reason, mistakes), effective = facts
    errors = [{"key": key, "found": found, "allowed": allowed} for key, found, allowed in mistakes]
    head = {"revision": revision, "state": state, "reason": reason, "errors": errors}
    yield json.dumps(head)[:-1] + ',"patch":'
    head = errors = None  # room
    secrets = _secrets()
    stored = board.files.load("config")
    patch = json.loads(str(stored, "utf-8"))["patch"] if stored else {}
    yield json.dumps(_redacted(secrets, patch, False))
    patch = stored = None
    start = ',"config":{'
    for section in effective:
        yield start + json.dumps(_redacted(secrets, {section: effective[section]}, True))[1:-1]
        start = ","
    yield "}}"


def _secrets():
    """The keys, as the table has them, of what must not be shown."""
    with open(__file__.rsplit("/", 1)[0] + "/" + _TABLE) as file:
        return [line.split()[0] for line in file if "!" in line[line.rfind(" ") :]]


def _redacted(secrets, document, shown, path=()):
    """A copy without secrets: a secret that is set becomes `***` when `shown`, else its key is left out."""
    result = {}
    for key in document:
        value, inner = document[key], path + (key,)
        if isinstance(value, dict):
            result[key] = _redacted(secrets, value, shown, inner)
        elif value is None or ".".join(_row(inner)) not in secrets:
            result[key] = value
        elif shown:
            result[key] = _HIDDEN
    return result


def _row(path):
    """The path of a key as the table has it: in these sections the user chooses the names."""
    return (path[0], "*") + path[2:] if len(path) > 1 and path[0] in ("wifi", "sensors") else path
