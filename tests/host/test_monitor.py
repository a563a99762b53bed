"""`mote monitor`: the log of a node, whatever happens to the cable; tracebacks that lead to the source."""

import ast
import json
import os
import threading
import time

import pytest

from tests.host.fake_node import FakeNode
from tools import ROOT, build, errors, micropython, tracebacks
from tools.board import files, ports, repl
from tools.verbs import monitor

pytestmark = pytest.mark.filterwarnings("ignore:set(Daemon|Name)")
LIMIT_S = 20


def function_line(path, name):
    """(line of the first statement, its text) of a function in a source."""
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        text = file.read()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == name:
            return node.body[-1].lineno, text.splitlines()[node.body[-1].lineno - 1].strip()
    raise LookupError(name)


def test_a_frame_leads_to_file_function_and_line():
    line, text = function_line("firmware/node.py", "run")
    said = f'Traceback (most recent call last):\n  File "firmware.node", line {line}, in symmetric_difference\nVOID: no'
    assert tracebacks.Mapper({"VOID": "ConfigError"}).text(said) == [
        "Traceback (most recent call last):", f'  File "firmware/node.py", line {line}, in run', f"    {text}",
        "ConfigError: no"]


def test_what_is_not_ours_stays_as_it_is():
    said = ["VOID: a line of the log", "link: online", '  File "asyncio/core.py", line 1, in run',
            '  File "firmware.gone", line 3, in f']
    assert tracebacks.Mapper({"VOID": "ConfigError"}).text("\n".join(said)) == said


def test_a_traceback_without_its_beginning_is_led_back_too():
    """What is kept over a reset is the end of it."""
    line, text = function_line("firmware/node.py", "run")
    said = f'ending", line 3, in f\n  File "firmware.node", line {line}, in isdigit\nVOID: no\nVOID: a line of the log'
    mapper = tracebacks.Mapper({"VOID": "ConfigError"})
    assert mapper.text(said) == ['ending", line 3, in f', f'  File "firmware/node.py", line {line}, in run',
                                 f"    {text}", "ConfigError: no", "VOID: a line of the log"]
    assert mapper.brief(said[:-24]) == f"ConfigError: no (firmware/node.py:{line}, in run)"
    assert mapper.brief("") == ""


@pytest.mark.skipif(not micropython.available(), reason="no MicroPython here")
def test_a_real_traceback_of_shrunk_code_is_led_back(tmp_path):
    program = build.script("import sys\nsys.path.pop(0)\nfrom firmware import config\ntry:\n    config.check(7)\n"
                           "except Exception as error:\n    sys.print_exception(error)\n")
    said = micropython.output("-c", program, path=build.path())
    shown = "\n".join(tracebacks.Mapper().text(said))
    assert 'File "firmware/config.py"' in shown and "in check" in shown, said
    assert "for path, value in leaves(document)" in shown


def test_a_cable_pulled_and_plugged_in_again(virtual):
    board = virtual()
    line = board.rfc2217()
    with ports.opened(line.url) as port:
        there = repl.Repl(port, "board")
        there.enter()
        files.write(there, "main.py", b"import time\nwhile True:\n    print('tick')\n    time.sleep(0.1)\n")
    shown = []
    thread = threading.Thread(target=monitor.over_serial, args=(line.url, time.monotonic() + LIMIT_S,
                                                                lambda text, flush: shown.append(text)))
    thread.start()
    begun = time.monotonic()

    def wait_for(text, after=0):
        while not any(text in shown_line for shown_line in shown[after:]):
            assert time.monotonic() - begun < LIMIT_S - 1, shown
            time.sleep(0.02)
        return len(shown)

    mark = wait_for("tick")
    board.pull()
    mark = wait_for("the port is gone", mark - 1)
    board.plug()
    wait_for("the port is back", mark)
    wait_for("tick", mark)
    board.pull()
    board.plug()
    thread.join()


def test_over_mqtt(mote, broker, base):
    with FakeNode(broker.port, base) as node:
        status, said, _ = mote("monitor", node.id, "--seconds", "1",
                               "--broker", f"127.0.0.1:{broker.port}", "--base", base)
    assert status == errors.DONE and "[status] online" in said


def test_a_port_that_was_never_there(mote):
    status, _, said = mote("monitor", "--port", "/dev/ttyNOTHING")
    assert status == errors.UNREACHABLE and "is the board plugged in" in said


@pytest.fixture(scope="module")
def crash():
    """The end of a real traceback of shrunk code, as a board keeps it, and words of it that a person needs."""
    if not micropython.available():
        pytest.skip("no MicroPython here")
    program = build.script("import sys, io\nsys.path.pop(0)\nfrom firmware import desired, starts\ntry:\n"
                           "    desired.parsed(b'x')\nexcept Exception as error:\n    text = io.StringIO()\n"
                           "    sys.print_exception(error, text)\n    print(text.getvalue()[30:])\n")
    said = micropython.output("-c", program, path=build.path())
    assert "ConfigError" not in said and "in parsed" not in said  # else it proves nothing
    return said, ('firmware/desired.py', "parsed", "ConfigError: not JSON in UTF-8")


def test_whatever_a_person_reads_has_the_names_of_the_source(mote, broker, base, crash):
    """A crash in rescue's `info` and in the recorder's story, by every verb that shows one."""
    text, words = crash

    def report(there, payload):
        there.say("log", f"start: hard\n{text}\n12:00:00 link: online\n", wait=False)
        there.say("reply", {"id": json.loads(payload)["id"], "verb": "report", "ok": True}, wait=False)

    where = ("--broker", f"127.0.0.1:{broker.port}", "--base", base)
    with FakeNode(broker.port, base, status="rescue", answers={"command/report": report}) as node:
        node.say("info", {"name": "Roof", "rescue": text}, retain=True)
        shown = {"monitor": mote("monitor", node.id, "--seconds", "1", *where)[1],
                 "watch": mote("watch", "--seconds", "1", *where)[1],
                 "doctor": mote("doctor", "--wait", "1", *where)[1],
                 "command": mote("command", node.id, "report", *where)[1]}
        node.say("log", f"start: hard\n{text}\n", retain=True)  # so that the test need not meet a moment
        shown["monitor's log"] = mote("monitor", node.id, "--seconds", "2", *where)[1].split("start: hard")[1]
        node.say("log", "", retain=True)
    for verb, said in shown.items():
        assert all(word in said for word in words), (verb, said)
        assert "\N{REPLACEMENT CHARACTER}" not in said, verb
