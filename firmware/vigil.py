"""A node that stays awake for a while, although it is one that sleeps (power.awake_until)."""

from together import together

_LEAVE_S = 10  # for the goodbye


class Vigil:
    """Runs `node` (a firmware.node.Node) for `seconds`, then restarts: the configuration is looked at anew."""

    def __init__(self, board, node, seconds):
        self._board = board
        self._node = node
        self._left_s = seconds
        self.stop = node.stop

    async def run(self):
        """As the node's own `run`; returns "restart" when the time is over."""
        ending = await together(self._node.run(), self._over())
        return "restart" if self._left_s <= 0 else ending

    async def _over(self):
        while self._left_s > 0:  # second by second: a long sleep would be beyond what ticks can count
            await self._board.sleep_ms(1_000)
            self._left_s -= 1
        self.stop()
        await self._board.sleep_ms(1_000 * _LEAVE_S)
