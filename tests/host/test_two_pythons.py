"""The machinery that runs device tests on MicroPython: no result is lost, and a missing interpreter is said."""

import os
import subprocess
import sys

import pytest

from tests import conftest
from tools import ROOT, micropython

PLANTED = """
import asyncio
from minitest import equal, near, raises

def test_equal():
    equal(1, 1)

def test_unequal():
    equal([1], [2], "list")

async def test_async_fails():
    await asyncio.sleep(0)
    raise OSError(5)

def test_nothing_raised():
    with raises(OSError):
        near(1.0, 1.1, 0.2)

def test_other_raised():
    with raises(OSError):
        raise ValueError("other")
"""
FAILING = {"test_unequal": "list found [1], expected [2]", "test_async_fails": "OSError",
           "test_nothing_raised": "nothing was raised", "test_other_raised": "ValueError: other"}

needs_micropython = pytest.mark.skipif(not micropython.available(), reason="no interpreter for this machine")


def run(command, environment):
    return subprocess.run(command, env=environment, cwd=ROOT, timeout=60, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


@pytest.mark.parametrize("interpreter", ["cpython", pytest.param("micropython", marks=needs_micropython)])
def test_the_runner_tells_every_result_and_why(tmp_path, interpreter):
    (tmp_path / "test_planted.py").write_text(PLANTED)
    argv = ["tests/device/run.py", "test_planted"]
    if interpreter == "micropython":
        done = run(micropython.command(*argv), micropython.environment(str(tmp_path), "tests/device"))
    else:
        done = run([sys.executable, *argv], {**os.environ, "PYTHONPATH": f"{tmp_path}:tests/device"})
    assert done.returncode == 1
    found, rest = conftest.results(done.stdout)
    assert rest == ""
    assert {name for name, (passed, _) in found.items() if passed} == {"test_equal"}
    assert {name: words for name, words in FAILING.items() if words not in found[name][1]} == {}


def test_words_of_a_test_that_never_ended_are_kept_for_it():
    assert conftest.results("PASS a.test_x\nboom\nlast") == ({"test_x": (True, "")}, "boom\nlast")


@pytest.mark.parametrize("ci, status", [("", 0), ("true", 1)])
def test_a_missing_interpreter_is_said_and_fails_in_ci_only(ci, status):
    hidden = ("import sys; sys.modules['micropython_unix'] = None; import pytest; "
              "sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider', 'tests/device/test_sntp.py']))")
    done = run([sys.executable, "-c", hidden], {**os.environ, "CI": ci})
    assert "MicroPython: 0 tests, no interpreter for this machine" in done.stdout
    assert done.returncode == status, done.stdout
