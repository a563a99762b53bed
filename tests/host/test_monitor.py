"""`mote monitor`: the log of a node, whatever happens to the cable; tracebacks that lead to the source."""

import ast
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
    said = ['  File "asyncio/core.py", line 1, in run', "VOID: a line of the log", "link: online",
            '  File "firmware.gone", line 3, in f']
    assert tracebacks.Mapper({"VOID": "ConfigError"}).text("\n".join(said)) == said


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
