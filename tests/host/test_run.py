"""`mote run` without a broker: what is wrong with a configuration, and that every way to end it works."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from tools import ROOT, errors, micropython

LEAVE_S = 10  # far more than a node without a connection needs

both = pytest.mark.parametrize("interpreter", [
    "cpython",
    pytest.param("micropython", marks=pytest.mark.skipif(
        not micropython.available(), reason="no interpreter for this machine")),
])


@pytest.fixture
def closed_port():
    """A port at which nobody listens while the test runs."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


@pytest.fixture
def config(tmp_path, closed_port):
    """Writes a configuration with some sections replaced; returns its path."""
    def write(**sections):
        document = {
            "schema": 1, "node": {"id": "n1"}, "mqtt": {"host": "127.0.0.1", "port": closed_port},
            "sensors": {"door": {"driver": "digital", "pin": 4, "kind": "contact"}}, **sections}
        path = tmp_path / "config.json"
        path.write_text(json.dumps(document))
        return str(path)

    return write


def command(*argv):
    return [sys.executable, "-m", "tools", "run", *argv]


def mote_run(*argv):
    return subprocess.run(command(*argv), cwd=ROOT, capture_output=True, text=True, timeout=60)


def ended_by(number, *argv):
    """Start a node, send it a signal once it has said its first line; return (exit status, its standard error).

    Returns when all who share its output are gone, or fails when they are not gone in time.
    """
    process = subprocess.Popen(command(*argv), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert process.stdout.readline()
        process.send_signal(number)
        _, stderr = process.communicate(timeout=LEAVE_S)
    finally:
        process.kill()
    return process.returncode, stderr.decode()


def test_every_mistake_is_told_at_once(config):
    wrong = config(telemetry={"interval_s": "often"}, nonsense=1, mqtt={"host": "h", "port": 99999})
    done = mote_run("--config", wrong)
    assert done.returncode == errors.USAGE
    assert "3 mistake(s)" in done.stderr
    for key, found in (("telemetry.interval_s", '"often"'), ("nonsense", "1"), ("mqtt.port", "99999")):
        assert any(key in line and f"found {found}, allowed" in line for line in done.stderr.splitlines())


def test_a_secret_is_not_shown_when_it_is_wrong(config):
    done = mote_run("--config", config(wifi={"home": {"password": "short"}}))
    assert done.returncode == errors.USAGE
    assert "wifi.home.password" in done.stderr
    assert "short" not in done.stderr


@pytest.mark.parametrize("text, word", [("{", "not JSON"), ("[" * 100, "nested"), (" " * 4097, "longer")])
def test_what_is_no_document_is_refused_with_a_reason(tmp_path, text, word):
    path = tmp_path / "config.json"
    path.write_text(text)
    done = mote_run("--config", str(path))
    assert done.returncode == errors.USAGE
    assert word in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_file_is_answered_with_what_to_do(tmp_path):
    done = mote_run("--config", str(tmp_path / "none.json"))
    assert done.returncode == errors.USAGE
    assert "copy config.json.example" in done.stderr


@pytest.mark.parametrize("argv", [("--heap", "lots"), ("--heap", "0"), ("--seconds", "-1"), ("--interpreter", "lua")])
def test_wrong_options_are_usage_errors(config, argv):
    assert mote_run("--config", config(), *argv).returncode == errors.USAGE


@both
def test_it_leaves_by_itself_after_the_seconds_asked_for(config, interpreter):
    started = time.monotonic()
    done = mote_run("--config", config(), "--interpreter", interpreter, "--seconds", "1.5")
    assert (done.returncode, done.stderr) == (0, "")
    assert 1.5 <= time.monotonic() - started < 1.5 + LEAVE_S


@both
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it_cleanly(config, interpreter, number):
    assert ended_by(number, "--config", config(), "--interpreter", interpreter) == (0, "")


@both
def test_a_killed_node_leaves_no_process_behind(config, interpreter):
    status, _ = ended_by(signal.SIGKILL, "--config", config(), "--interpreter", interpreter)
    assert status == -signal.SIGKILL


@both
def test_the_state_is_kept_between_runs(config, interpreter, tmp_path):
    state = tmp_path / "flash"
    for _ in range(2):
        mote_run("--config", config(), "--interpreter", interpreter, "--seconds", "0.5", "--state", str(state))
    assert "boot" in os.listdir(state)


def test_the_connection_options_stand_over_the_configuration(config, closed_port, tmp_path, monkeypatch):
    state = tmp_path / "flash"
    monkeypatch.setenv("MOTE_PASSWORD", "hush-hush")
    done = mote_run("--config", config(mqtt={"host": "nowhere.invalid", "keepalive_s": 7}), "--seconds", "0.5",
                    "--broker", f"me@127.0.0.1:{closed_port}", "--base", "other", "--state", str(state))
    assert (done.returncode, done.stderr) == (0, "")
    assert "hush-hush" not in done.stdout
    path = state / "provisioned.json"
    assert json.loads(path.read_text())["mqtt"] == {
        "host": "127.0.0.1", "port": closed_port, "user": "me", "password": "hush-hush", "tls": None,
        "base": "other", "keepalive_s": 7}
    assert path.stat().st_mode & 0o077 == 0


def test_tls_needs_an_authority(config):
    done = mote_run("--config", config(), "--broker", "mqtts://h")
    assert done.returncode == errors.USAGE
    assert "--ca FILE" in done.stderr


@both
def test_without_chips_it_runs_all_the_same(config, interpreter):
    done = mote_run("--config", config(), "--interpreter", interpreter, "--chips", "none", "--seconds", "1")
    assert (done.returncode, done.stderr) == (0, "")
