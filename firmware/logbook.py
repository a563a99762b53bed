"""What a running node keeps of the flight recorder: a log that is written into memory that survives a reset."""


def kept(board, fetch, link=None):
    """The board's log, as a function of a text, that is also recorded, and published through `link` where telemetry.log
    asks for it; `fetch` lends the code for that each time. A text that begins with `!` is of a fault."""
    say = board.log

    def log(text):
        say(text)
        try:
            retained = fetch("retained")
            events = fetch("firmware.recorder").longer(retained.load(board, retained.RECORDER), board, text, link)
            retained.save(board, retained.RECORDER, events)  # its code alone is there now: all three want a kilobyte
        except (MemoryError, OSError, ImportError) as error:  # a log must never end the node
            say("not recorded: %s" % type(error).__name__)

    return log
