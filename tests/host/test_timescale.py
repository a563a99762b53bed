"""`mote backfill` with the real extension TimescaleDB: hypertable, chunks, each reading once. Where Node.js is."""

import datetime
import json

import pytest

from tools import connection, errors, history

from . import timescale

psycopg = pytest.importorskip("psycopg")
NODE = "esp32-a1b2c3"
START = datetime.datetime(2026, 9, 1, tzinfo=datetime.timezone.utc)
READINGS = 1_000
EVERY = datetime.timedelta(hours=1)  # six weeks in all
BATCH = 100  # the WebAssembly's socket takes no statement that comes in several pieces of 64 KB


@pytest.fixture(scope="module")
def server():
    problem = timescale.install()
    if problem:
        pytest.skip(f"TimescaleDB: {problem}")
    with timescale.Server() as server:
        yield server


@pytest.fixture
def database(server, monkeypatch):
    monkeypatch.setenv("PGPASSWORD", "any")
    yield server.conninfo
    with psycopg.connect(server.conninfo) as link:
        for table in ("mote_readings", "mote_keys", "mote_nodes"):  # a hypertable is dropped by itself
            link.execute(f"DROP TABLE IF EXISTS {table} CASCADE")


def row(seq):
    time = START + seq * EVERY
    return time, NODE, "air", 7, seq, json.dumps({"temperature": 20.5}), False, True, time


def only(database, query):
    with psycopg.connect(database) as link:
        return link.execute(query).fetchone()


def test_readings_are_in_a_hypertable_of_weeks_and_there_once(database, server):
    print("TimescaleDB", server.version)
    with history.History(database) as it:
        assert it.prepare() and it.prepare()
        written = [it.write([row(seq) for seq in range(at, at + BATCH)], [(NODE, {"name": "Greenhouse"})])
                   for at in range(0, READINGS, BATCH)]
        assert sum(written) == READINGS
        assert it.write([row(seq) for seq in range(0, READINGS, READINGS // BATCH)], []) == 0
    assert only(database, "SELECT hypertable_name FROM timescaledb_information.hypertables") == ("mote_readings",)
    chunks = only(database, "SELECT count(*) FROM timescaledb_information.chunks")
    assert chunks == (7,), "one for each week that has readings"
    assert only(database, "SELECT count(*), count(DISTINCT seq) FROM mote_readings") == (READINGS, READINGS)
    assert only(database, "SELECT count(*), min(metric) FROM mote_values WHERE time >= '2026-09-01'::timestamptz") == (
        READINGS, "Greenhouse air temperature")
    assert only(database, "SELECT count(*) FROM (SELECT time_bucket('1 day', time) FROM mote_values GROUP BY 1) d") == (
        READINGS // 24 + 1,)


def test_a_table_that_is_there_already_becomes_a_hypertable(database):
    with psycopg.connect(database) as link:
        link.execute(history.SCHEMA)
        link.execute("INSERT INTO mote_readings VALUES (now(), 'n', 'air', 1, 1, '{}', false, true, now())")
    with history.History(database) as it:
        assert it.prepare()
    assert only(database, "SELECT count(*) FROM timescaledb_information.chunks") == (1,)


def test_the_verb_writes_what_a_broker_kept_for_it(mosquitto, database, mote):
    arguments = ("backfill", "--broker", f"127.0.0.1:{mosquitto.port}", "--database", database, "--json")
    assert mote(*arguments, "--seconds", "0.2")[0] == errors.DONE
    target = connection.Target("127.0.0.1", mosquitto.port, False, None, None, None, "mote")
    with connection.Connection(target) as node:
        for seq in (1, 2, 2):
            reading = {"ts": 1_795_000_000 + seq, "boot": 7, "seq": seq, "temperature": 20.5}
            node.publish(f"mote/{NODE}/telemetry/air", json.dumps(reading))
    status, out, _ = mote(*arguments, "--seconds", "2")
    assert (status, json.loads(out)["readings"], json.loads(out)["twice"]) == (errors.DONE, 2, 1)
    assert only(database, "SELECT count(*) FROM mote_readings") == (2,)
