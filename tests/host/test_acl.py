"""The broker's access list: what it grants on a real Mosquitto, with two nodes, Home Assistant and an operator; and the
one for EMQX, read as strictly as EMQX reads it, with the same table of what each may do."""

import contextlib
import pathlib
import subprocess
import tempfile
import threading

import paho.mqtt.client as paho
import pytest

from tests.host import emqx
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
# Filters that hold more than one topic: what Mote and Home Assistant subscribe to, and what would hear too much. At
# Mosquitto everybody may subscribe to them, and hears of it what the list grants.
FILTERS = {
    "node-a": (["mote/node-a/command/+", "mote/node-a/config/set/+", "mote/group/lab/command/+", "mote/all/command/+"],
               ["#", "+/#", "mote/#", "mote/+/#", "mote/+/config/set", "mote/+/config", "mote/node-b/#",
                "$share/thieves/mote/node-b/config/set", "$share/thieves/mote/+/config/set", "homeassistant/#",
                "$SYS/#"]),
    "homeassistant": (["homeassistant/#", "homeassistant/device/+/config", "mote/+/status", "mote/+/telemetry/+"],
                      ["#", "mote/#", "mote/+/#", "mote/+/config/#", "mote/+/config/set", "mote/+/+", "$SYS/#"]),
    "operator": (["mote/#", "mote/+/config/set", "homeassistant/#"], ["#", "+/#", "$SYS/#"]),
}


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
        wanted = [*ALL, *sum(FILTERS[user], [])] if user else ALL
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=user or "eyes")
        if user:
            self._client.username_pw_set(user, "secret")
        self._client.on_connect = lambda client, *_: client.subscribe([(topic, 1) for topic in wanted])
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


def against(text):
    """What of the table a list for EMQX gets wrong, as (user, action, topic); for one that EMQX does not load, why."""
    try:
        found = emqx.rules(text)
    except emqx.Wrong as error:
        return [str(error)]
    told = [(user, "publish", *both) for user, both in WRITES.items()]
    told += [(user, "subscribe", *both) for table in (HEARD, FILTERS) for user, both in table.items()]
    told += [(name, action, [], ALL) for name in (None, "+", "Stranger") for action in ("publish", "subscribe")]
    asked = [(user, action, topic, at == 0) for user, action, *both in told for at in (0, 1) for topic in both[at]]
    return [(user, action, topic) for user, action, topic, wanted in asked
            if emqx.permits(found, emqx.Client(user, user), action, topic) != wanted]


def test_emqx_grants_by_the_same_table():
    assert against(acl.emqx(USERS[:2])) == []
    assert "{deny, all}." == acl.emqx(USERS[:2]).splitlines()[-1]  # whatever authorization.no_match says


def test_a_node_has_its_own_topics_by_its_user_name_and_not_by_its_client_id():
    found = emqx.rules(acl.emqx(USERS[:2]))
    assert not emqx.permits(found, emqx.Client("node-b", "node-a"), "publish", "mote/node-a/status")


@pytest.mark.parametrize(("right", "wrong"), [
    ("}.\n", "}\n"), ("}.\n", "}.x\n"), ("{allow, ", "{permit, "), ("{allow, ", "(allow, "), ("{user, ", "{usr, "),
    ('{user, "operator"}', "{user, operator}"), ('{user, "operator"}', '"operator"'), (" publish, ", " write, "),
    (" publish, ", ' "publish", '), (" publish, [", " publish, {"), ('"mote/#", ', '"mote/#" '), ('"]}', '",]}'),
    ('"mote/#"', "'mote/#'"), ('"mote/#"', "\u201cmote/#\u201d"), ('"mote/#"', '"mote/#/x"'), ("%% ", "# "),
    ("${username}", "%u"), ("${username}", "${user}"), ("${username}", "+"), ("${username}", "node-a"),
    ('"mote/${username}/#"', '{eq, "mote/${username}/#"}'), ('"mote/${username}/#"', '"eq mote/${username}/#"'),
    ('"mote/${username}/#"', '"mote/#"'), ('"}}, subscribe', '"}}, all'), (" subscribe, ", " publish, "),
    ("{deny, all}.", "{allow, all}."), ("{deny, all}.\n", ""), ("{deny, all}.", "{deny, all, all}."),
    ("{deny, all}.", "{allow, {user, \"Stranger\"}, all, [\"#\"]}.\n{deny, all}."),
    ('{allow, {user, "operator"}', '{deny, all}.\n{allow, {user, "operator"}'),
    ('"mote/+/config/set/+"', '"mote/+/config/set/#"'), ('"mote/+/config"', '"mote/+/config/#"'),
    ("{deny, all}.", "{deny, and}."), ('{re, "^', '{re, "'), ('{re, "^', '{rx, "^'), ('{re, "^', '"^'),
    (acl._NODES, "all")])
def test_a_mistake_in_the_list_for_emqx_is_found(right, wrong):
    text = acl.emqx(USERS[:2])
    assert right in text and against(text.replace(right, wrong))


@pytest.mark.parametrize("words", [
    {"nodes": ["all"]}, {"nodes": ["A"]}, {"base": "a/#"}, {"base": "%u"}, {"base": "/a"}, {"base": ""},
    {"prefix": "a\nuser b"}, {"ha_user": 'x"'}, {"operator": "homeassistant"}, {"nodes": ["operator"]},
    {"ha_user": " x"}, {"base": "eq a"}])
def test_names_that_would_widen_the_list_are_refused(words):
    for engine in acl.ENGINES.values():
        with pytest.raises(errors.UserError):
            engine(**words)
