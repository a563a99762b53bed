"""Run test modules on the interpreter that runs this: `micropython tests/device/run.py test_a test_b`.

One line per test, which a machine can read: `PASS test_a.test_x` or `FAIL test_a.test_x`, with the traceback
in between. The exit status is 1 when a test failed.
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


def run_module(name):
    """Run every `test_*` of a module, by name; return how many failed."""
    module = __import__(name)
    failed = 0
    for attribute in sorted(dir(module)):
        if attribute.startswith("test_"):
            passed = run_one(getattr(module, attribute))
            print("%s %s.%s" % ("PASS" if passed else "FAIL", name, attribute))
            failed += not passed
    return failed


if __name__ == "__main__":
    sys.exit(1 if sum(run_module(name) for name in sys.argv[1:]) else 0)
