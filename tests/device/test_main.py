"""boot.py and main.py: whatever becomes of the node, the board starts again, and sooner or later as rescue."""

import sys

import retained
from fakes import Module, Swapped
from fakes.chip import Reset
from lending import load
from minitest import equal, raises

_modules = sys.modules
POWER_ON, HARD, WATCHDOG, DEEP_SLEEP, SOFT = 1, 2, 3, 4, 5


class Bench:
    """boot.py and main.py with everything on the board planted: `did` is what happened, in order.

    `early` starts have ended before this one; `cause` as machine.reset_cause() has it; `level`: of the boot button.
    """

    def __init__(self, run=None, cause=POWER_ON, early=0, level=1):
        self.did = []
        self.path = ["", ".frozen", "/lib"]
        self.early = early
        self.folders = ["state"]
        self._run = run
        self._cause = cause
        self._level = level
        self.rtc = b""

    def board(self, root=""):
        """The class Board, of the node and of rescue."""
        return Module(
            feed=lambda: self.did.append("feed"), log=self.did.append, rtc_read=lambda: self.rtc,
            rtc_write=self.write, deep_sleep=self.sleep, read_config=lambda: b"{}",
            files=Module(load=lambda name: None))

    def write(self, data):
        self.rtc = bytes(data)

    def sleep(self, *plan):
        self.did.append(plan)
        raise Reset()

    def node(self, board, fetch):
        """The class firmware.node.Node."""
        return Module(run=self._run)

    def sleeper(self, board, fetch):
        """The class firmware.sleeper.Node."""
        self.did.append("sleeper")
        return Module(run=self._run, rest=(5_000, 33))

    def reset(self):
        self.did.append("reset")
        raise Reset()

    def survived(self, files):
        self.did.append("survived")

    def count(self, files):
        self.did.append("count")
        self.early += 1
        return self.early > 4

    def pin(self, number, mode, pull):
        self.did.append("pin %d" % number)
        return Module(value=lambda: self._level)

    def modules(self):
        """What there is to import."""
        starts = Module(count=self.count, survived=self.survived,
                        remember=lambda files, error: self.did.append("remembered %s" % type(error).__name__))
        return {
            "machine": Module(reset=self.reset, reset_cause=lambda: self._cause, Pin=Pins(self.pin),
                              PWRON_RESET=POWER_ON, DEEPSLEEP_RESET=DEEP_SLEEP, SOFT_RESET=SOFT),
            "starts": starts,
            "store": Module(Store=lambda folder: folder),
            "board": Module(Board=self.board),
            "rescue": Module(main=lambda board: self.did.append("rescue")),
            "firmware.board": Module(Board=self.board),
            "firmware.node": Module(Node=self.node),
            "firmware.sleeper": Module(Node=self.sleeper),
            "firmware.starts": starts,
            "lending": Module(lend=load, load=load),
        }

    def imported(self, name):
        """boot or main, as a module that sees what is planted."""
        sys_ = Module(print_exception=lambda error: self.did.append(type(error)), path=self.path, modules={},
                      implementation=Module(_machine="Generic ESP32C3 module with ESP32C3"))
        time = Module(sleep=lambda seconds: self.did.append("pause"), sleep_ms=lambda ms: None)
        os = Module(listdir=lambda path: self.folders, mkdir=self.folders.append)
        _modules.pop(name, None)
        with Swapped({"sys": sys_, "time": time, "os": os}):
            return __import__(name)

    def main(self):
        """Run main() to the reset that it has to end in."""
        main = self.imported("main")
        with Swapped(self.modules()):
            with raises(Reset):
                main.main()
        return self.did

    def boot(self):
        """Run boot.py's start()."""
        boot = self.imported("boot")
        with Swapped(self.modules()):
            boot.start()
        return self.did


class Pins:
    """The class machine.Pin."""

    IN, PULL_UP = 0, 1

    def __init__(self, make):
        self._make = make

    def __call__(self, *arguments):
        return self._make(*arguments)


async def ends():
    return "restart"


async def falls_asleep():
    return "asleep"


async def fails():
    raise KeyError("a bug")


async def interrupted():
    raise KeyboardInterrupt


def test_a_node_that_ends_is_started_again_and_is_no_boot_loop():
    equal(Bench(ends).main(), ["feed", "node: restart", "survived", "reset"])


def test_a_node_that_sleeps_is_known_by_what_it_has_kept_and_sleeps():
    bench = Bench(falls_asleep)
    retained.save(bench.board(), retained.SLEEP, b"kept")
    equal(bench.main(), ["feed", "sleeper", "node: asleep", "survived", "asleep for 5000 ms", (5_000, 33)])


def test_flash_that_takes_nothing_keeps_no_node_from_its_sleep():
    def survived(files):
        raise OSError(28)

    bench = Bench(falls_asleep)
    bench.survived = survived
    retained.save(bench.board(), retained.SLEEP, b"kept")
    equal(bench.main()[-2:], ["asleep for 5000 ms", (5_000, 33)])
    assert "28" in bench.did[-3], bench.did


def test_a_node_that_fails_is_shown_and_remembered_and_started_again():
    equal(Bench(fails).main(), ["feed", KeyError, "remembered KeyError", "pause", "reset"])


def test_a_board_that_cannot_start_is_shown_and_reset():
    bench = Bench(ends)
    bench.board = None
    equal(bench.main(), [TypeError, "remembered TypeError", "pause", "reset"])


def test_ctrl_c_reaches_the_prompt():
    bench = Bench(interrupted)
    main = bench.imported("main")
    with Swapped(bench.modules()):
        with raises(KeyboardInterrupt):
            main.main()
    equal(bench.did, ["feed"])


def test_boot_counts_every_start_but_wakes_and_soft_ones():
    for cause, did in ((HARD, ["count"]), (WATCHDOG, ["count"]), (DEEP_SLEEP, []), (SOFT, [])):
        equal(Bench(cause=cause).boot(), did, "cause %d:" % cause)
    equal(Bench(cause=POWER_ON).boot(), ["pin 9", "count"])


def test_boot_hands_over_to_rescue_after_a_few_early_ends():
    equal(Bench(cause=HARD, early=3).boot(), ["count"])
    equal(Bench(cause=HARD, early=4).boot(), ["count", "rescue"])
    equal(Bench(cause=DEEP_SLEEP, early=9).boot(), [], "a wake is never rescue's:")


def test_the_boot_button_calls_rescue_at_power_on_only():
    equal(Bench(cause=POWER_ON, level=0).boot(), ["pin 9", "count", "rescue"])
    equal(Bench(cause=HARD, level=0).boot(), ["count"])


def test_flash_that_takes_no_count_leaves_the_boot_button():
    def count(files):
        raise OSError(5)

    for level, after in ((0, ["rescue"]), (1, [])):
        bench = Bench(cause=POWER_ON, level=level)
        bench.count = count
        equal(bench.boot(), ["pin 9", OSError] + after)


def test_what_goes_wrong_at_boot_leaves_the_node_its_chance():
    bench = Bench(cause=HARD, early=4)
    bench.board = None
    equal(bench.boot(), ["count", TypeError])
    bench = Bench(cause=HARD)
    bench.count = None
    equal(bench.boot(), [TypeError])


def test_boot_makes_the_folder_of_the_state_and_looks_for_rescue_where_no_update_writes():
    bench = Bench(cause=HARD)
    bench.folders = ["main.py"]
    bench.boot()
    equal(bench.folders, ["main.py", "/state"])
    equal(bench.path, [".frozen", "/rescue", ""])  # its own first; the node's drivers say what a sensor may be


def test_the_node_is_looked_for_in_the_image_before_the_flash():
    equal(Bench().imported("boot").NODE, (".frozen", "", "/lib"))


def test_a_node_in_read_only_memory_is_found_before_the_one_on_flash():
    bench = Bench()
    bench.path = ["", ".frozen", "/lib", "/rom", "/rom/lib"]  # as MicroPython with ROMFS begins
    equal(bench.imported("boot").NODE, (".frozen", "/rom", "/rom/lib", "", "/lib"))
