"""`mote doctor` against a real broker, with what dead and living nodes left there."""

import json

import pytest

from tests.host.fake_node import FakeNode
from tools import connection, errors


@pytest.fixture
def doctor(mote, broker, base):
    """Calls `mote doctor`; every test has a prefix of discovery of its own."""
    def call(*argv):
        return mote("doctor", *argv, "--broker", f"127.0.0.1:{broker.port}", "--base", base, "--prefix", base + "-ha")

    return call


@pytest.fixture
def keep(broker, base):
    """Has the broker keep a message; `None` gives what it keeps, topic -> payload."""
    target = connection.Target("127.0.0.1", broker.port, False, None, None, None, base)

    def call(topic=None, payload=b""):
        with connection.Connection(target, [base + "/#", base + "-ha/#"]) as link:
            if topic:
                return link.publish(topic, payload, retain=True)
            return {m.topic: m.payload for m in link.messages(quiet_s=1) if m.retain and m.payload}

    return call


def dead_node(keep, base, name="dead-1", word=b"offline"):
    keep(f"{base}/{name}/status", word)
    keep(f"{base}/{name}/info", b"{}")
    keep(f"{base}/{name}/telemetry/air", b"{}")
    keep(f"{base}-ha/device/{name}/config", b'{"o":{"name":"Mote"},"cmps":{}}')


def test_a_broker_without_trouble(doctor, broker, base):
    with FakeNode(broker.port, base):
        assert doctor()[:2] == (errors.DONE, "Nothing is wrong with what the broker keeps.\n")


def test_a_node_that_is_gone_is_named_with_what_to_type(doctor, keep, base):
    dead_node(keep, base)
    status, said, _ = doctor()
    assert status == errors.FAILED
    assert "dead-1: offline" in said and "mote doctor --clean dead-1" in said


def test_a_device_in_home_assistant_without_a_node_is_found(doctor, keep, base):
    keep(f"{base}-ha/device/ghost-1/config", b'{"o":{"name":"Mote"}}')
    keep(f"{base}-ha/device/zigbee2mqtt_bridge/config", b'{"o":{"name":"Zigbee2MQTT"}}')
    found = json.loads(doctor("--json")[1])["findings"]
    assert [(finding["node"], finding["do"]) for finding in found] == [("ghost-1", "mote doctor --clean ghost-1")]


def test_a_kept_command_and_a_node_in_rescue_are_found(doctor, keep, base):
    dead_node(keep, base, word=b"rescue")
    keep(f"{base}/dead-1/command/restart", b"PRESS")
    found = json.loads(doctor("--json")[1])["findings"]
    assert [finding["what"] for finding in found] == [
        "runs its recovery program", f"a command is kept on {base}/dead-1/command/restart"]
    assert all(finding["why"] and finding["do"] for finding in found)


def test_cleaning_takes_all_of_one_node_and_nothing_of_another(doctor, keep, base):
    dead_node(keep, base)
    dead_node(keep, base, "dead-2")
    before = keep()
    status, said, _ = doctor("--clean", "dead-1", "--json")
    answer = json.loads(said)
    assert status == errors.FAILED, "dead-2 is still there"
    assert answer["cleared"] == sorted(topic for topic in before if "dead-1" in topic) and len(answer["cleared"]) == 4
    assert [finding["node"] for finding in answer["findings"]] == ["dead-2"]
    assert keep() == {topic: payload for topic, payload in before.items() if "dead-2" in topic}
    assert doctor("--clean", "dead-2")[0] == errors.DONE
    assert keep() == {}


@pytest.mark.parametrize("word", ["online", "sleeping", "rescue"])
def test_a_living_node_is_left_alone_and_so_are_the_others_then(doctor, keep, base, word):
    dead_node(keep, base)
    dead_node(keep, base, "alive-1", word.encode())
    before = keep()
    status, _, said = doctor("--clean", "dead-1", "alive-1")
    assert status == errors.FAILED and f"alive-1 is {word}" in said
    assert keep() == before


def test_what_is_no_node_id_is_refused(doctor):
    status, _, said = doctor("--clean", "+")
    assert status == errors.USAGE and "no node id" in said


def test_a_broker_that_is_not_there(mote):
    assert mote("doctor", "--broker", "127.0.0.1:1")[0] == errors.UNREACHABLE
