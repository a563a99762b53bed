"""What MQTT clients make of a server that fails: `mote bench faults`. Each pair of client and fault is a process.

The application is the same for all: twenty readings, one at a time, each sent again over a new client after any error
or refusal that the client tells of. So "20/20" says that an application can be safe on this client, "hangs" that none
can without a watchdog of its own.
"""

import ast
import asyncio
import collections
import concurrent.futures
import json
import subprocess

from tools import bench_mqtt, fault_server, micropython

READINGS = 20
LIMIT_S = 40  # for a run that is over in one or two seconds without its fault, 16 of them idle in one
OURS = "mote"
_PAUSE_S = 1  # of the application, before it makes a new client
_ANSWER_S = 8  # our client's deadline for an answer
_SILENCE_S = _PAUSE_S + 1.1 * _ANSWER_S
# Until our client is connected again; after a dead broker's return within a second beyond the pause. While idle it
# pings after half the keepalive, of 10 s.
_IN_TIME_S = {
    "broker dies, back after 4 s": fault_server.AWAY_S + _PAUSE_S + 1,
    "silent during a publish": _SILENCE_S, "half open: neither reads nor answers": _SILENCE_S,
    "one PUBACK lost": _SILENCE_S, "silent while idle": _SILENCE_S + 5,
}
_AT_ONCE = 16  # processes; nearly all of them wait
_HEAP = "1m"

# `told` are the errors that the application saw; `cut` messages that it was given although they never came whole.
Cell = collections.namedtuple("Cell", "acknowledged repeated reconnected_s back_s finished told cut")


def subjects(names=None, told=print):
    """The clients of the comparison, and chumicro once more with the clean session that is its default."""
    found = []
    for subject in bench_mqtt.subjects(names, told):
        if subject.name != "floor":
            found.append(subject._replace(adapter=subject.adapter.replace("client_", "app_")))
        if subject.name == "chumicro":
            found.append(subject._replace(name="chumicro, clean", adapter="app_chumicro_clean"))
    return found


def measure(found, faults, progress):
    """fault -> client -> Cell."""
    return asyncio.run(_measure(found, faults, progress))


async def _measure(found, faults, progress):
    left = [len(found) * len(faults)]

    async def one(pool, fault, subject):
        async with fault_server.FaultServer(fault) as server:
            arguments = (subject.adapter, fault_server.HOST, server.port, fault_server.idle_s(fault))
            said, ended = await asyncio.get_running_loop().run_in_executor(pool, _application, subject, arguments)
            outcome = server.outcome()
        left[0] -= 1
        progress(f"{left[0]} runs to go")
        return cell_of(outcome, [event for event in map(_event, said.splitlines()) if event], ended)

    with concurrent.futures.ThreadPoolExecutor(_AT_ONCE) as pool:
        cells = iter(await asyncio.gather(*(one(pool, fault, subject) for fault in faults for subject in found)))
    return {fault: {subject.name: next(cells) for subject in found} for fault in faults}


def _application(subject, arguments):
    """(what it printed, whether it ended by itself within LIMIT_S)."""
    command = micropython.command("-m", "faults", *map(str, arguments), heap=_HEAP)
    try:
        done = subprocess.run(command, env=bench_mqtt.environment(subject), stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=LIMIT_S)
        return done.stdout.decode(errors="replace"), True
    except subprocess.TimeoutExpired as late:
        return (late.stdout or b"").decode(errors="replace"), False


def _event(line):
    """An event of tools/benches/clients/faults.py, None for whatever else a client prints."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "event" in event else None


def cell_of(outcome, events, ended):
    """What a run came to, from what the server counted and the application noted."""
    told = [event["detail"] for event in events if event["event"] == "failed"]
    messages = [(ast.literal_eval(topic), size) for topic, size in
                (event["detail"] for event in events if event["event"] == "message")]
    whole = [(topic, len(payload)) for topic, payload in fault_server.MESSAGES]
    finished = ended and any(event["event"] == "done" for event in events)
    return Cell(*outcome, finished, told, sum(message not in whole for message in messages))


def words(cell):
    """A cell of the table in few words: seconds until the reading of the fault was acknowledged, or how it ended."""
    text = "" if cell.acknowledged == READINGS and cell.finished else f"{cell.acknowledged}/{READINGS} "
    if not cell.finished:
        text += "hangs" if not cell.told else "stuck"
    elif cell.back_s is None:
        text += "never"
    else:
        text += "good" if cell.reconnected_s is None and cell.back_s < 1 else f"{cell.back_s:.1f} s"
    return text + (", cut" if cell.cut else "")


LEGEND = """
  Seconds until the reading of the fault was acknowledged, 1.0 of them the application's pause before it
  connects again. good: no connection was lost over it. hangs: for good, with nothing told. stuck: it told,
  and did not get through. cut: the application was handed a message that never came whole.
  Keepalive 10 s. mote is to notice silence within 1.1 times its deadline for an answer, of 8 s."""


def verdicts(cells_of_ours):
    """What our client is to reach, fault -> whether it does: all readings, in time."""
    return {fault: cell.acknowledged == READINGS and cell.finished and not cell.cut
            and (fault not in _IN_TIME_S or cell.reconnected_s <= _IN_TIME_S[fault])
            for fault, cell in cells_of_ours.items()}


def table(rows):
    """The cells as text: a line per fault, a column per client, then whether ours is as it should be."""
    names = list(next(iter(rows.values())))
    ours = verdicts({fault: cells[OURS] for fault, cells in rows.items() if OURS in cells})
    lines = [_line("", [name.removeprefix("umqtt.") for name in names], "")]
    for fault, cells in rows.items():
        verdict = {True: "mote: reached", False: "mote: MISSED", None: ""}[ours.get(fault)]
        lines.append(_line(fault, [words(cells[name]) for name in names], verdict))
    return "\n".join(lines)


def _line(label, cells, words):
    return ("".join([f"{label:38}", *(f"{cell:>16}" for cell in cells)]) + "  " + words).rstrip()
