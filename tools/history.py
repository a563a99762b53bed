"""Readings in PostgreSQL: the schema, and what goes into it, each reading once however often it comes.

A reading is known by (node, boot, seq). `mote_keys` has these and nothing else, since a hypertable of TimescaleDB can
hold no such key without the time in it; both tables are written in one transaction.
"""

import datetime
import json
import re

from tools import errors, topics

SCHEMA = """
CREATE TABLE IF NOT EXISTS mote_keys (
    node text NOT NULL,
    boot bigint NOT NULL,
    seq bigint NOT NULL,
    PRIMARY KEY (node, boot, seq)
);
CREATE TABLE IF NOT EXISTS mote_readings (
    time timestamptz NOT NULL,
    node text NOT NULL,
    sensor text NOT NULL,
    boot bigint NOT NULL,
    seq bigint NOT NULL,
    quantities jsonb NOT NULL,
    late boolean NOT NULL,
    time_known boolean NOT NULL,
    received timestamptz NOT NULL
);
COMMENT ON COLUMN mote_readings.late IS 'it waited in the node, and came as backlog';
COMMENT ON COLUMN mote_readings.time_known IS 'false: the clock of the node was not set, time is that of arrival';
CREATE INDEX IF NOT EXISTS mote_readings_by_sensor ON mote_readings (node, sensor, time DESC);
CREATE TABLE IF NOT EXISTS mote_nodes (
    node text PRIMARY KEY,
    name text,
    area text,
    info jsonb NOT NULL
);
CREATE OR REPLACE VIEW mote_values AS
    SELECT r.time, r.node, coalesce(n.name, r.node) AS name, n.area, r.sensor, q.key AS quantity,
           concat_ws(' ', coalesce(n.name, r.node), r.sensor, q.key) AS metric, (q.value #>> '{}')::float8 AS value
    FROM mote_readings r
    LEFT JOIN mote_nodes n ON n.node = r.node
    CROSS JOIN LATERAL jsonb_each(r.quantities) q
    WHERE jsonb_typeof(q.value) = 'number';
"""
# TimescaleDB is there when its function is.
_HYPERTABLE = "SELECT create_hypertable('mote_readings', 'time', if_not_exists => true, migrate_data => true)"
_HAS_HYPERTABLES = "SELECT count(*) FROM pg_proc WHERE proname = 'create_hypertable'"
_LOCK = "SELECT pg_advisory_xact_lock(7041776)"  # two that make the schema at once would trip over one another
_ROW = "(%s, %s, %s, %s, %s, %s::jsonb, %s, %s, %s)"
# What is new among the rows, by the keys that were not there; a row that comes twice in one batch counts once.
_INSERT = """
WITH given (time, node, sensor, boot, seq, quantities, late, time_known, received) AS (
    SELECT DISTINCT ON (node, boot, seq) * FROM (VALUES {rows})
        AS v (time, node, sensor, boot, seq, quantities, late, time_known, received)
    ORDER BY node, boot, seq
), new AS (
    INSERT INTO mote_keys SELECT node, boot, seq FROM given ON CONFLICT DO NOTHING RETURNING node, boot, seq
)
INSERT INTO mote_readings SELECT given.* FROM given JOIN new USING (node, boot, seq)
"""
_NODE = """
INSERT INTO mote_nodes VALUES (%s, %s, %s, %s)
ON CONFLICT (node) DO UPDATE SET name = excluded.name, area = excluded.area, info = excluded.info
"""
_SENSOR = re.compile(r"[a-z][a-z0-9_]{0,15}")
_RESERVED = ("sensor", "ts", "boot", "seq")
_NUMBER_BELOW = 2**53
_TIME_BELOW_S = 2**33  # the year 2242
_MOST_QUANTITIES = 64
_TEXT_CHARS = 64


def library():
    """The module psycopg. Raises UserError when it is not installed."""
    try:
        import psycopg
    except ImportError:
        raise errors.UserError("this needs psycopg: pip install 'psycopg[binary]'") from None
    return psycopg


def rows_of(base, message):
    """(rows, node to update or None, readings that are none) of a message of a node."""
    node, kind, below = topics.split(base, message.topic) or (None, None, None)
    if node is None or kind not in ("telemetry", "event", "backlog", "info"):
        return [], None, 0
    try:
        value = topics.decode(message.payload)
    except ValueError:
        return [], None, 1
    if kind == "info":
        good = isinstance(value, dict) and "\\u0000" not in json.dumps(value)
        return [], (node, value) if good else None, 0 if good else 1
    late = kind == "backlog"
    readings = value if late and isinstance(value, list) else [value]
    rows = [_row(node, below, reading, late, message.t) for reading in readings]
    good = [row for row in rows if row]
    return good, None, len(rows) - len(good)


def _row(node, sensor, reading, late, received_s):
    """A reading as a row of mote_readings; None when it is not of the form that nodes use."""
    if not isinstance(reading, dict):
        return None
    sensor = reading.get("sensor") if late else sensor
    boot, seq, ts = reading.get("boot"), reading.get("seq"), reading.get("ts")
    quantities = {key: value for key, value in reading.items() if key not in _RESERVED}
    good = (isinstance(sensor, str) and _SENSOR.fullmatch(sensor) and _is_count(boot) and _is_count(seq)
            and (ts is None or _is_number(ts) and 0 <= ts < _TIME_BELOW_S)
            and len(quantities) <= _MOST_QUANTITIES
            and all(_SENSOR.fullmatch(key) and _is_value(value) for key, value in quantities.items()))
    if not good:
        return None
    received = _time(received_s)
    time = received if ts is None else _time(ts)
    return time, node, sensor, boot, seq, json.dumps(quantities), late, ts is not None, received


def _is_count(value):
    return type(value) is int and 0 <= value < _NUMBER_BELOW


def _is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300


def _is_value(value):
    return value is None or _is_number(value) or (
        isinstance(value, str) and len(value) <= _TEXT_CHARS and value.isprintable())


def _time(unix_s):
    return datetime.datetime.fromtimestamp(unix_s, datetime.timezone.utc)


class History:
    """A connection to the database `conninfo` as a context manager. Everything raises psycopg.Error."""

    def __init__(self, conninfo):
        self._psycopg = library()
        self._conninfo = conninfo
        self._connection = None

    def __enter__(self):
        self._connection = self._psycopg.connect(self._conninfo, connect_timeout=10, application_name="mote backfill")
        return self

    def __exit__(self, *_):
        self._connection.close()

    def prepare(self):
        """Make what is not there yet; True when readings are in a hypertable."""
        with self._connection.transaction(), self._connection.cursor() as cursor:
            cursor.execute(_LOCK)
            cursor.execute(SCHEMA)
            hyper = bool(cursor.execute(_HAS_HYPERTABLES).fetchone()[0])
            if hyper:
                cursor.execute(_HYPERTABLE)
        return hyper

    def write(self, rows, nodes):
        """Write rows and nodes in one transaction; returns how many of the rows were new."""
        new = 0
        with self._connection.transaction(), self._connection.cursor() as cursor:
            for node, info in nodes:
                cursor.execute(_NODE, (node, _text(info.get("name")), _text(info.get("area")), json.dumps(info)))
            if rows:
                statement = _INSERT.format(rows=", ".join([_ROW] * len(rows)))
                new = cursor.execute(statement, [value for row in rows for value in row]).rowcount
        return new


def _text(value):
    return value if isinstance(value, str) else None
