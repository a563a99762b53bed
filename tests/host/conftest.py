"""What tests of verbs share: a real broker, and the verbs as a user calls them."""

import os
import subprocess
import sys

import pytest

from tests.host.virtual import image, virtual  # noqa: F401 - fixtures
from tools import ROOT, __main__, brokers, errors

PROCESS_LIMIT_S = 60


@pytest.fixture(scope="module")
def broker():
    """A broker of the kind that `mote broker` would start here."""
    with brokers.Broker() as broker:
        yield broker


@pytest.fixture
def mosquitto():
    """A broker that keeps sessions: the embedded one does not."""
    try:
        with brokers.Broker("mosquitto") as broker:
            yield broker
    except errors.UserError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


@pytest.fixture
def base(request):
    """A topic base of the test's own, so that what others left with the broker is not met."""
    return f"test-{abs(hash(request.node.nodeid)):x}"


@pytest.fixture
def mote(capsys):
    """Calls a verb within this process; gives (exit status, standard output, standard error)."""
    def call(*argv):
        capsys.readouterr()
        try:
            status = __main__.main([str(word) for word in argv])
        except SystemExit as leaving:  # argparse's way
            status = leaving.code
        return status, *capsys.readouterr()

    return call


@pytest.fixture
def mote_process(tmp_path):
    """Starts a verb as a process of its own, with pipes as its output; ends it after the test, with all its files."""
    started = []

    def start(*argv):
        process = subprocess.Popen(
            [sys.executable, "-m", "tools", *map(str, argv)], cwd=ROOT, text=True,
            env={**os.environ, "TMPDIR": str(tmp_path)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate(timeout=PROCESS_LIMIT_S)
