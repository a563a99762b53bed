"""How documents of the configuration, and trials of them, change a running node. Needed seldom, and only lent.

Functions over the node's `settings` (firmware.desired); `fetch` loads the code that each of them takes, and whoever
called has room again once it has returned. MemoryError: nothing has changed.
"""

import gc


def begin(fetch, board):
    """The settings of a new start. Raises ConfigError when the provisioned configuration is wrong."""
    settings = fetch("firmware.desired").Settings()
    _desired(fetch, board, settings, "load")
    if settings.trial == "first" or settings.trial == "wake" and board.reset_cause == "deep-sleep":
        _beside(fetch, board, settings, "firmware.trial", "begin")
    elif settings.trial:
        _beside(fetch, board, settings, "firmware.trial", "roll_back", "restarted before the node was online")
    _save_power(board, settings)
    return settings


def follow(fetch, board, settings, kind, name, payload):
    """Obey a document (`kind` "config"), or a bare value for the key `name`. Returns what follows from it: "live",
    "reconnect" or "restart", or None when nothing was changed."""
    if kind == "config":
        return _desired(fetch, board, settings, "obey", payload)
    return _beside(fetch, board, settings, "firmware.one_key", "obey_key", name, payload)


def look(fetch, board, settings, document):
    """As `follow` of a document, for a node that has nobody to tell when there is no memory for it."""
    try:
        return follow(fetch, board, settings, "config", None, document)
    except MemoryError:
        return board.log("! config: not enough memory")


def settle(fetch, board, settings, heard, fault):
    """End the trial: keep what the node was `heard` through, else go back because of `fault`."""
    verb, arguments = ("confirm", ()) if heard else ("roll_back", (fault or "the node did not hear itself",))
    _beside(fetch, board, settings, "firmware.trial", verb, *arguments)
    _save_power(board, settings)


def _save_power(board, settings):
    board.save_power(settings.effective["power"]["mode"] == "lightsleep")


def weigh(fetch, board, settings):
    """The same for a node that sleeps, in a wake that was heard; the trial may go on after it."""
    if _beside(fetch, board, settings, "firmware.trial", "weigh"):
        prove(fetch, board, settings, True)


def forget(fetch, board, settings):
    """Go back to what was provisioned, from the next start on."""
    _beside(fetch, board, settings, "firmware.trial", "forget")


def prove(fetch, board, settings, online):
    """This start was a good one, broker or not; and what is `online` by now is what rescue may rely on."""
    starts = fetch("firmware.starts")
    starts.prove(board, None)
    try:
        if online and not settings.spare:
            document = fetch("firmware.desired").stored(board)
            starts.prove(board, document["patch"], document.get("schema", 1))
    except MemoryError:  # rescue then relies on what was well before
        board.log("! config: not enough memory to note that it is well")


def opened(fetch, board, settings, verb, payload):
    """The payload of a command without its signature. Raises ValueError when it should have had another one."""
    signature, signed = fetch("firmware.signature"), fetch("signed")
    return signature.opened(signed, board, settings, verb, payload, verb == "factory-reset")


def _desired(fetch, board, settings, verb, *arguments):
    gc.collect()  # the code wants room in one piece
    table = fetch("firmware.config")
    return getattr(fetch("firmware.desired"), verb)(board, table, settings, *arguments)


def _beside(fetch, board, settings, module, verb, *arguments):
    """Call a function of a module that builds on firmware.desired."""
    gc.collect()
    table, desired = fetch("firmware.config"), fetch("firmware.desired")
    return getattr(fetch(module), verb)(desired, board, table, settings, *arguments)
