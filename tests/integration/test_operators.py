"""Two operators who change a real node at the same moment: one wins, and the other is told. And somebody who sends
again what they had sent."""

import json
import threading

import signed
from tools import connection
from tools.verbs import config as verb

LIMIT_S = 30
ROUNDS = 5
KEY = "5a" * 32


class Operator(threading.Thread):
    """Reads the report, waits for the other one to have read it too, and sends a document of its own."""

    def __init__(self, port, node, number, both_have_read):
        super().__init__()
        self._target = connection.Target("127.0.0.1", port, False, None, None, None, "mote")
        self._node = node
        self._both = both_have_read
        self.patch = {"telemetry": {"diagnostics_s": number}}
        self.outcome = None

    def run(self):
        place = self._node.topic("config")
        with connection.Connection(self._target, [place]) as link:
            report = verb._await_report(link, self._node.id)
            self._both.wait(LIMIT_S)
            self.outcome = verb.send(link, self._node.id, report, self.patch, LIMIT_S, {place})


def test_one_wins_and_the_other_is_told(world):
    node = world.start_node(world.broker.port)
    world.auditor.wait_message(node.topic("telemetry/air"), LIMIT_S)
    for turn in range(ROUNDS):
        both = threading.Barrier(2)
        operators = [Operator(world.broker.port, node, 2 + 2 * turn + number, both) for number in (0, 1)]
        for one in operators:
            one.start()
        for one in operators:
            one.join(2 * LIMIT_S)
        states = sorted(one.outcome.state for one in operators)
        assert states == ["applied", "conflict"], [one.outcome for one in operators]
        winner = next(one for one in operators if one.outcome.state == "applied")
        found = world.auditor.wait_json(node.topic("config"), LIMIT_S, 0, lambda report, wanted=turn + 1: (
            report["revision"] == wanted))
        assert found["patch"] == winner.patch


def test_nothing_that_was_sent_before_or_to_a_neighbour_is_obeyed(world):
    node = world.start_node(world.broker.port, config={"key": KEY})
    world.auditor.wait_message(node.topic("telemetry/air"), LIMIT_S)
    place = node.topic("config/set")

    def document(revision, name, receiver):
        text = json.dumps({"revision": revision, "patch": {"telemetry": {"diagnostics_s": 1 + name % 2}}}).encode()
        return signed.sign(KEY, receiver, "config", text)

    def report(since, state, revision):
        return world.auditor.wait_json(node.topic("config"), LIMIT_S, since, lambda found: (
            found["state"], found["revision"]) == (state, revision))

    sent = [document(number, number, node.id) for number in range(1, ROUNDS + 1)]
    for number, payload in enumerate(sent, 1):
        report(world.auditor.publish(place, payload), "applied", number)
    stored = node.flash()["config"]
    # The last one is what a broker keeps for the node, at each connection; the others, and a neighbour's, are counted.
    for count, payload in enumerate([*sent[:-1], document(ROUNDS + 1, 0, "node-b")], 1):
        since = world.auditor.publish(place, payload)
        world.auditor.wait_json(
            node.topic("diagnostics"), LIMIT_S, since, lambda found, count=count: found["refused"] == count)
    assert node.flash()["config"] == stored
