"""The flight recorder: the last events, over resets and until the power fails, in RTC memory, which does not wear; and
the last traceback, which firmware/starts.py keeps on flash. Only lent, as is all that it needs.
"""

_MOST_LINES = 50
_LETTERS = 40  # of a line: what is recorded is to be many events rather than long ones
_MOST_BYTES = 998  # the slot's
_MOST_WAITING = 4  # messages: a burst of lines is to push out no reply


def longer(events, board, text, link=None):
    """What is recorded, or None, and a line of the log, with the time of day (UTC) where it is known, as bytes. The
    oldest lines go. Also publish the line, as the configuration of a `link` that is online asks for."""
    if link and link.state == "online":
        level = link.dialect.config["telemetry"]["log"]
        if level == "info" or level == "error" and text[:1] == "!":
            if len(link.posted) < _MOST_WAITING:
                link.post(link.dialect.log((text,)))
            else:
                link.dropped += 1
    second = board.time_s()
    stamp = "-" if second is None else "%02d:%02d:%02d" % (second // 3600 % 24, second // 60 % 60, second % 60)
    data = (events or b"") + ("%s %s\n" % (stamp, text[:_LETTERS].replace("\n", " "))).encode()
    at = 0
    while len(data) - at > _MOST_BYTES or data.count(b"\n", at) > _MOST_LINES:
        at = data.find(b"\n", at) + 1
    return memoryview(data)[at:]


def story(fetch, board):
    """What is told once after a start, and whenever it is asked for, in pieces of text: why it started, the last
    traceback, the last events. `fetch` lends the code for each, one after the other."""
    crash = fetch("firmware.starts").crash(board.files)
    retained = fetch("retained")
    events = retained.load(board, retained.RECORDER) or b""
    return ["start: %s\n" % board.reset_cause, crash or "", events]
