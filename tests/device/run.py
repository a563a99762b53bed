"""Run test modules on the interpreter that runs this: `micropython tests/device/run.py test_a test_b`.

One line per test, which a machine can read: `PASS test_a.test_x` or `FAIL test_a.test_x`, with the traceback
in between. The exit status is 1 when a test failed. With `--list` first, only prints the names.
"""

import asyncio
import gc
import sys


def describe(error):
    """Print the traceback of `error` on either Python."""
    if hasattr(sys, "print_exception"):
        sys.print_exception(error)
    else:
        import traceback

        traceback.print_exception(type(error), error, error.__traceback__)


def run_one(test):
    """Run a test, plain or async; return whether it passed."""
    try:
        result = test()
        if hasattr(result, "send"):
            asyncio.run(result)
        return True
    except Exception as error:  # whatever a test raises is its failure, and is shown
        describe(error)
        return False
    finally:
        if hasattr(asyncio, "new_event_loop"):  # on MicroPython tasks of one test would else run in the next
            asyncio.new_event_loop()
        gc.collect()


def tests_of(module):
    """The names of a module's tests, in an order that both Pythons share."""
    return sorted(name for name in dir(module) if name.startswith("test_"))


def run_module(name):
    """Run every test of a module; return how many failed."""
    module = __import__(name)
    failed = 0
    for test in tests_of(module):
        passed = run_one(getattr(module, test))
        print("%s %s.%s" % ("PASS" if passed else "FAIL", name, test))
        failed += not passed
    return failed


def list_module(name):
    """Print the names of a module's tests, one a line."""
    for test in tests_of(__import__(name)):
        print(test)
    return 0


if __name__ == "__main__":
    only_list = sys.argv[1] == "--list"
    work = list_module if only_list else run_module
    sys.exit(1 if sum(work(name) for name in sys.argv[1 + only_list:]) else 0)
