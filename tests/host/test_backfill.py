"""`mote backfill`, with a real PostgreSQL and a real broker: every reading once, whatever ends it or the database."""

import json
import os
import random
import signal
import threading
import time

import pytest

from tools import brokers, connection, history

from . import postgres

psycopg = pytest.importorskip("psycopg")
pytestmark = pytest.mark.skipif(not postgres.programs() and not os.environ.get("CI"), reason="no PostgreSQL here")

NODE = "esp32-a1b2c3"
LIMIT_S = 60
KILLS = 20


@pytest.fixture(scope="module")
def cluster():
    with postgres.Cluster() as cluster:
        yield cluster


@pytest.fixture
def database(cluster, request):
    return cluster.new_database(f"test_{abs(hash(request.node.nodeid)):x}")


def reading(seq, boot=7, ts=1_795_000_000, **values):
    return {"ts": None if ts is None else ts + seq, "boot": boot, "seq": seq, **(values or {"temperature": 20.5})}


class Publisher:
    """A node's voice."""

    def __init__(self, port, node=NODE, base="mote"):
        self.link = connection.Connection(connection.Target("127.0.0.1", port, False, None, None, None, base))
        self.top = f"{base}/{node}/"

    def __enter__(self):
        self.link.__enter__()
        return self

    def __exit__(self, *_):
        self.link.__exit__()

    def say(self, kind, value, retain=False):
        self.link.publish(self.top + kind, json.dumps(value), retain)


def rows(database, query, *values):
    with psycopg.connect(database) as link:
        return link.execute(query, values).fetchall()


def count(database):
    try:
        return rows(database, "SELECT count(*) FROM mote_readings")[0][0]
    except (psycopg.errors.UndefinedTable, psycopg.OperationalError):
        return -1


def wait(condition, what):
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline, "no " + what
        time.sleep(0.05)


def subscribed(process):
    for line in process.stderr:
        if "subscribed" in line:
            return
    raise AssertionError("the verb ended")


def start(mote_process, broker, database, *options):
    return mote_process("backfill", "--broker", f"127.0.0.1:{broker.port}", "--database", database, *options)


def test_live_late_and_twice(mosquitto, database, mote_process):
    process = start(mote_process, mosquitto, database, "--json")
    subscribed(process)
    with Publisher(mosquitto.port) as node:
        node.say("info", {"name": "Greenhouse", "area": "Garden"}, True)
        for seq in (1, 2, 2, 5):
            node.say("telemetry/air", reading(seq, temperature=20.5, humidity=None, open=1))
        node.say("backlog", [{"sensor": "air", **reading(seq)} for seq in (3, 4, 5)])
        node.say("telemetry/air", reading(1, boot=8, ts=None))
        node.say("event/door", {**reading(6), "event_type": "press"})
        node.say("telemetry/air", {"boot": "7", "seq": 9})
        node.say("telemetry/AIR", reading(10))
        wait(lambda: count(database) >= 7, "seven readings")
        node.say("telemetry/air", reading(1, temperature=20.5))
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(LIMIT_S) == 0
    sums = json.loads(process.stdout.read())
    assert (sums["readings"], sums["late"], sums["twice"], sums["malformed"]) == (7, 3, 3, 2)
    found = rows(database, "SELECT boot, seq, late, extract(epoch from time)::bigint, time_known FROM mote_readings "
                           "ORDER BY boot, seq")
    assert [row[:3] for row in found[:6]] == [
        (7, 1, False), (7, 2, False), (7, 3, True), (7, 4, True), (7, 5, False), (7, 6, False)]
    assert [row[3] for row in found[:6]] == [1_795_000_000 + seq for seq in range(1, 7)]
    assert found[6][:2] == (8, 1) and not found[6][4] and abs(found[6][3] - time.time()) < 60
    values = rows(database, "SELECT metric, area, value FROM mote_values ORDER BY time, metric")
    assert ("Greenhouse air temperature", "Garden", 20.5) in values
    assert ("Greenhouse air open", "Garden", 1.0) in values
    assert not [row for row in values if "humidity" in row[0] or "event_type" in row[0]], "no value is no point"


def test_killed_twenty_times_while_draining_it_has_each_reading_once(mosquitto, database, mote_process):
    seed = random.randrange(2**32)
    print("seed", seed)
    chance = random.Random(seed)
    sent, over = [], threading.Event()

    def drain():
        """Live readings and batches of backlog, some of them twice, until told to stop."""
        with Publisher(mosquitto.port) as node:
            seq, earlier = 0, []
            while not over.is_set():
                batch = list(range(seq + 1, seq + 9))
                seq += 9
                message = [{"sensor": "air", **reading(number, boot=6)} for number in batch]
                node.say("backlog", message)
                earlier.append(message)
                if chance.random() < 0.2:
                    node.say("backlog", chance.choice(earlier))  # its PUBACK was lost
                node.say("telemetry/air", reading(seq, boot=7))
                sent.extend([(6, number) for number in batch] + [(7, seq)])
                time.sleep(0.02)

    first = start(mote_process, mosquitto, database)
    subscribed(first)  # from here on the broker keeps what comes
    node = threading.Thread(target=drain)
    node.start()
    try:
        process, killed_at = first, []
        for _ in range(KILLS):
            before = count(database)
            wait(lambda: count(database) > before + chance.randrange(60), "progress")  # noqa: B023 - called at once
            process.kill()
            process.wait(LIMIT_S)
            killed_at.append(count(database))
            process = start(mote_process, mosquitto, database)
    finally:
        over.set()
        node.join(LIMIT_S)
    assert killed_at == sorted(set(killed_at)), "progress between any two kills"
    wait(lambda: count(database) >= len(sent), "all readings")
    found = rows(database, "SELECT boot, seq FROM mote_readings ORDER BY 1, 2")
    assert found == sorted(sent)
    print(f"{KILLS} kills, {len(sent)} readings, each once")


def test_a_database_that_goes_away_is_waited_for(mosquitto, database, cluster, mote_process):
    process = start(mote_process, mosquitto, database, "--json")
    subscribed(process)
    with Publisher(mosquitto.port) as node:
        node.say("telemetry/air", reading(1))
        wait(lambda: count(database) == 1, "the first reading")
        cluster.kill()
        for seq in (2, 3):
            node.say("telemetry/air", reading(seq))
        time.sleep(1.5)
        cluster.start()
        node.say("telemetry/air", reading(4))
        wait(lambda: count(database) == 4, "what came while it was away")
    process.send_signal(signal.SIGTERM)
    assert process.wait(LIMIT_S) == 0


def test_what_comes_while_it_is_away_is_kept_by_the_broker(mosquitto, database, mote):
    arguments = ("backfill", "--broker", f"127.0.0.1:{mosquitto.port}", "--database", database, "--json")
    status, out, _ = mote(*arguments, "--seconds", "0.2")
    assert (status, json.loads(out)["readings"]) == (0, 0)
    with Publisher(mosquitto.port) as node:
        for seq in range(50):
            node.say("telemetry/air", reading(seq))
    status, out, _ = mote(*arguments, "--seconds", "2")
    assert (status, json.loads(out)["readings"]) == (0, 50)
    status, out, _ = mote(*arguments, "--seconds", "0.5")
    assert json.loads(out)["readings"] + json.loads(out)["twice"] == 0, "and sent once"


def test_readings_go_into_a_hypertable_where_timescaledb_is(database):
    with psycopg.connect(database) as link:
        link.execute("CREATE TABLE calls (name text, column_ text)")
        link.execute("CREATE FUNCTION create_hypertable(relation regclass, time_column text, if_not_exists boolean, "
                     "migrate_data boolean) RETURNS void LANGUAGE sql AS "
                     "'INSERT INTO calls VALUES ($1::text, $2)'")
    with history.History(database) as it:
        assert it.prepare() and it.prepare()
    assert rows(database, "SELECT DISTINCT * FROM calls") == [("mote_readings", "time")]


def test_two_at_once_make_the_schema_once(database):
    problems = []

    def prepare():
        try:
            with history.History(database) as it:
                it.prepare()
        except psycopg.Error as error:
            problems.append(error)

    threads = [threading.Thread(target=prepare) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT_S)
    assert not problems and count(database) == 0


def test_a_database_that_is_not_there_is_said(mote):
    port = brokers.free_ports(1)[0]
    status, _, err = mote("backfill", "--database", f"postgresql://mote@127.0.0.1:{port}/x")
    assert status == 3 and "the database" in err


@pytest.mark.parametrize("conninfo, text", [
    ("postgresql://mote:secret@localhost/x", "PGPASSWORD"), ("host=a password=secret", "PGPASSWORD"),
    ("nonsense", "--database")])
def test_a_connection_string_is_checked(mote, conninfo, text):
    status, _, err = mote("backfill", "--database", conninfo)
    assert status == 2 and text in err and "secret" not in err


@pytest.mark.parametrize("kind, payload", [
    ("telemetry/air", b"nonsense"), ("telemetry/air", b"[1]"), ("telemetry/air", b'{"boot":1}'),
    ("telemetry/air", b'{"boot":1,"seq":-1,"ts":1}'), ("telemetry/air", b'{"boot":1,"seq":true,"ts":1}'),
    ("telemetry/air", b'{"boot":1,"seq":99999999999999999999,"ts":1}'),
    ("telemetry/air", b'{"boot":1,"seq":1,"ts":1e300}'), ("telemetry/air", b'{"boot":1,"seq":1,"ts":"now"}'),
    ("telemetry/air", b'{"boot":1,"seq":1,"ts":1,"t":"a\\u0000b"}'), ("telemetry/air", b'{"boot":1,"seq":1,"T":1}'),
    ("telemetry/air", b'{"boot":1,"seq":1,"ts":1,"t":[1]}'), ("telemetry/air", b'{"boot":1,"seq":1,"ts":NaN}'),
    ("backlog", b'{"boot":1,"seq":1}'), ("backlog", b'[{"boot":1,"seq":1}]'), ("info", b"[]"),
    ("info", b'{"name":"a\\u0000"}')])
def test_what_is_no_reading_is_counted_and_never_written(kind, payload):
    message = connection.Message(1.0, f"mote/{NODE}/{kind}", payload, False)
    assert history.rows_of("mote", message) == ([], None, 1)
