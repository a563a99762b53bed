"""A node that stays awake for a while, although it is one that sleeps (power.awake_until)."""

from together import together

_LEAVE_S = 10  # for the goodbye


class Vigil:
    """Runs `node` (a firmware.node.Node) for `seconds`, then restarts: the configuration is looked at anew."""

    def __init__(self, board, node, seconds):
        self._board = board
        self._node = node
        self._seconds = seconds
        self.stop = node.stop

    async def run(self):
        """As the node's own `run`; returns "restart" when the time is over."""
        return await together(self._node.run(), self._over())

    async def _over(self):
        for _ in range(self._seconds):  # one by one: a long sleep would be beyond what ticks can count
            await self._board.sleep_ms(1_000)
        self.stop()
        await self._board.sleep_ms(1_000 * _LEAVE_S)
        return "restart"
