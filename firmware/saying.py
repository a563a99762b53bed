"""What a sleeping node says in one wake: functions that give its facts, and (token, message) of all that goes out.

A token is the list of readings that a message brings, or True; a message is as in firmware/dialects/mote.py.
"""

import gc

from firmware import VERSION

_BATCH = 16  # readings in one backlog message: about 2 KB
# Publishes with an answer of their own: with those to CONNECT, SUBSCRIBE and the status ten packets, which is what TCP
# sends before the first of them is acknowledged (RFC 6928). The eleventh would come a round trip later.
_ANSWERED = 7


def about(board, settings, boot, wait_s, every_s):
    """The facts that `info` tells; the next wake that sends is in `wait_s`, and then there is one each `every_s`."""
    now_s = board.time_s()
    return {
        "wake_at": None if now_s is None else now_s + wait_s,
        "wake_every_s": every_s,
        "id": settings.effective["node"]["id"] or board.default_id,
        "firmware": VERSION,
        "interpreter": board.interpreter,
        "board": board.model,
        "chips": board.chips,
        "mac": board.mac,
        "boot": boot,
        "revision": settings.revision,
        "reset_cause": board.reset_cause,
    }


def readings(dialect, sensors, kept, fresh, qos):
    """Yield the readings that wait: the `fresh` ones as live at this QoS, then all the others, oldest first. `sensors`
    is a list of (name, quantities).

    Fresh ones that would have the broker send more than TCP lets out at once are live at QoS 0, for whoever looks now,
    and in a batch of the backlog as well, which tells that the broker has them and waits for whoever is away.
    """
    fresh = [reading for reading in fresh if reading in kept.readings]
    old = [reading for reading in kept.readings if reading not in fresh]
    single = len(fresh)
    if qos and single + _batches(len(old)) > _ANSWERED:
        single = max(0, _ANSWERED - _batches(len(old) + len(fresh)))
    for at, reading in enumerate(fresh):
        alone = at < single
        yield [reading] if alone else True, dialect.live(kept.unpacked(reading, sensors), qos if alone else 0)
    old += fresh[single:]
    for at in range(0, len(old), _BATCH):
        batch = old[at : at + _BATCH]
        topic, pieces = dialect.backlog([kept.unpacked(reading, sensors) for reading in batch])
        yield batch, (topic, pieces, False, 1)


def _batches(count):
    return (count + _BATCH - 1) // _BATCH


def documents(dialect, settings, fetch, board):
    """Yield the retained documents, without the status, which is the last word of a wake."""
    status = dialect.status("")[0]
    for message in dialect.birth(fetch, board):
        if message[0] != status:
            yield True, message
    yield True, dialect.report(fetch, board, settings)


def diagnostics(board, kept):
    """Counters and health, as those of firmware/node.py, and how long this node is awake."""
    gc.collect()
    free, idf_free, idf_largest = board.memory()
    return {
        "boot": kept.boot,
        "wakes": kept.wakes,
        "awake_ms": kept.awake_ms,
        "awake_mean_ms": kept.total_ms // max(1, kept.wakes - 1),
        "failed": kept.failed,
        "rssi": board.rssi(),
        "heap_free": free,
        "idf_free": idf_free,
        "idf_largest": idf_largest,
        "reconnects": kept.failed,
        "clock_ppm": board.drift[1],
        "clock_refused": board.clock_refused,
        "produced": kept.seq,
        "acknowledged": kept.acknowledged,
        "queued": len(kept.readings) + kept.stored,
        "dropped": {"overflow": kept.dropped, "policy": kept.policy},
        "unchanged": kept.unchanged,
        "inherited": {"found": kept.inherited, "acknowledged": 0, "queued": kept.inherited, "dropped": 0},
        "rejected": {"missing": kept.missing, "bad": kept.bad, "range": kept.range},
    }
