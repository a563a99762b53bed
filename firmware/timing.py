"""The clock of a sleeping node: set when that is due, and what was timed by it follows. Only lent."""

from mqtt import LINK_ERRORS
from together import within

_LIMIT_S = 10  # of a wake's time
_SYNC_S = 86_400
_SYNC_SOON_S = 3_600  # also after the first answer: the second tells how wrong the clock goes, by minutes a day


def due(board, kept):
    """Whether a time server is to be asked in this wake; `kept` is a firmware.kept.Kept."""
    return board.time_s() is None or board.clock_ms() // 1000 >= kept.sync_s


async def ask(board, kept, config, uptime_ms):
    """Set the clock by a time server; returns the error when none answers, None when it is set.

    Where nobody has told the time and TLS needs one, it is guessed here, not when the connection is opened: the times
    of readings that wait follow each jump of the clock, and stay unknown.
    """
    before_s, began_ms, first = board.clock_ms() // 1000, uptime_ms(), not board.drift[0]
    problem = None
    try:
        await within(_LIMIT_S, board.sync_time(config["time"]["servers"]))
    except LINK_ERRORS as error:
        problem = error
        if config["mqtt"]["tls"]:
            board.guess_time()
    now_s = board.clock_ms() // 1000
    kept.set_clock(now_s - before_s - (uptime_ms() - began_ms) // 1000, problem is None)
    kept.sync_s = now_s + (_SYNC_SOON_S if problem or first else _SYNC_S)
    return problem
