"""What boot.py is to a board, for MicroPython's Unix port, where a process is a power-on. Counts the start, then runs
the node, or rescue after a few starts that did not live long enough. Imports nothing of the node, which may be broken.
"""

import json
import os
import select
import sys

_STDIN = 0


def main():
    """Run what is due; `mote run` calls this with HostBoard's options as JSON in MOTE_OPTIONS."""
    options = json.loads(os.getenv("MOTE_OPTIONS"))
    # As /rescue on a board: copies that nothing changes. They stand last, so that the node has its own.
    folder = sys.path[0] + "/rescue"
    sys.path.insert(0, folder)
    import starts
    from store import Store

    files = Store(options["state"])
    due = starts.count(files)
    if due:
        return _rescue(options)
    sys.path.remove(folder)
    for name in ("starts", "store"):
        del sys.modules[name]
    starts = files = None
    try:
        from tools.host import micropython_main

        micropython_main.main(options)
    except Exception as error:  # ends this process as it would end in a reset, and is kept for the next
        _remember(folder, options, error)
        raise


def _rescue(options):
    from rescue import main
    from tools.host.board import HostBoard

    board = HostBoard(options)
    asked = select.poll()
    asked.register(_STDIN, select.POLLIN)

    def feed():
        """There is no watchdog; but the place where rescue looks up from its work, some times a minute."""
        if asked.poll(0):
            raise SystemExit(0)

    board.feed = feed
    main(board)


def _remember(folder, options, error):
    sys.path.insert(0, folder)
    for name in ("starts", "store"):
        sys.modules.pop(name, None)
    import starts
    from store import Store

    starts.remember(Store(options["state"]), error)
