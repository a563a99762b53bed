"""Which node this start is for: the one that is always there, or the one that sleeps between two readings. Only lent.

Memory that a reset leaves alone tells, so that no wake spends its time on the code of the other. After a power cut
there is none, and the configuration is asked, if it says a word of deep sleep.
"""

from lending import load


def chosen(board, fetch):
    """The node to run: firmware.node.Node, or firmware.sleeper.Node."""
    retained = fetch("retained")
    power = None
    if retained.load(board, retained.SLEEP) is None:
        power = _power(board, fetch)
        if power is None:
            return load("firmware.node").Node(board, fetch)
    left_s = power["awake_until"] - board.time_s() if power and board.time_s() else 0
    if left_s > 0:
        return fetch("firmware.vigil").Vigil(board, load("firmware.node").Node(board, fetch), left_s)
    return fetch("firmware.sleeper").Node(board, fetch)


def follow(board, node, ending, fetch):
    """Do what follows when a node's `run` has ended so, up to the reset: deep sleep does not return."""
    try:
        fetch("firmware.starts").survived(board.files)  # what ends as planned is no boot loop
    except (OSError, MemoryError) as error:  # flash that takes nothing must not keep a node from its sleep
        board.log("! start not proved: %s %s" % (type(error).__name__, error))
    if ending == "asleep":
        board.log("asleep for %d ms" % node.rest[0])
        board.deep_sleep(*node.rest)


def _power(board, fetch):
    """The section `power` of a configuration that wants deep sleep, else None; the node says what is wrong with it."""
    try:
        text = b"".join([board.files.load(name) or b"" for name in ("config", "base")])  # "base": config.json as it was
        text += board.read_config()
        if text.find(b"deepsleep") < 0:
            return None
        desired = fetch("firmware.desired")
        settings = desired.Settings()
        desired.load(board, fetch("firmware.config"), settings)
    except (OSError, ValueError) as error:
        board.log("! power.mode not known: %s" % error)
        return None
    power = settings.effective["power"]
    return power if power["mode"] == "deepsleep" else None
