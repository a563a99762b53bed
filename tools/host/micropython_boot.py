"""What boot.py is to a board, for MicroPython's Unix port, where a process is a power-on. Imports nothing of the node,
which may be broken, and is forgotten before the node comes, whose heap it shares.
"""

import json
import os
import select
import sys

_STDIN = 0


def start():
    """Count this start; returns when it is the node's, else is rescue until the process ends."""
    options = json.loads(os.getenv("MOTE_OPTIONS"))
    if options.get("cause") != "deep-sleep" and _with_rescue(options, _count):
        _with_rescue(options, _rescue)
    del sys.modules["tools.host.micropython_boot"]
    delattr(sys.modules["tools.host"], "micropython_boot")


def remember(error):
    """Keep a traceback for the next start to tell; what ends this process would end in a reset on a board."""
    _with_rescue(json.loads(os.getenv("MOTE_OPTIONS")), _remember, error)


def _with_rescue(options, do, *arguments):
    """Do something with the modules of rescue, copies that nothing changes, and forget those that the node has, too."""
    folder = sys.path[0] + "/rescue"
    sys.path.insert(0, folder)
    before = [name for name in ("starts", "store") if sys.modules.pop(name, None)]
    try:
        import starts
        from store import Store

        return do(options, starts, Store(options["state"]), *arguments)
    finally:
        sys.path.remove(folder)
        for name in ["starts", "store"] + before:
            sys.modules.pop(name, None)


def _count(options, starts, files):
    return starts.count(files)


def _remember(options, starts, files, error):
    starts.remember(files, error)


def _rescue(options, starts, files):
    from rescue import main
    from lending import lend

    board = lend("tools.host.micropython_world").HostBoard(options)
    asked = select.poll()
    asked.register(_STDIN, select.POLLIN)

    def feed():
        """There is no watchdog; but the place where rescue looks up from its work, some times a minute."""
        if asked.poll(0):
            raise SystemExit(0)

    board.feed = feed
    main(board)
