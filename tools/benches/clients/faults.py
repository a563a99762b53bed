"""Twenty readings, one at a time, from an application that does not give up: `faults APP HOST PORT IDLE_S`.

Prints a JSON line per event: {"ms", "event", ...}: every failure that the client told of, every message that it handed
over, and "done". A client that tells of nothing and waits for ever is the caller's to end.
"""

import json
import sys
import time

READINGS = 20
IDLE_AFTER = 5
KEEPALIVE_S = 10
RETRY_MS = 1_000
TOPIC = b"mote/test"
FILL = b"x" * 97


class Diary:
    """Prints what happens, with the milliseconds since the start."""

    def __init__(self):
        self._began = time.ticks_ms()

    def note(self, event, detail=""):
        print(json.dumps({"ms": time.ticks_diff(time.ticks_ms(), self._began), "event": event, "detail": detail}))

    def heard(self, topic, payload):
        self.note("message", [repr(topic), len(payload)])


async def run(make, pause, host, port, idle_s):
    """The application: a new client after each failure, until every reading was acknowledged."""
    diary = Diary()
    app = None
    number = 0
    while number < READINGS:
        try:
            if app is None:
                app = make(host, port, KEEPALIVE_S, diary.heard)
                await app.connect()
            if number == IDLE_AFTER and idle_s:
                seconds, idle_s = idle_s, 0
                await app.idle(seconds)
            if not await app.send(TOPIC, b"%03d" % number + FILL):
                raise OSError("not acknowledged")
            number += 1
        except Exception as error:  # whatever a client raises: it is this table that tells which
            diary.note("failed", repr(error))
            await give_up(app, diary)
            app = None
            await pause(RETRY_MS)
    diary.note("done")


async def give_up(app, diary):
    """Let go of a connection; that it is broken is known."""
    try:
        await app.close()
    except Exception as error:
        diary.note("not closed", repr(error))


async def sleep_ms(duration_ms):
    time.sleep_ms(duration_ms)


def main(name, host, port, idle_s):
    make = __import__(name).App
    if make.LOOP:
        import asyncio

        asyncio.run(run(make, asyncio.sleep_ms, host, int(port), int(idle_s)))
        return
    try:
        run(make, sleep_ms, host, int(port), int(idle_s)).send(None)
    except StopIteration:
        return


main(*sys.argv[1:])
