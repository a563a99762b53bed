"""The broker's access list: what it grants on a real Mosquitto, with two nodes, Home Assistant and an operator."""

import contextlib
import pathlib
import subprocess
import tempfile
import threading

import paho.mqtt.client as paho
import pytest

from tests.integration import brokers
from tools import acl, errors

LIMIT_S = 20
USERS = ("node-a", "node-b", "homeassistant", "operator")
OWN = ("status", "info", "telemetry/air", "event/door", "backlog", "diagnostics", "config", "reply", "update", "probe",
       "log")
# user: (topics that it may write, topics that it may not)
WRITES = {
    "node-a": ([f"mote/node-a/{name}" for name in OWN] + ["homeassistant/device/node-a/config"],
               [f"mote/node-b/{name}" for name in OWN] + [
                   "homeassistant/device/node-b/config", "mote/node-a/config/set", "mote/node-a/command/restart",
                   "mote/node-b/config/set", "mote/node-b/command/restart", "mote/all/command/restart",
                   "mote/group/lab/command/restart", "homeassistant/status", "elsewhere", "mote/node-a"]),
    "homeassistant": (["mote/node-a/config/set/telemetry.interval_s", "mote/node-a/command/sample",
                       "homeassistant/status"],
                      ["mote/node-a/config/set", "mote/node-a/status", "mote/node-a/telemetry/air", "elsewhere"]),
    "operator": (["mote/node-a/config/set", "mote/node-b/command/restart", "mote/all/command/restart",
                  "homeassistant/device/node-a/config"], ["elsewhere"]),
}
HEARD = {
    "node-a": (["mote/node-a/config/set", "mote/node-a/command/restart", "mote/node-a/probe", "homeassistant/status",
                "mote/all/command/restart", "mote/group/lab/command/restart"],
               ["mote/node-b/config/set", "mote/node-b/config", "mote/node-b/telemetry/air", "elsewhere"]),
    "homeassistant": (["mote/node-a/status", "mote/node-b/telemetry/air", "homeassistant/device/node-a/config",
                       "mote/node-a/config"], ["mote/node-a/config/set", "mote/node-a/command/restart", "elsewhere"]),
    "operator": (["mote/node-a/config/set", "mote/node-a/status"], ["elsewhere"]),
}
ALL = sorted({topic for good, bad in [*WRITES.values(), *HEARD.values()] for topic in good + bad})


@pytest.fixture(scope="module")
def port():
    """The port of a Mosquitto with our list; whoever is anonymous may do everything, for the test's own eyes."""
    if not brokers.mosquitto_path():
        pytest.skip("mosquitto is not installed")
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        passwords, rules = folder / "passwords", folder / "acl"
        passwords.touch(mode=0o600)
        for user in USERS:
            subprocess.run(["mosquitto_passwd", "-b", passwords, user, "secret"], check=True, capture_output=True)
        rules.write_text("topic readwrite #\n" + acl.mosquitto(USERS[:2]))
        broker = brokers.Broker("mosquitto", folder)
        broker.more = f"password_file {passwords}\nacl_file {rules}\nuser root\n"
        yield stack.enter_context(broker).port


class Client:
    """A connection as `user` (None: anonymous), subscribed to all that it is let; `heard` are the topics."""

    def __init__(self, port, user=None):
        self.heard = set()
        self._ready = threading.Event()
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=user or "eyes")
        if user:
            self._client.username_pw_set(user, "secret")
        self._client.on_connect = lambda client, *_: client.subscribe([(topic, 1) for topic in ALL])
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_message = lambda client, _, message: self.heard.add(message.topic)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self._ready.wait(LIMIT_S)

    def say(self, *said):
        for topic in said:
            self._client.publish(topic, "x", qos=1).wait_for_publish(LIMIT_S)

    def close(self):
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def clients(port):
    """Makes clients, and ends them."""
    made = []

    def make(user=None):
        made.append(Client(port, user))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.mark.parametrize("user", WRITES)
def test_each_says_what_it_may_and_nothing_else_arrives(clients, user):
    good, bad = WRITES[user]
    eyes, writer = clients(), clients(user)
    writer.say(*bad, *good)  # in order, so that what is last has been let through when nothing more comes
    eyes.say("mote/group/lab/command/restart")
    deadline = threading.Event()
    for _ in range(200):
        if set(good) <= eyes.heard:
            break
        deadline.wait(0.05)
    assert set(good) <= eyes.heard and not eyes.heard & set(bad) - {"mote/group/lab/command/restart"}


@pytest.mark.parametrize("user", HEARD)
def test_each_hears_what_is_for_it_and_nothing_else(clients, user):
    good, bad = HEARD[user]
    reader, eyes = clients(user), clients()
    eyes.say(*bad, *good)
    deadline = threading.Event()
    for _ in range(200):
        if set(good) <= reader.heard:
            break
        deadline.wait(0.05)
    assert set(good) <= reader.heard and not reader.heard & set(bad)


def test_both_engines_have_the_same_rules():
    found = acl.emqx(USERS[:2])
    for _, topic in acl._of_nodes("mote", "homeassistant", "${username}"):
        assert f'"{topic}"' in found
    assert found.rstrip().endswith("{deny, all}.")
    assert found.count("{allow, ") == 5 and found.index('"operator"') < found.index("{allow, all, ")
    assert all(line[:2] == "%%" or line.endswith("}.") for line in found.splitlines())


@pytest.mark.parametrize("words", [
    {"nodes": ["all"]}, {"nodes": ["A"]}, {"base": "a/#"}, {"base": "%u"}, {"base": "/a"}, {"base": ""},
    {"prefix": "a\nuser b"}, {"ha_user": 'x"'}, {"operator": "homeassistant"}, {"nodes": ["operator"]},
    {"ha_user": " x"}])
def test_names_that_would_widen_the_list_are_refused(words):
    for engine in acl.ENGINES.values():
        with pytest.raises(errors.UserError):
            engine(**words)
