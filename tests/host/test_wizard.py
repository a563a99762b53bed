"""`mote provision` with a person: its questions, wrong answers, defaults, passwords, and giving up half-way."""

import json

import pytest

from tests.host import certificates
from tests.host.terminal import Terminal
from tests.host.virtual import on_board
from tools.board import files, ports, repl

pytestmark = pytest.mark.filterwarnings("ignore:set(Daemon|Name)")
SENSORS = {"a": {"driver": "bme280", "bus": 0, "address": 0x76}, "b": {"driver": "bh1750", "bus": 0, "address": 0x23}}
INTERRUPTED = 130
TICKING = (b"import machine, time\nw = machine.WDT(timeout=1500)\nwhile True:\n    print('tick')\n    w.feed()\n"
           b"    time.sleep(0.1)\n")


@pytest.fixture
def wizard(monkeypatch, tmp_path):
    """Starts `mote provision` in a terminal."""
    for name in ("MOTE_WIFI_PASSWORD", "MOTE_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return lambda *argv: Terminal("provision", *argv)


def test_every_question_a_wrong_answer_to_each_and_defaults(wizard, virtual, tmp_path):
    board = virtual(sensors=SENSORS)
    with wizard("--port", board.rfc2217().url) as person:
        person.answer("broker (name or address", "")
        person.await_("an answer is needed")
        person.answer("broker (name", "http://192.0.2.1")
        person.await_("not of the form")
        person.answer("broker (name", "192.0.2.1:1884")
        person.answer("its user name for the node (empty: it wants none)", "x" * 129)
        person.await_("wanted: a text of 1 to 128 bytes")
        person.answer("its user name", "garden")
        person.answer("password of garden", "tomatoes and beans")
        person.answer("Wi-Fi network", "n" * 33)
        person.await_("wanted: a name of 1 to 32 bytes")
        person.answer("Wi-Fi network", "my.home")
        person.answer("password of my.home (empty: an open network)", "short")
        person.await_("wanted: a text of 8 to 63 bytes")
        person.answer("password of my.home", "correct horse")
        person.answer("bh1750 at 0x23 of bus 0: name (- leaves it out) [light]", "-")
        person.answer("bme280 at 0x76 of bus 0: name (- leaves it out) [air]", "Out side")
        person.await_("wanted: a name of [a-z][a-z0-9_]{0,15}")
        person.answer("bme280 at 0x76", "outside")
        person.answer("name of the node [esp32-a1b2c3]", "n" * 65)
        person.await_("wanted: a text of 1 to 64 bytes")
        person.answer("name of the node", "")
        person.answer("room or place (empty: none)", "Garden")
        assert person.end() == 0, person.screen
    assert json.loads(on_board(board, tmp_path)["config.json"]) == {
        "schema": 1, "node": {"id": "esp32-a1b2c3", "name": "esp32-a1b2c3", "area": "Garden"},
        "wifi": {"my.home": {"password": "correct horse"}},
        "mqtt": {"host": "192.0.2.1", "port": 1884, "user": "garden", "password": "tomatoes and beans"},
        "sensors": {"outside": {"driver": "bme280", "bus": 0, "address": 0x76}}}
    for secret in ("tomatoes", "beans", "short", "correct", "horse"):
        assert secret not in person.screen, "a password is to be seen"


def test_two_chips_need_two_names(wizard, virtual, tmp_path):
    board = virtual(sensors=SENSORS)
    with wizard("--port", board.rfc2217().url, "--broker", "192.0.2.1", "--wifi", "home", "--name", "Shed") as person:
        person.answer("password of home", "")
        person.answer("[light]", "one")
        person.answer("[air]", "one")
        person.await_("one is the name of another one")
        person.answer("[air]", "two")
        assert person.end() == 0, person.screen
    document = json.loads(on_board(board, tmp_path)["config.json"])
    assert sorted(document["sensors"]) == ["one", "two"]
    assert document["wifi"] == {"home": {"password": None}} and document["node"]["name"] == "Shed"


def test_a_broker_with_tls_needs_an_authority_and_a_user_his_password(wizard, tmp_path):
    authority = certificates.Authority(tmp_path, "authority")
    with wizard("--id", "shed-1", "--out", tmp_path / "out", "--wifi", "home", "--name", "Shed") as person:
        person.answer("broker (name", "mqtts://garden@broker.example")
        person.answer("authority that signed its certificate", "/nonexistent.pem")
        person.await_("cannot read the authority /nonexistent.pem")
        person.answer("authority that signed its certificate", authority.pem)
        person.answer("password of garden at the broker", "tomatoes")
        person.answer("password of home", "correct horse")
        assert person.end() == 0, person.screen
    mqtt = json.loads((tmp_path / "out/shed-1.json").read_text())["mqtt"]
    assert (mqtt["host"], mqtt["port"]) == ("broker.example", 8883) and "ca" in mqtt["tls"]
    assert (mqtt["user"], mqtt["password"]) == ("garden", "tomatoes") and "tomatoes" not in person.screen


@pytest.mark.parametrize("question", ["broker (name", "password of home", "[air]", "name of the node"])
def test_ctrl_c_at_any_question_leaves_everything_as_it_was(wizard, virtual, tmp_path, question):
    board = virtual(sensors=SENSORS)
    line = board.rfc2217()
    with ports.opened(line.url) as port:
        there = repl.Repl(port, "board")
        there.enter()
        files.write(there, "main.py", TICKING)
        files.write(there, "config.json", b'{"mine": 1}')
        there.restart()
        assert board.await_said(b"tick", since=len(board.log))
    before = on_board(board, tmp_path)
    with wizard("--port", line.url) as person:
        for asked, answer in (("broker (name", "192.0.2.1"), ("its user name", ""), ("Wi-Fi network", "home"),
                              ("password of home", "correct horse"), ("[light]", ""), ("[air]", ""),
                              ("name of the node", "")):
            if asked == question:
                person.interrupt(asked, "given up; nothing was written")
                break
            person.answer(asked, answer)
        assert person.end() == INTERRUPTED
    assert "Traceback" not in person.screen
    assert on_board(board, tmp_path) == before
    assert board.await_said(b"tick", since=len(board.log)), "the node goes on"
    assert not (tmp_path / "config").exists()


def test_a_person_may_think_for_longer_than_the_watchdog(wizard, virtual, tmp_path):
    board = virtual(sensors=SENSORS)
    line = board.rfc2217()
    with ports.opened(line.url) as port:
        there = repl.Repl(port, "board")
        there.enter()
        files.write(there, "main.py", TICKING)
        there.restart()
    with wizard("--port", line.url, "--broker", "192.0.2.1", "--wifi", "home") as person:
        person.answer("password of home", "correct horse")
        person.await_("[light]")
        assert not board.await_said(b"TG0WDT", limit_s=2)  # beyond its 1.5 s
        for _ in range(4):
            person.answer("", "")
        assert person.end() == 0, person.screen
    assert "config.json" in on_board(board, tmp_path)
