"""Starts that did not live long enough: after a few in a row firmware/rescue.py takes over. Needed seldom, only lent.

A brownout looks like power-on and a panic like any reset, so every start counts until it has proved itself. Functions
over `files`, the board's store; `count`, `survived` and `once_more` raise OSError when flash does not take it.
"""

import binascii
import gc
import io
import json
import sys

LIMIT = 4  # starts that ended early, after which the next one is rescue's
_STARTS = "starts"
_CRASH = "crash"
_CRASH_CHARACTERS = 1_000  # of a traceback: its end says most
_GOOD = "good"
_BASE = "base"


def early(files):
    """How many starts in a row, the present one included, have not lived long enough yet."""
    data = files.load(_STARTS)
    return int(data) if data else 0


def count(files):
    """Count this start; returns whether it is to be rescue's instead of the node's."""
    now = early(files) + 1
    files.save(_STARTS, b"%d" % min(now, 99))
    return now > LIMIT


def survived(files):
    """This start has lived long enough, or ends as planned. Writes only when there is something to take back."""
    if early(files):
        files.save(_STARTS, b"0")


def once_more(files):
    """Let the node have one more start: if it ends early, the next one is rescue's again."""
    files.save(_STARTS, b"%d" % (LIMIT - 1))


def prove(board, patch, schema=1):
    """This start has lived long enough; where `patch` is not None, the node has also been online and well with it, of
    that schema, so that rescue can connect as it says; and with config.json, of which a copy is kept, as that file may
    be damaged."""
    try:
        survived(board.files)
        if patch is None:
            return
        base = board.read_config()
        document = {"base": binascii.crc32(base), "patch": patch, "schema": schema}
        if document != _good(board.files) or not board.files.load(_BASE):
            board.files.save(_BASE, base)
            base = None  # room
            board.files.save(_GOOD, json.dumps(document).encode())
    except OSError as error:  # flash that is full or worn out must not end a node that can still measure
        board.log("! start not proved: %s" % error)


def proven(board, table, spare=False):
    """The patch that `prove` kept, in the schema of the `table` (firmware.config), None when there is none or it
    belongs to another config.json. `spare`: that is damaged, and its copy stands in."""
    document = _good(board.files)
    if spare or document.get("base") == binascii.crc32(board.read_config()):
        patch = document.get("patch")
        return patch and table.upgraded(patch, document.get("schema", 1))


def _good(files):
    stored = files.load(_GOOD)
    return json.loads(stored) if stored else {}


def remember(files, error):
    """Keep the end of a traceback over the reset that follows. Never raises what flash raises: a crash has a cause."""
    gc.collect()
    text = io.StringIO()
    sys.print_exception(error, text)
    try:
        files.save(_CRASH, text.getvalue()[-_CRASH_CHARACTERS:].encode())
    except OSError as full:
        print("traceback not kept:", full)


def crash(files):
    """The last traceback, None when there has been none."""
    data = files.load(_CRASH)
    return str(data, "utf-8") if data else None
