"""`mote backfill`: live and late readings into PostgreSQL, each once."""

import json
import signal
import sys
import textwrap
import time

from tools import arguments, connection, errors, history, topics

HELP = "write live readings and backlog into PostgreSQL, each reading once"
EXAMPLE = "mote backfill --broker localhost:1883 --database postgresql://grafana@localhost/sensors"

_FILTERS = ("info", "telemetry/+", "event/+", "backlog")
_BATCH_MESSAGES = 200
_BATCH_S = 0.5
_QUIET_S = 0.02  # a broker sends no more before what it sent is acknowledged (Mosquitto: 20 messages)
_PROGRESS_S = 10
_RETRY_S = 1  # a database that restarts is back within seconds
_SESSION = "mote-backfill"


def add_arguments(parser):
    parser.description = textwrap.fill(
        HELP + ". The broker keeps a session for it, and in it what comes while it is away or the database is: as many "
        "messages as the broker keeps (Mosquitto: max_queued_messages, 1000 by default, and with persistence through "
        "its own restart). A message is acknowledged when its readings are committed, so that none is lost however it "
        "ends. It makes its tables (mote_readings, in a hypertable where TimescaleDB is) and the view mote_values for "
        "Grafana: time, metric, value.", 100)
    connection.add_connection_options(parser)
    parser.add_argument("--database", required=True, metavar="CONNINFO",
                        help="postgresql://USER@HOST/NAME, or host=... dbname=...; the password comes from PGPASSWORD "
                             "or ~/.pgpass")
    parser.add_argument("--session", default=_SESSION, metavar="NAME",
                        help=f"the broker's name for it, one for each database (default {_SESSION})")
    parser.add_argument("--seconds", type=arguments.seconds, metavar="N", help="how long (default: until Ctrl-C)")
    parser.add_argument("--json", action="store_true", help="the sums as one JSON object")


def run(args):
    target = connection.target(args)
    conninfo = _checked(args.database)
    sums = {"readings": 0, "late": 0, "twice": 0, "malformed": 0, "interruptions": 0}
    signal.signal(signal.SIGTERM, _stop)
    with _database(conninfo) as database:
        say("hypertable" if database.prepare() else "plain tables: TimescaleDB is not there")
    with connection.Durable(target, topics.filters(target.base, _FILTERS), args.session, say) as link:
        say(f"subscribed to {target.base} on {target.host}:{target.port}")
        try:
            _follow(link, conninfo, args.seconds, sums)
        except KeyboardInterrupt:
            say("ends")
        sums["interruptions"] = link.interruptions
    print(json.dumps(sums) if args.json else _text(sums), flush=True)
    return errors.DONE


def say(line):
    """Progress, apart from the result."""
    print("backfill:", line, file=sys.stderr, flush=True)


def _stop(*_):
    raise KeyboardInterrupt


def _checked(conninfo):
    """The connection string, without a password in it. Raises UserError."""
    psycopg = history.library()
    try:
        parts = psycopg.conninfo.conninfo_to_dict(conninfo)
    except psycopg.ProgrammingError as error:
        raise errors.UserError(f"--database: {str(error).strip()}") from None
    if "password" in parts:
        raise errors.UserError("no password in --database, where others can read it: set PGPASSWORD, or use ~/.pgpass")
    return conninfo


def _database(conninfo):
    """A History whose database is there. Raises UserError when it is not at the start."""
    psycopg = history.library()
    try:
        with history.History(conninfo):
            return history.History(conninfo)
    except psycopg.OperationalError as error:
        raise errors.UserError(f"the database: {str(error).strip()}", errors.UNREACHABLE) from None


def _follow(link, conninfo, seconds, sums):
    """Write what comes for so many seconds (None: no end); connects again to a database that went away."""
    psycopg = history.library()
    end = None if seconds is None else time.monotonic() + seconds
    waiting = []  # messages that are not committed
    while end is None or time.monotonic() < end:
        try:
            with history.History(conninfo) as database:
                _write_all(link, database, end, waiting, sums)
        except psycopg.OperationalError as error:
            say(f"the database: {str(error).strip()}; trying again")
            time.sleep(_RETRY_S)


def _write_all(link, database, end, waiting, sums):
    said = time.monotonic()
    while end is None or time.monotonic() < end:
        if not waiting:
            waiting += _next_batch(link, end)
        _write(link, database, waiting, sums)
        if time.monotonic() - said >= _PROGRESS_S:
            said = time.monotonic()
            say(_text(sums))


def _next_batch(link, end):
    """Messages that came within a moment; none when nothing came for a while."""
    until = time.monotonic() + _PROGRESS_S
    until = until if end is None else min(end, until)
    first = link.receive(max(0, until - time.monotonic()))
    if first is None:
        return []
    batch = [first]
    for message in link.messages(_BATCH_S, _QUIET_S):
        batch.append(message)
        if len(batch) == _BATCH_MESSAGES:
            break
    return batch


def _write(link, database, messages, sums):
    """Commit the readings of these messages, then let the broker forget them."""
    rows, nodes, malformed = [], {}, 0
    for message in messages:
        more, node, bad = history.rows_of(link.base, message)
        rows += more
        malformed += bad
        if node:
            nodes[node[0]] = node[1]
    new = database.write(rows, nodes.items())
    link.acknowledge(messages)
    messages.clear()
    sums["readings"] += new
    sums["late"] += sum(row[6] for row in rows)
    sums["twice"] += len(rows) - new
    sums["malformed"] += malformed


def _text(sums):
    return (f"{sums['readings']} readings written, {sums['late']} of those that came were late, {sums['twice']} were "
            f"there already" + (f", {sums['malformed']} were none" if sums["malformed"] else ""))
