"""One broker and one Home Assistant for each release that is installed; all tests of a release share them, and call
their nodes by names of their own."""

import os
import tempfile

import pytest

from tests.integration.auditor import Auditor
from tests.integration.brokers import Broker, mosquitto_path
from tests.integration.nodes import Node, configuration
from tools import micropython

from . import install
from .houses import House

FORGET_LIMIT_S = 30


class Home:
    """A household: `broker`, `house` and `auditor`, and the nodes that a test starts."""

    def __init__(self, folder, broker, house, auditor):
        self.folder, self.broker, self.house, self.auditor = folder, broker, house, auditor
        self.nodes = []

    def start(self, name, interpreter="cpython", **sections):
        """Start a node called `name`, its sections over a quick configuration."""
        sections.setdefault("node", {}).update(id=name)
        sections["node"].setdefault("name", name.replace("-", " ").title())
        if interpreter == "micropython" and not micropython.available():
            interpreter = "cpython"
        node = Node(self.folder, configuration(self.broker.port, **sections), interpreter)
        self.nodes.append(node)
        return node.start()

    def end_nodes(self):
        """End what the test started, and have Home Assistant forget it."""
        for node in self.nodes:
            node.end()
            self.auditor.publish(f"homeassistant/device/{node.id}/config", b"", retain=True)
            for name in ("status", "info", "config", "update", "config/set"):
                self.auditor.publish(node.topic(name), b"", retain=True)
        self.nodes = []


@pytest.fixture(scope="session", params=install.RELEASES)
def household(request):
    python = install.python_of(request.param)
    if not python or not mosquitto_path():
        pytest.skip("no Home Assistant: `make test-ha` installs it")
    with tempfile.TemporaryDirectory(prefix="mote-home-") as folder:
        os.mkdir(os.path.join(folder, "house"))
        with Broker("mosquitto", folder) as broker, Auditor(broker.port) as auditor, \
                House(python, os.path.join(folder, "house"), broker.port) as house:
            yield Home(folder, broker, house, auditor)


@pytest.fixture
def home(household):
    """The household; at the end of each test Home Assistant must have said no warning and no error."""
    yield household
    problems = household.house.problems()
    household.end_nodes()
    household.house.wait(lambda entities: not entities, FORGET_LIMIT_S, "end of all entities")
    assert problems == []
