"""A board on another machine: every verb through Espressif's own RFC 2217 server, as esptool brings it along."""

import json
import time

import pytest

from tests.host.served import served
from tools import errors
from tools.board import ports, repl
from tools.sim.board import lines
from tools.verbs import monitor

pytestmark = pytest.mark.filterwarnings("ignore:set(Daemon|Name)")
SENSORS = {"air": {"driver": "bme280", "bus": 0, "address": 0x76}}
NODE = "esp32-a1b2c3"
LATE_S, LIMIT_S = 1.5, 60


class Heard(Exception):
    """What was waited for has been said."""


def hear(line, flush):
    if line == "link: joining":
        raise Heard


def test_from_an_empty_flash_to_a_running_node(mote, virtual, image, broker, base, monkeypatch, tmp_path):
    monkeypatch.setenv("MOTE_WIFI_PASSWORD", "correct horse")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    board = virtual(image=False, sensors=SENSORS)
    document = ("--broker", f"127.0.0.1:{broker.port}", "--base", base, "--wifi", "home", "--name", "Shed", "--yes",
                "--set", "telemetry.interval_s=1", "--set", f"homeassistant.prefix={base}-ha")
    with served(board) as url:
        status, said, error = mote("up", "--port", url, "--image", image, *document, "--json")
        assert status == errors.DONE, error
        assert json.loads(said)["node"] == NODE and json.loads(said)["reading"]["temperature"]
        status, said, error = mote("deploy", "--port", url, "--json")
        assert status == errors.DONE, error
        assert json.loads(said)["sent"] == []
        with pytest.raises(Heard):
            monitor.over_serial(url, time.monotonic() + LIMIT_S, hear)
    assert not board.noticed()


def test_one_command_after_the_other(virtual):
    """The server does not answer the next client before a silent board's reader has ended, up to four seconds."""
    with served(virtual()) as url:
        for number in range(2):
            with ports.opened(url) as port:
                board = repl.Repl(port, "board")
                board.enter()
                assert board.run(f"print({number})") == f"{number}\r\n"


def test_a_reset_that_comes_late_is_over_when_the_port_is_open(virtual, monkeypatch):
    in_time = lines._EspPortManager._hard_reset_thread

    def late(manager):
        time.sleep(LATE_S)  # as on a busy machine
        in_time(manager)

    monkeypatch.setattr(lines._EspPortManager, "_hard_reset_thread", late)
    board = virtual()
    before = len(board.resets)
    with ports.opened(board.rfc2217().url) as port:
        assert len(board.resets) == before + 1
        assert b"rst:0x1 (POWERON_RESET)" in port.read(port.in_waiting), "what was heard meanwhile is not lost"


def test_a_server_that_passes_the_lines_on_is_not_waited_for(virtual, monkeypatch):
    monkeypatch.delattr(ports.Remote, "_await_start")
    ports.opened(virtual().rfc2217(espressif=False).url).close()
    with pytest.raises(AttributeError):
        ports.opened(virtual().rfc2217().url)
