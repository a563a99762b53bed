"""The count of starts that ended early, and what rescue may rely on."""

import flash
from firmware import config, starts
from minitest import equal
from stage import Board
from store import Store
from test_config import Schemas

BASE = {"mqtt": {"host": "broker.test"}}


def test_a_few_early_ends_in_a_row_call_rescue():
    files = Store(flash.folder())
    equal([starts.count(files) for _ in range(6)], [False, False, False, False, True, True])
    starts.once_more(files)
    equal([starts.count(files), starts.count(files)], [False, True], "after rescue let the node try once more:")


def test_a_start_that_lived_begins_the_count_anew():
    files = Store(flash.folder())
    for _ in range(9):
        for _ in range(4):
            equal(starts.count(files), False)
        starts.survived(files)


def test_surviving_writes_only_what_it_takes_back():
    board = Board(BASE)
    for _ in range(1_000):  # a sleeper's wakes
        starts.survived(board.files)
    equal(board.files.content, {})
    starts.count(board.files)
    starts.survived(board.files)
    before = board.files.content["starts"]
    starts.survived(board.files)
    assert board.files.content["starts"] is before


def test_a_count_that_is_damaged_counts_from_the_beginning():
    root = flash.folder()
    with open(root + "/starts", "wb") as file:
        file.write(b"rubbish")
    equal(starts.count(Store(root)), False)


def test_what_was_proved_is_kept_for_the_same_base_only():
    board = Board(BASE)
    equal(starts.proven(board, config), None)
    starts.prove(board, None)
    equal(starts.proven(board, config), None, "lived, but was never online:")
    starts.prove(board, {"node": {"name": "Attic"}})
    equal(starts.proven(board, config), {"node": {"name": "Attic"}})
    board.config = b'{"mqtt": {"host": "another.test"}}'
    equal(starts.proven(board, config), None, "provisioned anew:")


def test_a_copy_of_config_json_is_kept_with_what_was_proved():
    board = Board(BASE)
    starts.prove(board, {})
    equal(board.files.content["base"], board.config)
    equal(starts.proven(board, config), {})
    board.config = b"damaged"
    equal(starts.proven(board, config), None)
    equal(starts.proven(board, config, True), {}, "the copy stands in:")


def test_what_an_older_firmware_proved_is_read_in_todays_schema():
    board = Board(BASE)
    starts.prove(board, {"telemetry": {"interval_s": 5}})
    with Schemas():
        found = starts.proven(board, config)
        equal(found, {"telemetry": {"interval_s": 10}})
        starts.prove(board, found, config.SCHEMA)
        equal(starts.proven(board, config), found, "and not twice:")


def test_proving_the_same_again_writes_nothing():
    board = Board(BASE)
    starts.prove(board, {"node": {"name": "Attic"}})
    before = board.files.content["good"]
    starts.prove(board, {"node": {"name": "Attic"}})
    assert board.files.content["good"] is before


def test_a_flash_that_is_full_still_counts_starts_and_loses_nothing():
    if flash.vfs is None:
        return  # CPython has no littlefs that could be full
    with flash.mounted(flash.Flash(flash.formatted())):
        files = Store(flash.ROOT)
        files.save("config", b"old" * 300)
        starts.count(files)
        filled = 0
        try:
            while True:
                files.save("junk-%d" % filled, b"j" * 3_000)
                filled += 1
        except OSError as error:
            assert filled and error.args[0] == 28, error
        try:
            files.save("config", b"new" * 300)
            raise AssertionError("the flash is not full")
        except OSError as error:
            equal(error.args[0], 28)
        equal([starts.count(files) for _ in range(2_000)], [False] * 3 + [True] * 1_997)
        equal(files.load("config"), b"old" * 300)


def test_a_flash_that_is_full_ends_no_node():
    board = Board(BASE)
    starts.count(board.files)
    board.files.fails = OSError(28)
    starts.prove(board, {})
    assert "28" in board.said[-1], board.said


def test_the_end_of_a_long_traceback_is_kept():
    if not hasattr(starts.sys, "print_exception"):
        return  # CPython, which runs neither rescue nor what precedes it
    board = Board(BASE)
    equal(starts.crash(board.files), None)
    try:
        raise OSError("x" * 2_000 + "the end")
    except OSError as error:
        starts.remember(board.files, error)
        board.files.fails = error
        starts.remember(board.files, error)
    assert len(starts.crash(board.files)) == 1_000 and starts.crash(board.files).endswith("the end\n")
