"""`mote broker` and the brokers under it: what they promise as processes. Their MQTT is tested with the node."""

import json
import os
import signal
import socket
import ssl
import sys
import threading

import pytest

from tools import brokers, errors, passing_certificate

LIMIT_S = 20


def engines(*names):
    """Parametrizes with the engines of this machine; in CI a missing one fails."""
    return pytest.mark.parametrize("engine", [
        pytest.param(name, marks=pytest.mark.skipif(
            not brokers.available(name) and not os.environ.get("CI"), reason=f"{name} is not installed"))
        for name in names])


both = engines("mosquitto", "iotcore")


def closed(port):
    with socket.socket() as probe:
        return probe.connect_ex((brokers.HOST, port)) != 0


def gone(pid):
    """Wait for the end of a process that is not our child, by the end of its directory in /proc."""
    for _ in range(LIMIT_S * 100):
        try:
            with open(f"/proc/{pid}/stat") as file:
                if file.read().rpartition(") ")[2].startswith("Z"):
                    return True
        except OSError:
            return True
        threading.Event().wait(0.01)
    return False


@pytest.fixture
def mote_broker(mote_process):
    """Starts `mote broker`; gives its process and its first line, decoded."""
    def start(*argv):
        process = mote_process("broker", *argv)
        return process, json.loads(process.stdout.readline() or "null")

    return start


@both
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_tells_its_ports_and_takes_its_child_with_it(mote_broker, engine, number):
    process, line = mote_broker("--port", "0", "--engine", engine)
    assert set(line) == {"engine", "host", "port", "ws_port", "pid"}
    assert (line["engine"], line["host"]) == (engine, "127.0.0.1")
    assert not closed(line["port"]) and not closed(line["ws_port"])
    process.send_signal(number)
    assert process.communicate(timeout=LIMIT_S) == ("", "")
    assert process.returncode == errors.DONE
    assert closed(line["port"]) and gone(line["pid"])


@both
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_killed_it_takes_its_child_with_it_all_the_same(mote_broker, engine):
    process, line = mote_broker("--port", "0", "--engine", engine)
    process.kill()
    process.wait(LIMIT_S)
    assert gone(line["pid"])


@both
def test_it_says_so_when_the_broker_dies(mote_broker, engine):
    process, line = mote_broker("--port", "0", "--engine", engine)
    os.kill(line["pid"], signal.SIGKILL)
    assert "ended by itself" in process.communicate(timeout=LIMIT_S)[1]
    assert process.returncode == errors.UNREACHABLE


@both
def test_it_listens_on_the_ports_asked_for_and_nowhere_but_on_loopback(mote_broker, engine):
    port, ws_port = brokers.free_ports(2)
    _, line = mote_broker("--port", str(port), "--ws-port", str(ws_port), "--engine", engine)
    assert (line["port"], line["ws_port"]) == (port, ws_port)
    for taken in (port, ws_port):
        with socket.socket() as elsewhere:  # 127.0.0.2 would be taken too, were the broker on 0.0.0.0
            elsewhere.bind(("127.0.0.2", taken))


def test_a_taken_port_is_a_usage_error_that_says_what_to_do(mote_broker):
    with socket.create_server((brokers.HOST, 0)) as holder:
        process, line = mote_broker("--port", str(holder.getsockname()[1]))
        assert line is None
        assert "0 picks a free one" in process.communicate(timeout=LIMIT_S)[1]
        assert process.returncode == errors.USAGE


def test_a_number_that_is_no_port_is_a_usage_error(mote_broker):
    process, _ = mote_broker("--port", "65536")
    assert "not a port" in process.communicate(timeout=LIMIT_S)[1]
    assert process.returncode == errors.USAGE


@engines(*brokers.ENGINES)
def test_killed_and_started_again_it_has_the_same_port(engine):
    with brokers.Broker(engine) as broker:
        before = broker.port, broker.ws_port, broker.pid
        broker.kill()
        assert closed(broker.port)
        broker.start()
        assert (broker.port, broker.ws_port) == before[:2]
        assert broker.pid != before[2]
        assert not closed(broker.port)
    assert closed(broker.port)


@both
def test_a_paused_broker_is_silent_until_it_is_resumed_and_can_be_stopped_meanwhile(engine):
    with brokers.Broker(engine) as broker:
        broker.pause()
        with socket.create_connection((broker.host, broker.port), timeout=0.3) as client:
            client.sendall(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x0a\x00\x01a")
            with pytest.raises(socket.timeout):
                client.recv(4)
            broker.resume()
            client.settimeout(LIMIT_S)
            assert client.recv(4) == b"\x20\x02\x00\x00"
        broker.pause()
    assert closed(broker.port)


def test_without_mosquitto_the_embedded_one_is_chosen_and_without_both_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(brokers, "available", lambda name: name == "iotcore")
    assert brokers.choose() == "iotcore"
    monkeypatch.setattr(brokers, "available", lambda name: False)
    with pytest.raises(errors.UserError, match="apt-get install mosquitto") as caught:
        brokers.choose()
    assert caught.value.status == errors.UNREACHABLE


@engines("mosquitto")
def test_beside_the_other_ports_it_speaks_tls_when_it_is_given_a_certificate(engine, tmp_path):
    files = passing_certificate.write(tmp_path, brokers.HOST)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(files[0])
    with brokers.Broker(engine, tls=files) as broker:
        assert len({broker.port, broker.ws_port, broker.tls_port}) == 3
        with socket.create_connection((broker.host, broker.tls_port), LIMIT_S) as plain:
            with context.wrap_socket(plain, server_hostname=broker.host) as stream:
                stream.sendall(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x0a\x00\x01a")
                assert stream.recv(4) == b"\x20\x02\x00\x00"
