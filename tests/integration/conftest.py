"""Tests with a `world` mostly wait, for brokers, deadlines and nodes: so several of them run at the same time.

The first such test starts all that were selected, WORKERS at a time, each in a thread with a World of its own; each
test then waits for its own result. What a world says is printed with that. A world that hangs fails its test, by the
test's own timeout, and not the run: nothing waits for its thread for ever.
"""

import concurrent.futures
import importlib.util
import inspect
import os
import queue
import threading

import pytest

from tools import micropython

from . import brokers
from .world import World

WORKERS = 8
LEAVE_LIMIT_S = 60  # for those that still run when the tests were interrupted, to end their brokers and nodes
RUNNING = pytest.StashKey()


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: minutes long; runs when MOTE_SOAK is set")


def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("slow") and not os.environ.get("MOTE_SOAK"):
            item.add_marker(pytest.mark.skip(reason="minutes long: set MOTE_SOAK=1"))


@pytest.fixture(params=["cpython", "micropython"])
def interpreter(request):
    """The Python that runs the node."""
    return request.param


@pytest.fixture
def engine(request):
    """The broker: the one named by the test's parameter, else Mosquitto, else iotcore."""
    return getattr(request, "param", None) or default_engine()


@pytest.fixture
def world(interpreter, engine):
    """A World; the test gets it in its own thread (see above), so this one only asks whether it can be."""
    if missing(interpreter, engine):
        pytest.skip(missing(interpreter, engine))


def default_engine():
    """The broker of tests that do not care which."""
    return "mosquitto" if brokers.mosquitto_path() else "iotcore"


def missing(interpreter, engine):
    """Why a world cannot be, None when it can. In CI a missing broker is a failure, not a skip."""
    if interpreter == "micropython" and not micropython.available():
        return "no MicroPython interpreter for this machine"
    found = brokers.mosquitto_path() if engine == "mosquitto" else importlib.util.find_spec(engine)
    return None if found or os.environ.get("CI") else f"{engine} is not installed"


def parts(item):
    """The interpreter and the broker that a test's parameters name."""
    params = item.callspec.params
    return params["interpreter"], params.get("engine") or default_engine()


def in_its_world(item):
    """Run one test; returns (its error or None, what its world said)."""
    params, world = item.callspec.params, World(*parts(item))
    arguments = {name: params[name] for name in inspect.signature(item.obj).parameters if name != "world"}
    try:
        with world:
            item.obj(world=world, **arguments)
    except BaseException as error:
        return error, world.said
    return None, world.said


def work(jobs):
    """Run what is in the queue until it is empty."""
    while True:
        try:
            item, result = jobs.get_nowait()
        except queue.Empty:
            return
        if result.set_running_or_notify_cancel():
            result.set_result(in_its_world(item))


def end(results):
    """Begin nothing more, and give what runs a while to end."""
    for result in results:
        result.cancel()
    concurrent.futures.wait([result for result in results if result.running()], LEAVE_LIMIT_S)


def start_all(session):
    """Start every selected test that needs a world; returns item -> future."""
    waiting = [item for item in session.items if "world" in getattr(item, "fixturenames", ())
               and not item.get_closest_marker("skip")]
    results = {item: concurrent.futures.Future() for item in waiting if not missing(*parts(item))}
    jobs = queue.SimpleQueue()
    for job in results.items():
        jobs.put(job)
    session.config.add_cleanup(lambda: end(results.values()))
    for _ in range(WORKERS):
        threading.Thread(target=work, args=(jobs,), daemon=True).start()
    return results


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """Wait for the result of a test that runs in a world."""
    if "world" not in pyfuncitem.fixturenames:
        return None
    stash = pyfuncitem.session.stash
    if RUNNING not in stash:
        stash[RUNNING] = start_all(pyfuncitem.session)
    error, said = stash[RUNNING][pyfuncitem].result()
    print("\n".join(said))
    if error:
        raise error
    return True
