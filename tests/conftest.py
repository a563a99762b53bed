"""Two things pytest lacks: coroutine tests, and device tests on MicroPython as items of their own."""

import asyncio
import gc
import inspect
import os
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tools import micropython  # noqa: E402 - needs the root on sys.path, also where nothing is installed

DEVICE = ROOT / "tests" / "device"
_FILE_TIMEOUT_S = 1_800 if os.environ.get("MOTE_SOAK") else 240  # a whole file; the slowest takes seconds
_HEAPS = {"test_wear": "24m"}  # a file whose tests hold a board's whole flash in memory
_RESULT = re.compile(r"^(PASS|FAIL) \w+\.(\w+)$")


def pytest_pyfunc_call(pyfuncitem):
    """Run `async def test_x()` to its end, on a loop of its own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    wanted = inspect.signature(pyfuncitem.obj).parameters
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in wanted}))
    return True


def pytest_collection_finish(session):
    session.modules = {name: module for name, module in sys.modules.items() if name.startswith("firmware.")}
    session.file = None


def pytest_runtest_setup(item):
    """Leave what is held when a file begins out of its collections: nodes collect at every wake, which took minutes."""
    if item.session.file != item.path:
        item.session.file = item.path
        gc.collect()
        gc.freeze()


def pytest_runtest_teardown(item):
    """Bring back the modules that a test has lent: other tests hold them, and would plant their bugs in a stranger."""
    for name, module in item.session.modules.items():
        if sys.modules.get(name) is not module:
            sys.modules[name] = module
            package, _, short = name.rpartition(".")
            setattr(sys.modules[package], short, module)


def pytest_collect_file(file_path, parent):
    """Device tests are collected a second time, for MicroPython (pytest's own collector does CPython)."""
    if DEVICE in file_path.parents and file_path.name.startswith("test_") and file_path.suffix == ".py":
        parent.config.has_device_tests = True
        if micropython.available():
            return MicroPythonFile.from_parent(parent, path=file_path)
    return None


def results(output):
    """Test name -> (passed, what was printed while it ran) of the output of tests/device/run.py."""
    found, said = {}, []
    for line in output.splitlines():
        match = _RESULT.match(line)
        if match:
            found[match[2]] = (match[1] == "PASS", "\n".join(said))
            said = []
        else:
            said.append(line)
    return found, "\n".join(said)


class MicroPythonFile(pytest.File):
    """The tests of one file, run together in one MicroPython process when the first of them is due."""

    outcome = None

    def collect(self):
        status, output = self.run("--list")
        if status:  # the module cannot even be imported there
            raise self.CollectError(output)
        for test in output.split():
            yield MicroPythonItem.from_parent(self, name=test + "[micropython]", test=test)

    def result(self, test):
        """(passed, output) of one test. One that a crash or a hang swallowed has failed."""
        if self.outcome is None:
            status, output = self.run()
            self.outcome = results(output + f"the interpreter ended with status {status}")
        found, rest = self.outcome
        return found.get(test, (False, "it never came to its end; last words:\n" + rest))

    def run(self, *options):
        """Run the file from its sources; return (exit status or None for a hang, all that was printed)."""
        process = subprocess.Popen(
            micropython.command(str(DEVICE / "run.py"), *options, self.path.stem, heap=_HEAPS.get(self.path.stem)),
            cwd=ROOT,
            env=micropython.environment("lib", "tests/device", ".", "build"),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            output = process.communicate(timeout=_FILE_TIMEOUT_S)[0]
            return process.returncode, output
        except subprocess.TimeoutExpired:
            process.kill()
            return None, process.communicate()[0]


class MicroPythonItem(pytest.Item):
    """One device test on MicroPython."""

    def __init__(self, *, test, **kwargs):
        super().__init__(**kwargs)
        self.test = test

    def runtest(self):
        passed, output = self.parent.result(self.test)
        self.add_report_section("call", "MicroPython", output)  # which `pytest -rP` shows: figures
        if not passed:
            pytest.fail(output, pytrace=False)

    def reportinfo(self):
        return self.path, None, self.name


def counts(reports):
    """(tests that ran on CPython, on MicroPython)."""
    ran = {report.nodeid for report in reports if report.when == "call" and report.outcome != "skipped"}
    on_micropython = sum(nodeid.startswith("tests/device/") and nodeid.endswith("[micropython]") for nodeid in ran)
    return len(ran) - on_micropython, on_micropython


def without_interpreter(config):
    """Whether device tests were asked for that nothing here could run on MicroPython."""
    return getattr(config, "has_device_tests", False) and not micropython.available()


def pytest_terminal_summary(terminalreporter, config):
    reports = [report for name in ("passed", "failed") for report in terminalreporter.stats.get(name, [])]
    cpython, on_micropython = counts(reports)
    missing = ", no interpreter for this machine" if without_interpreter(config) else ""
    terminalreporter.line(f"CPython: {cpython} tests, MicroPython: {on_micropython} tests{missing}")


def pytest_sessionfinish(session):
    """CI has to prove both interpreters; elsewhere a missing one is said and passes."""
    if os.environ.get("CI") and without_interpreter(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
