"""The clock of a sleeping node: set when that is due, and what was timed by it follows. Only lent."""

from mqtt import LINK_ERRORS
from together import within

_LIMIT_S = 10  # of a wake's time
_SYNC_S = 86_400
_SYNC_SOON_S = 3_600  # also after the first answer: the second tells how wrong the clock goes, by minutes a day
_UNSET_S = 14_400  # and no longer without any: a time server that is silent costs two seconds of a wake, or ten


def due(board, kept):
    """Whether a time server is to be asked in this wake; `kept` is a firmware.kept.Kept."""
    return not 0 < kept.sync_s - board.clock_ms() // 1000 <= _SYNC_S  # more: the clock has lost the time meanwhile


async def ask(board, kept, config, uptime_ms, period_s):
    """Set the clock by a time server; returns the error when none answers, None when it is set. The pause after an
    error is as long as it has been since the clock was right, or since the boot when it never was, within bounds: so it
    doubles.

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
    pause_s = _SYNC_SOON_S if first else _SYNC_S
    if problem:
        right_s = now_s - board.drift[0]
        pause_s = min(_UNSET_S, kept.wakes * period_s) if first else max(_SYNC_SOON_S, min(_SYNC_S, right_s))
        pause_s -= period_s // 2  # in the wake that is nearest
    kept.sync_s = now_s + pause_s
    return problem
