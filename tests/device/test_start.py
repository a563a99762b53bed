"""firmware/start.py: what follows when a node has ended, whatever flash and memory are like by then."""

from firmware import starts
from fakes import Module
from fakes.chip import Reset
from firmware.start import follow
from minitest import equal, raises


class Board:
    """Logs into `logged`; `files` is a flash with a start that has not proved itself, and takes what it `takes`."""

    def __init__(self, takes=True):
        self.logged = []
        self.log = self.logged.append
        self.kept = {"starts": b"2"}
        self.files = Module(load=self.kept.get, save=self.save)
        self._takes = takes

    def save(self, name, data):
        if not self._takes:
            raise OSError(28)
        self.kept[name] = data

    def deep_sleep(self, *plan):
        self.logged.append(plan)
        raise Reset()


def slept(board, fetch):
    """Follow the end of a node that sleeps, which must end in its sleep; returns what the board was told."""
    with raises(Reset):
        follow(board, Module(rest=(5_000, 33)), "asleep", fetch)
    return board.logged


def lent(name):
    equal(name, "firmware.starts")
    return starts


def nothing_lent(name):
    raise MemoryError("no room for %s" % name)


def test_what_ends_as_planned_is_no_boot_loop():
    for ending in ("restart", "stopped"):
        board = Board()
        follow(board, Module(), ending, lent)
        equal(board.kept["starts"], b"0", ending)
        equal(board.logged, [], ending)
    board = Board()
    equal(slept(board, lent), ["asleep for 5000 ms", (5_000, 33)])
    equal(board.kept["starts"], b"0")


def test_a_full_flash_is_logged_and_keeps_no_node_from_what_follows():
    logged = slept(Board(takes=False), lent)
    assert logged[0].startswith("! start not proved: OSError") and "28" in logged[0], logged
    equal(logged[1:], ["asleep for 5000 ms", (5_000, 33)])


def test_a_lack_of_memory_is_logged_and_keeps_no_node_from_what_follows():
    logged = slept(Board(), nothing_lent)
    assert logged[0].startswith("! start not proved: MemoryError"), logged
    equal(logged[1:], ["asleep for 5000 ms", (5_000, 33)])
