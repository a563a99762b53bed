"""Milliseconds since the start, as a count that never wraps, from ticks that do."""

_BACK_MS = 1_000  # a clock that is corrected may step back by less


class Uptime:
    """`ms()` counts from construction; it must be called at least once in a tick period (12.4 days on an ESP32)."""

    def __init__(self, board):
        self._board = board
        self._last = board.ticks_ms()
        self._ms = 0

    def ms(self):
        """Milliseconds since the start; never goes backwards."""
        now = self._board.ticks_ms()
        passed = self._board.ticks_diff(now, self._last)
        if passed < -_BACK_MS:  # more than half a period: ticks go forward, so it was the other way round
            passed += self._board.ticks_add(0, -1) + 1
        self._ms += max(0, passed)
        self._last = now
        return self._ms
