"""What a board has kept of configurations that came over the air: a patch over its config.json (firmware/desired.py).

Whoever has it at a cable has the last word. So what is provisioned begins with the patch in it, and the patch goes: a
broker's old address, sent years ago, would win over the one that somebody has come to write.
"""

import json
import os
import tempfile

from firmware import config as table
from store import Store
from tools.board import files

_NAME = "config"  # in the store, which is the folder state
_READ = """
import binascii
try:
 with open('/state/config','rb') as f:print(binascii.hexlify(f.read()).decode())
except OSError as e:
 if e.args[0]!=2:raise
"""


def stored(board):
    """The stored document of the board at its prompt; None where there is none, or none that can be read here."""
    said = board.run(_READ).strip()
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, _NAME), "wb") as file:
            file.write(bytes.fromhex(said))
        data = Store(folder).load(_NAME)
    document = json.loads(data) if data else {}
    return document if document.get("schema", 1) <= table.SCHEMA and "patch" in document else None


def obeyed(base, document):
    """What a node obeys: its config.json with the patch of a stored document, the one before a trial; the base alone
    where the two do not fit."""
    patch = table.upgraded(document.get("old", document["patch"]), document.get("schema", 1))
    whole = table.merge(base, patch)
    return base if table.mistakes(whole) else whole


def forget(board, document):
    """Have the board keep no patch. The revision goes on, or documents that a broker keeps would count again."""
    with tempfile.TemporaryDirectory() as folder:
        empty = {"revision": document["revision"] + 1, "patch": {}}
        Store(folder).save(_NAME, json.dumps(empty).encode())
        with open(os.path.join(folder, _NAME), "rb") as file:
            files.write(board, "state/" + _NAME, file.read())
