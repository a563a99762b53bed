"""A trial: a change that could strand the node is kept once it has heard itself through it, or not at all.

Functions over what firmware.desired keeps; both are only lent.
"""


def begin(desired, board, table, settings):
    """Try what rescue has stored for this start: the next one, whatever ends this, goes back. Raises ConfigError."""
    document = desired.stored(board)
    del document["first"]
    desired.store(board, document)
    desired.tell(board, table, settings)


def forget(desired, board, table, settings):
    """Store what was provisioned and nothing else, for the next start. The revision goes on, or old documents would
    count again. Raises ConfigError."""
    desired.store(board, {"revision": desired.stored(board)["revision"] + 1, "patch": {}})


def confirm(desired, board, table, settings):
    """Keep what is on trial, and report it as applied; it stays on trial when that cannot be stored."""
    document = desired.stored(board)
    del document["old"]
    try:
        desired.store(board, document)
    except desired.ConfigError as error:
        return board.log("config: %s" % error.args[0])
    settings.trial = False
    desired.tell(board, table, settings)


def roll_back(desired, board, table, settings, reason):
    """Obey again what was obeyed before the trial, and report why. The revision stays: it is not tried again."""
    document = desired.stored(board)
    document["patch"] = document.pop("old")
    document.pop("first", None)
    board.log("config: revision %d rolled back: %s" % (document["revision"], reason))
    try:
        desired.store(board, document)
    except desired.ConfigError as error:  # the mark stays, so that the next start comes here again
        board.log("config: %s" % error.args[0])
    desired.hold(board, table, settings, document, "rolled-back", reason)
