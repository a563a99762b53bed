"""boot.py and main.py: whatever becomes of the node, the board starts again."""

import sys

from fakes import Module, Swapped
from fakes.chip import Reset
from minitest import equal, raises

_modules = sys.modules


class Bench:
    """main.py with a board and a node that are not there, and a record of what it did."""

    def __init__(self, run):
        self.did = []
        self._run = run

    def board(self):
        """The class firmware.board.Board."""
        return Module(feed=lambda: self.did.append("feed"), log=self.did.append, reset=self.reset)

    def node(self, board, fetch):
        """The class firmware.node.Node."""
        return Module(run=self._run)

    def reset(self):
        self.did.append("reset")
        raise Reset()

    def exit(self):
        self.did.append("exit")
        raise Reset()

    def start(self):
        """Run main() to the reset that it has to end in."""
        modules = {
            "sys": Module(print_exception=lambda error: self.did.append(type(error)), exit=self.exit),
            "time": Module(sleep=lambda seconds: self.did.append("pause")),
            "firmware.board": Module(Board=self.board),
            "firmware.node": Module(Node=self.node, lend=None),
        }
        _modules.pop("main", None)
        with Swapped({name: modules[name] for name in ("sys", "time")}):
            import main
        with Swapped({name: modules[name] for name in ("firmware.board", "firmware.node")}):
            with raises(Reset):
                main.main()
        return self.did


async def ends():
    return "restart"


async def fails():
    raise KeyError("a bug")


async def interrupted():
    raise KeyboardInterrupt


def test_a_node_that_ends_is_started_again():
    equal(Bench(ends).start(), ["feed", "node: restart", "reset"])


def test_a_node_that_fails_is_shown_and_started_again():
    equal(Bench(fails).start(), ["feed", KeyError, "pause", "reset"])


def test_a_board_that_cannot_start_is_shown_and_reset():
    bench = Bench(ends)
    bench.board = None
    equal(bench.start(), [TypeError, "pause", "exit"])


def test_ctrl_c_reaches_the_prompt():
    bench = Bench(interrupted)
    with raises(KeyboardInterrupt):
        bench.start()
    equal(bench.did, ["feed"])


def test_boot_looks_into_the_image_before_the_flash_and_collects_early():
    path = ["", ".frozen", "/lib"]
    thresholds = []
    _modules.pop("boot", None)
    with Swapped({"sys": Module(path=path), "gc": Module(threshold=thresholds.append)}):
        import boot
    assert boot
    equal(path, [".frozen", "", "/lib"])
    equal(thresholds, [4_096])
