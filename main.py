"""The runner of an ESP32: Board -> Node -> run -> reset or deep sleep. However it ends, it begins again; only Ctrl-C
stops it."""

import sys
import time

PAUSE_S = 10  # so that what fails at once can be read, interrupted, and does not hammer anything


def main():
    """Be a node until it ends. The imports are in here, so that a broken file does not end at a prompt either."""
    try:
        import asyncio

        from firmware.board import Board
        from lending import lend

        board = Board()
        board.feed()  # from here on a hang ends in a reset, too
        node = lend("firmware.start").chosen(board, lend)
        ending = asyncio.run(node.run())
        board.log("node: " + ending)
        lend("firmware.start").follow(board, node, ending, lend)
    except Exception as error:  # the last line of defence, which shows it
        sys.print_exception(error)
        remember(error)
        time.sleep(PAUSE_S)
    import machine

    machine.reset()  # not a soft one: boot.py would not count it


def remember(error):
    """Keep the traceback for the next start to tell; by rescue's own copies, as the node's files may be the cause."""
    try:
        sys.path[:] = (".frozen", "/rescue")
        for name in ("store", "starts"):
            sys.modules.pop(name, None)
        from starts import remember
        from store import Store

        remember(Store("/state"), error)
    except Exception as second:  # the reset comes all the same
        sys.print_exception(second)


if __name__ == "__main__":
    main()
