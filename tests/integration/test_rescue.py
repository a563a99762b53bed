"""A node that cannot live, on real MicroPython with a real broker: rescue is there within ten starts, and a good
configuration sent to it brings the node back."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time

import pytest

import signed
from store import Store
from tools import ROOT, build, micropython, shrink
from tools.verbs import run

from . import nodes
from .brokers import free_port
from .test_trial import other_authority, secured

LIMIT_S = 60
STARTS = 10
END_S = 10
BUILDING = threading.Lock()  # CPython's own parser does not bear several threads at once
HEAP = "160k"
DRIVER = """
class Driver:
    quantities = (("number", "", "", 0, "", 0, 9),)
    def __init__(self, board, options):
        self._board, self._last = board, options["low_mv"]
        if not self._last:
            raise RuntimeError("planted")
        self._began = board.ticks_ms()
    def start(self):
        return 0
    def read(self):
        if self._board.ticks_diff(self._board.ticks_ms(), self._began) > 1000 * self._last:
            raise RuntimeError("planted")
        return [1]
"""


class Restarted:
    """A board whose firmware is a copy of its own: a process that is started again at once whenever it ends."""

    def __init__(self, world, config):
        self._folder = os.path.join(world.folder, "board")
        self._log = os.path.join(world.folder, "board.log")
        self.state = os.path.join(self._folder, "state")
        self.code = os.path.join(self._folder, "code")
        self.starts = 0
        with BUILDING:
            build.build()
        shutil.copytree(build.MPY, self.code, ignore=shutil.ignore_patterns("*.mpy.*"))  # others build, too
        os.makedirs(self.state)
        with open(os.path.join(self.code, "plan.json")) as file:  # the names that this build gave to what drivers offer
            text = shrink.shrunk(DRIVER, json.load(file))
        build.compile_text(text, os.path.join(self.code, "firmware", "drivers", "planted.mpy"), name="planted")
        self.provision(config)
        self._options = {"config": os.path.join(self._folder, "config.json"), "state": self.state, "chips": "none",
                         "mac": "02:00:00:a1:b2:c3", "model": "Board of a test", "cause": "hard"}
        self._process = None
        self._ended, self._started = threading.Event(), threading.Event()
        self._thread = None

    def __enter__(self):
        self.go_on()
        return self

    def __exit__(self, *_):
        self.pause()

    def provision(self, config):
        """Write its config.json."""
        with open(os.path.join(self._folder, "config.json"), "w") as file:
            json.dump(config, file)

    def go_on(self):
        """Switch it on."""
        self._ended.clear()
        self._started.clear()
        self._thread = threading.Thread(target=self._live)
        self._thread.start()
        assert self._started.wait(END_S)

    def pause(self):
        """Take its power away."""
        self._ended.set()
        deadline = time.monotonic() + END_S
        while self._thread.is_alive():  # again and again, as it may just be starting the next
            assert time.monotonic() < deadline
            self._process.kill()
            self._thread.join(0.1)

    def _live(self):
        environment = micropython.environment(self.code, os.path.join(self.code, "lib"))
        environment["MOTE_OPTIONS"] = json.dumps(self._options)
        command = micropython.command("-c", run.ENTRY, heap=HEAP)
        while not self._ended.is_set():
            self.starts += 1
            with open(self._log, "ab") as log:
                self._process = subprocess.Popen(
                    command, env=environment, cwd=self._folder, stdin=subprocess.PIPE, stdout=log, stderr=log)
                self._started.set()
                self._process.wait()
                self._process.stdin.close()

    def log(self):
        with open(self._log, errors="replace") as file:
            return file.read()


def configuration(world, crash_s=None):
    sensors = {"computer": {"driver": "host"}}
    if crash_s is not None:
        sensors["boom"] = {"driver": "planted", "low_mv": crash_s}
    config = nodes.configuration(world.broker.port)
    return {**config, "sensors": sensors}


def await_status(world, word, since, limit_s=LIMIT_S):
    topic = "mote/node-a/status"
    return world.auditor.wait_message(topic, limit_s, since, lambda message: message.payload == word).t


def await_rejected(world, since):
    return world.auditor.wait_json(
        "mote/node-a/config", LIMIT_S, since, lambda report: report["state"] == "rejected")


def await_rescue(world, board, limit_s=LIMIT_S):
    await_status(world, b"rescue", 0, limit_s)
    assert board.starts <= STARTS
    return world.auditor.wait_json("mote/node-a/info", LIMIT_S, 0, lambda info: info.get("rescue"))




only_micropython = pytest.mark.parametrize("interpreter", ["micropython"])  # umqtt.simple is for it alone


@only_micropython
@pytest.mark.parametrize("crash_s", [0, 5, pytest.param(50, marks=pytest.mark.slow)])
def test_a_configuration_that_crashes_the_node_leads_to_rescue_and_a_good_one_back(world, crash_s):
    with Restarted(world, configuration(world, crash_s)) as board:
        info = await_rescue(world, board, LIMIT_S + 10 * crash_s)
        assert "planted" in info["rescue"], info
        since = world.auditor.publish(
            "mote/node-a/config/set", {"revision": 1, "patch": {"sensors": {"boom": None}}}, retain=True)
        await_status(world, b"online", since)
        found = world.auditor.wait_json(
            "mote/node-a/config", LIMIT_S, since, lambda one: (one["state"], one["revision"]) == ("applied", 1))
        assert "boom" not in found["config"]["sensors"]
        world.auditor.wait_message("mote/node-a/telemetry/computer", LIMIT_S, since)


@only_micropython
def test_a_broken_file_of_the_node_leads_to_rescue(world):
    with Restarted(world, configuration(world)) as board:
        await_status(world, b"online", 0)
        for name in ("firmware/node", "firmware/desired", "lib/store", "lib/stream"):
            os.rename(os.path.join(board.code, name + ".mpy"), os.path.join(board.code, name + ".kept"))
            with open(os.path.join(board.code, name + ".py"), "w") as file:
                file.write("def x(:\n")
        since = world.auditor.publish("mote/node-a/command/restart", "")
        board._process.kill()
        await_status(world, b"rescue", since)
        assert board.starts <= STARTS
        for name in ("firmware/node", "firmware/desired", "lib/store", "lib/stream"):
            os.remove(os.path.join(board.code, name + ".py"))
            os.rename(os.path.join(board.code, name + ".kept"), os.path.join(board.code, name + ".mpy"))
        world.auditor.publish("mote/node-a/command/restart", '{"id": 7}')
        assert world.auditor.wait_json("mote/node-a/reply", LIMIT_S, since, lambda reply: reply["id"] == 7)["ok"]
        await_status(world, b"online", since)


@only_micropython
def test_rescue_refuses_what_is_wrong_and_goes_back_when_the_cure_is_none(world):
    with Restarted(world, configuration(world, 0)) as board:
        await_rescue(world, board)
        for number, (payload, reason) in enumerate({
                b'{"revision": 1, "patch": {"telemetry": {"interval_s": 0}}}': "mistakes",
                b"\xff\xfe": "not JSON in UTF-8", b"[" * 5_000: "longer than"}.items()):
            since = world.auditor.publish("mote/node-a/config/set", payload)
            found = await_rejected(world, since)
            assert found["revision"] == 0 and reason in found["reason"], (number, found)
        since = world.auditor.publish("mote/node-a/command/sample", '{"id": "x"}')
        assert "rescue" in world.auditor.wait_json("mote/node-a/reply", LIMIT_S, since)["error"]
        since = world.auditor.publish("mote/node-a/config/set", {"revision": 3, "patch": {"mqtt": {"user": "other"}}})
        await_status(world, b"rescue", since)  # it still crashes, so it comes back here
        since = world.auditor.publish("mote/node-a/config/set", b"a" * 20_000)
        assert "longer than" in await_rejected(world, since)["reason"]
        since = world.auditor.publish("mote/node-a/config/set", b"a" * 1_100_000)
        await_status(world, b"offline", since)
        await_status(world, b"rescue", since)  # after a message that is too long for it, too


@only_micropython
def test_a_message_that_is_kept_and_too_long_does_not_cut_rescue_off(world):
    """It comes at each connection, and the cure has to come after it."""
    world.auditor.publish("mote/node-a/config/set", b"[" * 100_000, retain=True)
    with Restarted(world, configuration(world, 0)) as board:
        await_rescue(world, board)
        assert "longer than" in await_rejected(world, 0)["reason"]
        cure = {"revision": 1, "patch": {"sensors": {"boom": None}}}
        since = world.auditor.publish("mote/node-a/config/set", cure, retain=True)
        await_status(world, b"online", since)


@only_micropython
def test_a_damaged_config_json_strands_neither_the_node_nor_rescue(world):
    """Once the node has been well with one, there is a copy."""
    config = {**configuration(world), "telemetry": {"interval_s": 1}}
    with Restarted(world, config) as board:
        await_status(world, b"online", 0)
        board.pause()
        with open(os.path.join(board._folder, "config.json"), "r+b") as file:
            Store(board.state).save("base", file.read())  # as the node does after a while (firmware.starts.prove)
            file.truncate(200)
        board.go_on()
        since = await_status(world, b"online", world.auditor.messages[-1].t)
        found = world.auditor.wait_json("mote/node-a/config", LIMIT_S, since, lambda one: one["state"] == "rejected")
        assert "the last config.json that worked is obeyed instead" in found["reason"]
        world.auditor.wait_message("mote/node-a/telemetry/computer", LIMIT_S, since)
        board.pause()
        Store(board.state).save("starts", b"9")
        board.go_on()
        await_status(world, b"rescue", since)


@only_micropython
def test_with_a_key_rescue_obeys_what_is_signed_and_new(world):
    key = "5a" * 32
    config = {**configuration(world, 0), "config": {"key": key}}
    cure = {"revision": 1, "patch": {"sensors": {"boom": None}}}
    with Restarted(world, config) as board:
        await_rescue(world, board)
        since = world.auditor.publish("mote/node-a/config/set", cure)
        found = await_rejected(world, since)
        assert found["revision"] == 0 and "not signed" in found["reason"]
        for verb in ("restart", "factory-reset"):
            for payload in ('{"id": 1, "n": 9}', signed.sign(key, "node-b", verb, b'{"n": 9}'),
                            signed.sign(key, "node-a", "sample", b'{"n": 9}'),
                            signed.sign(key, "node-a", verb, b"{}")):
                since = world.auditor.publish(f"mote/node-a/command/{verb}", payload)
                assert not world.auditor.wait_json("mote/node-a/reply", LIMIT_S, since)["ok"]
        order = signed.sign(key, "node-a", "restart", b'{"n": 7}')
        since = world.auditor.publish("mote/node-a/command/restart", order)
        assert world.auditor.wait_json("mote/node-a/reply", LIMIT_S, since)["ok"]
        since = await_status(world, b"rescue", since)
        again = world.auditor.publish("mote/node-a/command/restart", order)
        assert "above 7" in world.auditor.wait_json("mote/node-a/reply", LIMIT_S, again)["error"]
        since = world.auditor.publish(
            "mote/node-a/config/set", signed.sign(key, "node-a", "config", json.dumps(cure).encode()), retain=True)
        await_status(world, b"online", since)
        assert key not in board.log() and not [m for m in world.auditor.messages if key.encode() in m.payload]


@only_micropython
def test_mote_run_is_rescue_until_a_command_and_then_the_node_in_the_same_process(world):
    node = world.start_node(world.broker.port)
    await_status(world, b"online", 0)
    node.kill()
    Store(node.state).save("starts", b"9")
    since = node.start() and world.auditor.publish("mote/node-a/log", "now")
    await_status(world, b"rescue", since)
    since = world.auditor.publish("mote/node-a/command/restart", "")
    await_status(world, b"online", since)
    node.kill()
    Store(node.state).save("starts", b"9")
    node.start()
    since = await_status(world, b"rescue", since)
    assert node.terminate() == 0
    await_status(world, b"offline", since)


@only_micropython
def test_rescue_gives_up_what_was_on_trial_and_says_so(world):
    config = configuration(world)
    with Restarted(world, config) as board:
        await_status(world, b"online", 0)
        document = {"revision": 3, "patch": {"mqtt": {"port": free_port()}}, "old": {"node": {"name": "Before"}}}
        board.pause()
        Store(board.state).save("config", json.dumps(document).encode())
        Store(board.state).save("starts", b"9")
        board.go_on()
        since = await_status(world, b"rescue", 0)
        found = world.auditor.wait_json(
            "mote/node-a/config", LIMIT_S, since, lambda report: report["state"] == "rolled-back")
        assert (found["revision"], found["patch"]) == (3, {"node": {"name": "Before"}})


@only_micropython
def test_rescue_verifies_the_broker_and_never_speaks_in_plain(world):
    tls = secured(world)
    config = configuration(world, 0)
    config["mqtt"].update(port=tls, user="node-a", tls={"ca": other_authority(world)})
    with Restarted(world, config) as board:
        world.auditor.wait(lambda: "rescue: OSError unknown CA" in board.log(), LIMIT_S, "refusal of the authority")
        board.pause()
        assert not [message for message in world.auditor.messages if message.payload == b"rescue"]
        config["mqtt"]["tls"] = {"ca": world.ours.pem}
        board.provision(config)
        board.go_on()
        await_rescue(world, board)


@only_micropython
def test_mote_config_set_heals_a_node_that_was_never_online(world):
    with Restarted(world, configuration(world, 0)) as board:
        await_rescue(world, board)
        done = subprocess.run(
            [sys.executable, "-m", "tools", "config", "set", "node-a", "sensors.boom=null", "--broker",
             f"127.0.0.1:{world.broker.port}"], cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S)
        assert (done.returncode, done.stdout) == (0, "node-a: applied as revision 1\n"), done
        await_status(world, b"online", 0)
