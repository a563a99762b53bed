"""All that one test needs: a broker, a proxy before it, an auditor behind it, and nodes of one interpreter."""

import contextlib
import tempfile

from . import audit, nodes
from .auditor import Auditor
from .brokers import Broker
from .proxy import Proxy


class World:
    """`with World("cpython", "mosquitto") as world:`; the promises that hold in every test are checked at its end."""

    def __init__(self, interpreter, engine):
        self.interpreter = interpreter
        self.engine = engine
        self.said = []
        self._nodes = []
        self._stack = contextlib.ExitStack()

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self.folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="mote-test-"))
            self.broker = stack.enter_context(Broker(self.engine, self.folder))
            self.proxy = stack.enter_context(Proxy(self.broker.port))
            self.auditor = stack.enter_context(Auditor(self.broker.port))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind, *_):
        with self._stack:
            surprises = [node.id for node in self._nodes if not node.as_wanted()]
            for node in self._nodes:
                node.end()
                self.say(f"--- log of {node.id} ({self.interpreter})\n{node.log()}")
            if kind is None:
                self._check_promises(surprises)

    def say(self, text):
        """Print when the test's result is shown; tests run beside one another, so not at once."""
        self.said.append(text)

    def start_node(self, port, options=(), **sections):
        """Start a node on a port of the broker or the proxy, with these sections over nodes.configuration."""
        config = self.configuration(port, **sections)
        return self.adopt(nodes.Node(self.folder, config, self.interpreter, *options)).start()

    configuration = staticmethod(nodes.configuration)

    def adopt(self, node):
        """Watch over a node that is not started yet, and end it."""
        self._nodes.append(node)
        return node

    def keep(self, manager):
        """Enter a context manager until the test ends; returns what it gives."""
        return self._stack.enter_context(manager)

    def _check_promises(self, surprises):
        """Raise AssertionError with every promise that was broken, whatever the test was about."""
        messages, logs = self.auditor.messages, {node.id: node.log() for node in self._nodes}
        found = {
            "ended, and nobody had asked": surprises,
            "exceptions": [name for name, log in logs.items() if "Traceback" in log],
            "counters that do not add up": audit.accounting_errors(messages),
            "backlog that is not oldest first": audit.unordered_backlogs(messages),
            "secrets in topics": [m.topic for m in messages if nodes.PASSWORD.encode() in m.payload],
            "secrets in logs": [name for name, log in logs.items() if nodes.PASSWORD in log],
        }
        broken = {promise: cases for promise, cases in found.items() if cases}
        assert not broken, broken
