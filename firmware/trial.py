"""A trial: a change that could strand the node is kept once it has proved itself, or not at all.

A node that is always there proves it by the new connection (firmware.tryout). One that sleeps has to wake for it: after
a first wake with the change it sleeps for half of config.trial_s at most, and what it finds in the wake that follows
decides. Functions over what firmware.desired keeps; all of it is only lent.
"""

_DAY_S = 86_400  # a longer silence is not kept on one document alone: whoever erred could mend it only after that
_LOST = "the document was not there when the node woke: publish it retained, as a node that sleeps hears nothing else"
_SILENT = "it would be silent for %d s at a time: if that is meant, send the same patch again as revision %d meanwhile"


def begin(desired, board, table, settings):
    """Try what is stored for this start: the next one, whatever ends this, goes back. Where flash does not take that,
    this one does: a node that tried for ever would be stranded."""
    document = desired.stored(board)
    del document["first"]
    try:
        desired.store(board, document)
    except desired.ConfigError as error:
        return roll_back(desired, board, table, settings, error.args[0])
    desired.tell(settings)


def forget(desired, board, table, settings):
    """Store what was provisioned and nothing else, for the next start. The revision goes on, or old documents would
    count again. Raises ConfigError."""
    desired.store(board, {"revision": desired.stored(board)["revision"] + 1, "patch": {}})


def confirm(desired, board, table, settings):
    """Keep what is on trial, and report it as applied; it stays on trial when that cannot be stored."""
    document = desired.stored(board)
    del document["old"]
    document["revision"] += settings.found == 2
    try:
        desired.store(board, document)
    except desired.ConfigError as error:
        return board.log("! config: %s" % error.args[0])
    settings.revision, settings.trial = document["revision"], False
    desired.tell(settings)


def roll_back(desired, board, table, settings, reason):
    """Obey again what was obeyed before the trial, and report why. The revision stays: it is not tried again."""
    document = desired.stored(board)
    document["patch"] = document.pop("old")
    document.pop("first", None)
    document["why"] = reason
    board.log("! config: revision %d rolled back: %s" % (document["revision"], reason))
    try:
        desired.store(board, document)
    except desired.ConfigError as error:  # the mark stays, so that the next start comes here again
        board.log("! config: %s" % error.args[0])
    desired.hold(board, table, settings, document)


def weigh(desired, board, table, settings):
    """A node that sleeps has heard itself, and looked for documents: wait for the wake after this one, or decide.
    Returns whether what was on trial is kept."""
    if settings.trial == "wake":
        longest_s = desired.longest_s(settings.effective)
        if not settings.found:
            return roll_back(desired, board, table, settings, _LOST)
        if longest_s > _DAY_S and settings.found < 2:
            return roll_back(desired, board, table, settings, _SILENT % (longest_s, settings.revision + 1))
        confirm(desired, board, table, settings)
        return not settings.trial
    document = desired.stored(board)
    document["first"] = "wake"
    try:
        desired.store(board, document)
    except desired.ConfigError as error:  # the next start then goes back
        board.log("! config: %s" % error.args[0])
