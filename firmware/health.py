"""What diagnostics tell: counters and health. Needed once a minute, and only lent."""


def fields(board, link, outbox, sampler, control, settings, low):
    """The fields but for `boot` and `uptime_s`. `low`: the lowest free heap so far, None at the first time."""
    free, idf_free, idf_largest = board.memory()
    return {
        "rssi": board.rssi(),
        "heap_free": free,
        "heap_low": free if low is None else min(free, low),
        "idf_free": idf_free,
        "idf_largest": idf_largest,
        "reconnects": max(0, link.sessions - 1),
        "produced": outbox.seq,
        "acknowledged": outbox.acknowledged,
        "queued": outbox.queued,
        "dropped": outbox.dropped,
        "inherited": outbox.inherited,
        "rejected": sampler.rejected,
        "unchanged": sampler.unchanged,
        "refused": settings.refused,
        "clock_ppm": board.drift[1],
        "clock_refused": board.clock_refused,
        "lost": {"commands": control.dropped, "messages": link.dropped},
    }
