"""The count of starts, which makes (boot, seq) of a reading unlike every other. Needed once a start, and only lent."""

import json

_FIRST_BOOT_BELOW = 2**29  # a fresh filesystem draws its first boot number below this, so that none ever repeats


def next_boot(board):
    """Count this start, in a file of its own, since it changes at each."""
    stored = board.files.load("boot")
    boot = json.loads(stored) + 1 if stored else int(board.random() * _FIRST_BOOT_BELOW) + 1
    try:
        board.files.save("boot", json.dumps(boot).encode())
    except OSError as error:  # flash that is full or worn out must not end a node that can still measure
        board.log("boot number not stored: %s" % error)
        boot = int(board.random() * _FIRST_BOOT_BELOW) + 1
    return boot
