"""Commands under `config.key`: which must be signed, and that none counts twice. Needed seldom, and only lent.

A signed command is JSON with `"n"`, a whole number that must be above the last one obeyed; that is on flash before the
command is obeyed, so that no copy of it ever counts again.
"""

import json

_FILE = "n"
_MAX_N = 0x1FFFFFFFFFFFFF  # 2^53 - 1, above which JSON's readers do not agree on what a number is


def opened(signed, board, settings, verb, payload, needed):
    """The payload of a command without its signature. `signed` is lib/signed.py; `needed`: whether there must be one.

    Raises ValueError, counted in `settings.refused`, for a command that must not be obeyed; OSError when flash is full.
    """
    if not needed and not (payload and signed.looks_signed(payload)):
        return payload
    config = settings.effective
    text = signed.opened(config["config"]["key"], config["node"]["id"] or board.default_id, verb, payload)
    try:
        if text is None:
            raise ValueError("not signed with config.key for this node and verb")
        _count(board.files, text)
    except ValueError:
        settings.refused += 1
        raise
    return text


def _count(files, text):
    """Raises ValueError unless the command in `text` is newer than every one before."""
    last = int(files.load(_FILE) or 0)
    try:
        number = json.loads(str(text, "utf-8")).get("n")
    except (ValueError, AttributeError):
        number = None
    if isinstance(number, bool) or not isinstance(number, int) or not last < number <= _MAX_N:
        raise ValueError('needs "n", a whole number above %d' % last)
    files.save(_FILE, b"%d" % number)
