"""The runner of an ESP32: Board -> Node -> run -> reset. However it ends, it begins again; only Ctrl-C stops it."""

import sys
import time

PAUSE_S = 10  # so that what fails at once can be read, interrupted, and does not hammer anything


def main():
    """Be a node until it ends. The imports are in here, so that a broken file does not end at a prompt either."""
    reset = sys.exit  # which is a soft reset on a board
    try:
        import asyncio

        from firmware.board import Board
        from firmware.node import Node
        from lending import lend

        board = Board()
        reset = board.reset
        board.feed()  # from here on a hang ends in a reset, too
        board.log("node: " + asyncio.run(Node(board, lend).run()))
    except Exception as error:  # the last line of defence, which shows it
        sys.print_exception(error)
        time.sleep(PAUSE_S)
    reset()


if __name__ == "__main__":
    main()
