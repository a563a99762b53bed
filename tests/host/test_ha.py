"""`mote ha migrate` against a real broker; what a real Home Assistant makes of it is in tests/home_assistant."""

import json
import threading

import pytest

from tools import connection, errors, migration
from tools.verbs import ha

DOCUMENT = {"dev": {"ids": ["n-1"], "name": "N"}, "o": {"name": "Mote"}, "cmps": {
    "air_temperature": {"p": "sensor", "uniq_id": "n-1_air_temperature"},
    "air_humidity": {"p": "sensor", "uniq_id": "n-1_air_humidity"},
    "old": {"p": "sensor"}}}
SAME = {"unique_id": "n-1_air_temperature", "state_topic": "x"}


@pytest.fixture
def prefix(base):
    return base + "-ha"


@pytest.fixture
def link(broker, base, prefix):
    target = connection.Target("127.0.0.1", broker.port, False, None, None, None, base)
    with connection.Connection(target, [prefix + "/#"]) as link:
        yield link


@pytest.fixture
def migrate(mote, broker, prefix, monkeypatch):
    monkeypatch.setattr(ha, "_STEP_S", 0)  # nobody here takes time
    monkeypatch.setattr(ha, "_KEPT_S", 0.5)

    def call(*more):
        status, said, error = mote("ha", "migrate", "n-1", "--broker", f"127.0.0.1:{broker.port}", "--prefix", prefix,
                                   "--json", "--wait", "5", *more)
        return status, json.loads(said) if said else error

    return call


def put(link, topic, value):
    link.publish(topic, json.dumps(value).encode() if value else b"", retain=True)


def seen(link):
    """(topic, payload, retain) of all that came, in order."""
    return [(message.topic, message.payload) for message in link.messages(quiet_s=0.5)]


def test_entities_move_in_the_order_that_home_assistant_needs(link, migrate, prefix):
    put(link, f"{prefix}/sensor/n-1/air_temperature/config", SAME)
    put(link, f"{prefix}/device/n-1/config", DOCUMENT)
    seen(link)
    status, told = migrate()
    topic = f"{prefix}/sensor/n-1/air_temperature/config"
    assert (status, told) == (errors.DONE, {"migrated": [topic], "cleared": [], "left": []})
    assert seen(link) == [(topic, migration.MIGRATE), (f"{prefix}/device/n-1/config", json.dumps(DOCUMENT).encode()),
                          (topic, b"")]


def test_what_cannot_keep_its_id_is_left_unless_it_is_to_go(link, migrate, prefix):
    put(link, f"{prefix}/device/n-1/config", DOCUMENT)
    put(link, f"{prefix}/sensor/n-1/air_humidity/config", {"uniq_id": "another"})
    put(link, f"{prefix}/binary_sensor/n-1/air_temperature/config", {"uniq_id": "n-1_air_temperature"})
    put(link, f"{prefix}/sensor/n-1/old/config", {"uniq_id": "n-1_old"})
    seen(link)
    status, told = migrate()
    assert (status, told["migrated"], len(told["left"])) == (errors.FAILED, [], 3)
    assert "its unique id was another" in str(told["left"]) and "no such entity" in str(told["left"])
    assert [payload for _, payload in seen(link)] == [json.dumps(DOCUMENT).encode()]
    status, told = migrate("--clear-others")
    assert (status, len(told["cleared"]), told["left"]) == (errors.DONE, 3, [])


def test_a_node_that_is_still_to_come_is_waited_for(link, migrate, prefix):
    put(link, f"{prefix}/sensor/n-1/air_temperature/config", SAME)
    put(link, f"{prefix}/sensor/n-1/lost/config", {"uniq_id": "n-1_lost"})
    seen(link)

    def start():
        link.wait_for(lambda message: message.payload == migration.MIGRATE, 10)
        put(link, f"{prefix}/device/n-1/config", DOCUMENT)

    node = threading.Thread(target=start)
    node.start()
    status, told = migrate()
    node.join()
    assert (status, len(told["migrated"]), len(told["left"])) == (errors.FAILED, 1, 1)
    assert (f"{prefix}/sensor/n-1/lost/config", b'{"uniq_id": "n-1_lost"}') in seen(link), "put back"


def test_a_node_that_never_comes_loses_nothing(link, migrate, prefix):
    put(link, f"{prefix}/sensor/n-1/air_temperature/config", SAME)
    seen(link)
    status, error = migrate("--wait", "1")
    assert status == errors.UNREACHABLE and "nothing was cleared" in error
    topic = f"{prefix}/sensor/n-1/air_temperature/config"
    assert seen(link) == [(topic, migration.MIGRATE), (topic, json.dumps(SAME).encode())], "as it was"


def test_there_may_be_nothing_to_move(migrate, mote):
    assert migrate() == (errors.DONE, {"migrated": [], "cleared": [], "left": []})
    assert mote("ha")[0] == errors.USAGE


def test_backfill_says_what_is_missing(mote, broker, tmp_path, monkeypatch):
    arguments = ("--broker", f"127.0.0.1:{broker.port}", "--state", tmp_path / "waiting.json", "--seconds", "1")
    monkeypatch.delenv("MOTE_HA_TOKEN", raising=False)
    status, _, error = mote("ha", "backfill", *arguments)
    assert status == errors.USAGE and "MOTE_HA_TOKEN" in error
    monkeypatch.setenv("MOTE_HA_TOKEN", "secret-token")
    status, _, error = mote("ha", "backfill", *arguments, "--url", "http://127.0.0.1:9")
    assert status == errors.UNREACHABLE and "no Home Assistant" in error and "secret-token" not in error
    assert mote("ha", "backfill", *arguments, "--url", "127.0.0.1")[0] == errors.USAGE
    (tmp_path / "waiting.json").write_text("{")
    status, _, error = mote("ha", "backfill", *arguments, "--url", "http://127.0.0.1:9")
    assert status == errors.USAGE and "waiting.json" in error
