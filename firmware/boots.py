"""The count of starts, and what became of the last ones. Needed at starts and births, and only lent.

(boot, seq) makes a reading unlike every other; what is kept of the past boots tells how much of them can be missing.
"""

import json
import struct

_FIRST_BOOT_BELOW = 2**29  # a fresh filesystem draws its first boot number below this, so that none ever repeats
_PAST = "past"
_KEPT = 7  # boots: more would not fit into littlefs' own metadata, where a save costs a tenth of an erase
_ENTRY = ">IIHIB"
_ENTRY_BYTES = 15
UNBOUNDED = 65_535


def next_boot(board):
    """Count this start, in a file of its own, since it changes at each."""
    stored = board.files.load("boot")
    boot = json.loads(stored) + 1 if stored else int(board.random() * _FIRST_BOOT_BELOW) + 1
    try:
        board.files.save("boot", json.dumps(boot).encode())
    except OSError as error:  # flash that is full or worn out must not end a node that can still measure
        board.log("! boot number not stored: %s" % error)
        boot = int(board.random() * _FIRST_BOOT_BELOW) + 1
    return boot


def past(files):
    """What is known of the last boots, this one at the end: lists of boot, last seq up to which all is acknowledged, on
    flash or counted as dropped, how many readings behind that can have been lost with the RAM (UNBOUNDED: nobody
    knows), readings dropped, and whether that is final."""
    stored = files.load(_PAST) or b""
    return [list(struct.unpack_from(_ENTRY, stored, at)) for at in range(0, len(stored), _ENTRY_BYTES)]


def keep(files, entries):
    """Store the last entries. Raises OSError."""
    files.save(_PAST, b"".join([struct.pack(_ENTRY, *entry) for entry in entries[-_KEPT:]]))


def told(files):
    """What `info` tells of the boots before this one, as part of a JSON object."""
    entries = [entry[:4] for entry in past(files)[:-1]]
    for entry in entries:
        if entry[2] == UNBOUNDED:
            entry[2] = None
    return ',"last_seq":%s,"past":%s' % (json.dumps(entries[-1][1] if entries else None), json.dumps(entries))
