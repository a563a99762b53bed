"""Milliseconds since the start, as a count that never wraps, from ticks that do."""


class Uptime:
    """`ms()` counts from construction; it must be called at least once in half a tick period (6.2 days on an ESP32)."""

    def __init__(self, board):
        self._board = board
        self._last = board.ticks_ms()
        self._ms = 0

    def ms(self):
        """Milliseconds since the start; never goes backwards."""
        now = self._board.ticks_ms()
        self._ms += max(0, self._board.ticks_diff(now, self._last))
        self._last = now
        return self._ms
