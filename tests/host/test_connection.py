"""The connection of the verbs: addresses, profiles, what is said when it does not work, and coming back."""

import argparse
import json
import queue
import socket
import threading

import pytest

from tests.host.certificates import Authority
from tests.host.scripted_broker import CONNECT, PUBLISH, SUBSCRIBE, ScriptedBroker, connack
from tools import brokers, connection, errors

LIMIT_S = 20
SECRET = "planted-secret-91c4"


def options(*argv):
    parser = argparse.ArgumentParser()
    connection.add_connection_options(parser)
    return parser.parse_args(argv)


def target(*argv):
    return connection.target(options(*argv))


def connected(port, *argv, scheme="mqtt", **more):
    return connection.Connection(target("--broker", f"{scheme}://127.0.0.1:{port}", *argv), **more)


@pytest.fixture(autouse=True)
def no_settings(monkeypatch, tmp_path):
    """Nothing of the person who runs the tests."""
    monkeypatch.delenv("MOTE_PASSWORD", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


@pytest.fixture
def profile(tmp_path):
    """Writes a profile; returns its path."""
    def write(content, name="home", mode=0o600):
        (tmp_path / "mote").mkdir(exist_ok=True)
        path = tmp_path / "mote" / f"{name}.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        path.chmod(mode)
        return path

    return write


@pytest.mark.parametrize("address, expected", [
    ("broker.example", ("broker.example", 1883, False, None)),
    ("broker.example:1884", ("broker.example", 1884, False, None)),
    ("mqtt://broker.example", ("broker.example", 1883, False, None)),
    ("mqtts://broker.example", ("broker.example", 8883, True, None)),
    ("mqtts://ann@broker.example:884/", ("broker.example", 884, True, "ann")),
    ("ann@broker.example", ("broker.example", 1883, False, "ann")),
    ("mqtt://ann%40home@h", ("h", 1883, False, "ann@home")),
    ("[::1]:1999", ("::1", 1999, False, None)),
])
def test_addresses(address, expected):
    assert target("--broker", address)[:4] == expected


def test_defaults():
    assert target() == ("localhost", 1883, False, None, None, None, "mote")


@pytest.mark.parametrize("address", [
    "", "http://h", "mqtt://", "h:port", "h:0", "h:65536", "h:1/path", "mqtt://h?x=1", "ws://h", "[::1"])
def test_what_is_no_address_is_a_usage_error(address):
    with pytest.raises(errors.UserError, match="mqtt\\[s\\]://") as caught:
        target("--broker", address)
    assert caught.value.status == errors.USAGE


@pytest.mark.parametrize("address", ["mqtt://ann:{}@h", "ann:{}@h:1", "http://ann:{}@h", "ann:{}@h:x", "ann:{}@[::1"])
def test_a_password_in_the_address_is_refused_and_not_repeated(address):
    with pytest.raises(errors.UserError) as caught:
        target("--broker", address.format(SECRET))
    assert SECRET not in str(caught.value)


def test_the_password_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("MOTE_PASSWORD", SECRET)
    assert target("--broker", "ann@h").password == SECRET


@pytest.mark.parametrize("base", ["", "/a", "a/", "a+", "#", "$SYS", "a" * 65])
def test_a_base_that_is_no_topic_is_a_usage_error(base):
    with pytest.raises(errors.UserError, match="--base"):
        target("--base", base)


def test_a_profile_gives_what_the_options_leave_out(profile):
    profile({"broker": "mqtts://ann@h", "password": SECRET, "ca": "ca.pem", "base": "farm"})
    assert target("--profile", "home") == ("h", 8883, True, "ann", SECRET, "ca.pem", "farm")
    assert target("--profile", "home", "--base", "mote", "--ca", "own.pem")[5:] == ("own.pem", "mote")


def test_the_password_of_a_profile_goes_to_no_other_broker(profile):
    profile({"broker": "ann@h", "password": SECRET})
    assert target("--profile", "home", "--broker", "ann@elsewhere").password is None


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o601])
def test_a_profile_that_others_may_read_is_refused(profile, mode):
    path = profile({"broker": "h", "password": SECRET}, mode=mode)
    with pytest.raises(errors.UserError, match=f"chmod 600 {path}"):
        target("--profile", "home")


@pytest.mark.parametrize("content", ["{", "[]", {"brocker": "h"}, {"broker": 5}])
def test_a_profile_with_mistakes_is_a_usage_error(profile, content):
    profile(content)
    with pytest.raises(errors.UserError, match="home.json") as caught:
        target("--profile", "home")
    assert caught.value.status == errors.USAGE


@pytest.mark.parametrize("name", ["missing", "../home", "a/b"])
def test_a_profile_that_is_not_there_is_a_usage_error(name):
    with pytest.raises(errors.UserError) as caught:
        target("--profile", name)
    assert caught.value.status == errors.USAGE


def test_an_authority_without_tls_is_a_usage_error():
    with pytest.raises(errors.UserError, match="mqtts://"):
        target("--broker", "h", "--ca", "ca.pem")


def unreachable(port, *argv, **more):
    """What is said when the connection is entered."""
    with pytest.raises(errors.UserError) as caught, connected(port, *argv, **more):
        pass
    assert caught.value.status == errors.UNREACHABLE
    return str(caught.value)


def test_nobody_there():
    port = brokers.free_ports(1)[0]
    assert unreachable(port) == f"the broker at 127.0.0.1:{port}: Connection refused; `mote broker` starts one here"


@pytest.mark.parametrize("code, words", [(1, "protocol version"), (2, "identifier"), (3, "unavailable"),
                                         (4, "user name or password"), (5, "authorized")])
def test_a_refusal_is_told_by_its_name(code, words):
    with ScriptedBroker({CONNECT: connack(code)}) as server:
        said = unreachable(server.port)
    assert words in said and "refused the connection" in said


def test_a_broker_that_hangs_up_without_an_answer():
    with ScriptedBroker({CONNECT: None}) as server:
        assert "user and a password" in unreachable(server.port)


def test_a_broker_that_says_nothing(monkeypatch):
    monkeypatch.setattr(connection, "CONNECT_S", 0.3)
    with ScriptedBroker({}) as server:
        assert "no MQTT answer" in unreachable(server.port)


def test_a_refused_subscription_is_named():
    def suback(packet):
        return bytes((0x90, 4)) + packet[2:4] + bytes((1, 0x80))

    with ScriptedBroker({CONNECT: connack(), SUBSCRIBE: suback}) as server:
        said = unreachable(server.port, filters=["mote/+/status", "mote/+/config"])
    assert "mote/+/config" in said and "mote/+/status" not in said


def test_a_publish_that_nobody_acknowledges(monkeypatch):
    monkeypatch.setattr(connection, "ANSWER_S", 0.3)
    with ScriptedBroker({CONNECT: connack(), PUBLISH: b""}) as server, connected(server.port) as link:
        with pytest.raises(errors.UserError, match="did not acknowledge a message to mote/x") as caught:
            link.publish("mote/x", "1")
    assert caught.value.status == errors.UNREACHABLE


def test_user_and_password_are_sent(monkeypatch):
    monkeypatch.setenv("MOTE_PASSWORD", SECRET)
    with ScriptedBroker({CONNECT: connack()}) as server:
        with connection.Connection(target("--broker", f"ann@127.0.0.1:{server.port}")):
            pass
    assert server.heard[0].endswith(b"\x00\x03ann" + bytes((0, len(SECRET))) + SECRET.encode())


def test_tls_with_the_right_authority(tmp_path):
    authority = Authority(tmp_path, "ours")
    with ScriptedBroker({CONNECT: connack()}, files=authority.issue("server", ["127.0.0.1"])) as server:
        with connected(server.port, "--ca", authority.pem, scheme="mqtts"):
            pass
    assert server.heard[0][0] >> 4 == CONNECT


@pytest.mark.parametrize("hosts, which, words", [
    (["127.0.0.1"], "other", "not trusted"),
    (["192.0.2.1"], "ours", "IP address mismatch"),
    (["127.0.0.1"], None, "--ca"),
])
def test_tls_always_verifies(tmp_path, hosts, which, words):
    ours = Authority(tmp_path, "ours")
    argv = [] if which is None else ["--ca", ours.pem if which == "ours" else Authority(tmp_path, "other").pem]
    with ScriptedBroker({CONNECT: connack()}, files=ours.issue("server", hosts)) as server:
        assert words in unreachable(server.port, *argv, scheme="mqtts")
    assert server.heard == []


def test_a_file_that_is_no_authority_is_a_usage_error(tmp_path):
    path = tmp_path / "ca.pem"
    path.write_text("no certificate")
    with pytest.raises(errors.UserError, match="cannot use the CA file") as caught:
        with connected(1, "--ca", str(path), scheme="mqtts"):
            pass
    assert caught.value.status == errors.USAGE


def test_messages_arrive_and_the_kept_ones_say_so(broker, base):
    with connected(broker.port) as link:
        link.publish(f"{base}/a", b"\x00old", retain=True)
    with connected(broker.port, filters=[f"{base}/#"]) as link:
        link.publish(f"{base}/b", "new")
        got = [link.receive(LIMIT_S)[1:] for _ in range(2)]
        assert got == [(f"{base}/a", b"\x00old", True), (f"{base}/b", b"new", False)]
        assert link.receive(0) is None


def test_a_command_waits_for_no_acknowledgement_of_tcp(broker, base):
    with connected(broker.port, "--base", base) as link:
        assert link._client.socket().getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_waiting_for_one_message(broker, base):
    with connected(broker.port, filters=[f"{base}/#"]) as link:
        for word in ("one", "two", "three"):
            link.publish(f"{base}/a", word)
        assert link.wait_for(lambda message: message.payload == b"two", LIMIT_S).payload == b"two"
        assert link.receive(LIMIT_S).payload == b"three"
        assert link.wait_for(lambda message: True, 0.05) is None


def test_messages_end_with_their_time_also_when_they_never_stop():
    with ScriptedBroker({CONNECT: connack()}) as server, connected(server.port) as link:
        stop = threading.Event()

        def flood():
            while not stop.is_set():
                link._arrived(None, None, FakeMessage())

        thread = threading.Thread(target=flood)
        thread.start()
        assert sum(1 for _ in link.messages(0.1)) > 0
        stop.set()
        thread.join()


class FakeMessage:
    """What paho hands over."""

    topic, payload, retain = "mote/a/log", b"x", False


def test_what_does_not_fit_the_queue_is_counted(monkeypatch):
    monkeypatch.setattr(connection, "_QUEUE_MESSAGES", 3)
    with ScriptedBroker({CONNECT: connack()}) as server, connected(server.port) as link:
        for _ in range(5):
            link._arrived(None, None, FakeMessage())
        assert link.dropped == 2
        assert len(list(link.messages(0.05))) == 3


@pytest.mark.parametrize("engine", ["mosquitto", "iotcore"])
def test_it_comes_back_by_itself_and_hears_again(engine):
    if not brokers.available(engine):
        pytest.skip(f"{engine} is not installed")
    changes = queue.Queue()
    with brokers.Broker(engine) as broker, connected(broker.port, filters=["mote/#"], on_change=changes.put) as link:
        broker.kill()
        assert "lost the connection" in changes.get(timeout=LIMIT_S)
        broker.start()
        assert changes.get(timeout=LIMIT_S) == "connected and subscribed again"
        link.publish("mote/a", "heard")
        assert link.receive(LIMIT_S).payload == b"heard"
        assert link.interruptions == 1
    assert link.interruptions == 1  # leaving is none
    assert changes.empty()
