"""`mote up`: from an empty flash to a node that is online, on the virtual board, at a real broker."""

import json
import stat

import pytest

from tests.host import firmware_images
from tests.host.virtual import on_board
from tools import connection, errors

pytestmark = pytest.mark.filterwarnings("ignore:set(Daemon|Name)")
SENSORS = {"air": {"driver": "bme280", "bus": 0, "address": 0x76},
           "light": {"driver": "bh1750", "bus": 0, "address": 0x23}}
NODE = "esp32-a1b2c3"


@pytest.fixture
def home(monkeypatch, tmp_path):
    """A person's home: Wi-Fi password in the environment, a folder for what mote keeps."""
    monkeypatch.setenv("MOTE_WIFI_PASSWORD", "correct horse")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config"


@pytest.fixture
def up(mote, broker, base, home):
    """Calls `mote up` against the broker."""
    def call(board, *argv):
        return mote("up", "--port", board.rfc2217().url, "--broker", f"127.0.0.1:{broker.port}", "--base", base,
                    "--wifi", "home", "--name", "Greenhouse", "--yes", "--set", "telemetry.interval_s=1",
                    "--set", f"homeassistant.prefix={base}-ha", *argv)

    return call


def retained(broker, base):
    target = connection.Target("127.0.0.1", broker.port, False, None, None, None, base)
    with connection.Connection(target, [base + "/#", base + "-ha/#"]) as link:
        return {m.topic: m.payload for m in link.messages(2) if m.retain}


def test_from_an_empty_flash_to_the_first_reading(up, virtual, broker, base, home, tmp_path):
    board = virtual(image=False, sensors=SENSORS)
    status, said, error = up(board, "--image", firmware_images.official(), "--json")
    assert status == errors.DONE, error
    result = json.loads(said)
    assert result["node"] == NODE and result["sensor"] in SENSORS and result["reading"]["seq"] >= 1
    kept = retained(broker, base)
    assert kept[f"{base}/{NODE}/status"] == b"online"
    info = json.loads(kept[f"{base}/{NODE}/info"])
    assert (info["name"], info["interpreter"], info["chips"]) == ("Greenhouse", "MicroPython 1.25.0", "real")
    discovery = json.loads(kept[f"{base}-ha/device/{NODE}/config"])
    assert any(f"{NODE}_air_temperature" in str(component) for component in discovery["cmps"].values())
    assert not board.noticed()
    there = json.loads(on_board(board, tmp_path)["config.json"])
    assert there["sensors"] == {"air": SENSORS["air"], "light": SENSORS["light"]}
    mine = home / "mote" / "nodes" / f"{NODE}.json"
    assert json.loads(mine.read_text()) == there and stat.S_IMODE(mine.stat().st_mode) == 0o600
    # Again: nothing to flash, nothing to send.
    status, said, error = up(board)
    assert status == errors.DONE, error
    assert said.startswith("0 of ") and f"{NODE} is online after" in said
    assert "Home Assistant, at the same broker, shows it as Greenhouse. Here: mote watch --broker 127.0.0.1" in said


def test_a_wrong_wifi_password_is_named(up, virtual, monkeypatch):
    monkeypatch.setenv("MOTE_WIFI_PASSWORD", "wrong horse")
    board = virtual(sensors=SENSORS)
    status, said, error = up(board, "--wait", "12")
    assert status == errors.UNREACHABLE
    assert "the Wi-Fi password is wrong" in error and "home: wrong password" in error
    assert "wrong horse" not in said + error


def test_a_board_cannot_reach_this_computer_as_localhost(mote, home):
    status, _, said = mote("up", "--port", "/dev/ttyUSB0", "--broker", "localhost", "--wifi", "home", "--yes")
    assert status == errors.USAGE and "name its address in --broker" in said


def test_mistakes_are_told_before_anything_is_done_to_the_board(up, virtual, tmp_path):
    board = virtual(sensors=SENSORS)
    status, _, said = up(board, "--set", "telemetry.intervall_s=1")
    assert status != errors.DONE and "intervall_s" in said
    assert "config.json" not in on_board(board, tmp_path)
