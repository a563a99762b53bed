"""The verbs of `mote` with a real node: what a person types, and what then holds."""

import json
import subprocess
import sys

from tools import ROOT, errors

from .auditor import retained

LIMIT_S = 60
START_LIMIT_S = 30
SECRET = "planted-network-secret"


class Desk:
    """A node that is online, and the console script beside it."""

    def __init__(self, world, **sections):
        self.port = world.broker.port
        self.node = world.start_node(self.port, **sections)
        world.auditor.wait_message(self.node.topic("status"), START_LIMIT_S, accept=lambda m: m.payload == b"online")
        world.auditor.wait_json(self.node.topic("diagnostics"), START_LIMIT_S)

    def mote(self, *words):
        """Run a verb to its end; returns (exit status, standard output)."""
        done = subprocess.run(self._command(words), cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S)
        assert "Traceback" not in done.stderr and SECRET not in done.stdout + done.stderr
        return done.returncode, done.stdout

    def start(self, *words):
        """Start a verb."""
        return subprocess.Popen(
            self._command(words), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def config(self):
        """The reported document, as `mote config get --json` tells it."""
        return json.loads(self.mote("config", "get", self.node.id, "--json")[1])

    def _command(self, words):
        return [sys.executable, "-m", "tools", *words, "--broker", f"127.0.0.1:{self.port}"]


def test_config_set_unset_and_diff(world):
    desk = Desk(world)
    status, said = desk.mote("config", "set", desk.node.id, "telemetry.interval_s=2", "node.name=Attic room",
                             "sensors.air=null", 'sensors.pc={"driver": "host"}')
    assert (status, said) == (errors.DONE, "node-a: applied as revision 1\n")
    assert desk.config()["config"]["sensors"] == {"pc": {"driver": "host"}}
    assert desk.mote("config", "unset", desk.node.id, "sensors", "node.name")[0] == errors.DONE
    _, said = desk.mote("config", "diff", desk.node.id)
    assert said.splitlines()[1:] == ["telemetry.interval_s = 2"]
    assert list(desk.config()["config"]["sensors"]) == ["air"]


def test_config_set_that_is_rejected_changes_nothing(world):
    desk = Desk(world)
    before = desk.config()
    status, said = desk.mote(
        "config", "set", desk.node.id, "telemetry.interval_s=often", "nonsense=1", "mqtt.port=99999")
    assert status == errors.FAILED
    for words in ('telemetry.interval_s: found "often", allowed', "nonsense: found 1", "mqtt.port: found 99999"):
        assert words in said
    after = desk.config()
    assert (after["state"], after["config"], after["patch"]) == ("rejected", before["config"], {})


def test_config_set_of_a_secret_leaves_it_with_the_node_alone(world):
    desk = Desk(world)
    assert desk.mote("config", "set", desk.node.id, f"wifi.attic.net.password={SECRET}")[0] == errors.DONE
    assert any(SECRET.encode() in data for data in desk.node.flash().values())
    assert desk.mote("config", "set", desk.node.id, "telemetry.interval_s=1", "mqtt.keepalive_s=6")[0] == errors.DONE
    assert any(SECRET.encode() in data for data in desk.node.flash().values())
    assert (desk.config()["state"], desk.config()["revision"]) == ("applied", 2)
    assert SECRET.encode() not in retained(desk.port, desk.node.topic("config/set"))


def test_config_set_of_a_group(world):
    desk = Desk(world)
    assert desk.mote("config", "set", "--group", "lab", "telemetry.interval_s=2") == (
        errors.DONE, "node-a: applied as revision 1\n")
    assert desk.mote("config", "get", desk.node.id, "telemetry.interval_s") == (errors.DONE, "2\n")


def test_command(world):
    desk = Desk(world)
    for verb in ("sample", "identify"):
        assert desk.mote("command", desk.node.id, verb) == (errors.DONE, f"node-a: {verb} done\n")
    status, said = desk.mote("command", desk.node.id, "report")
    assert status == errors.DONE and said.startswith("node-a: report done\n")
    assert "link: online" in said  # the story of the node's last events comes with it
    status, said = desk.mote("command", desk.node.id, "fly")
    assert status == errors.FAILED and "unknown verb" in said
    since = world.auditor.messages[-1].t
    assert desk.mote("command", desk.node.id, "restart")[0] == errors.DONE
    world.auditor.wait_message(desk.node.topic("status"), START_LIMIT_S, since, lambda m: m.payload == b"online")


def test_audit_of_a_restart_finds_nothing_missing(world):
    desk = Desk(world)
    audit = desk.start("audit", "--seconds", "6", "--json")
    assert "subscribed" in audit.stderr.readline()
    assert desk.mote("command", desk.node.id, "restart")[0] == errors.DONE
    stdout, _ = audit.communicate(timeout=LIMIT_S)
    report = json.loads(stdout)
    assert (audit.returncode, report["ok"]) == (errors.DONE, True)
    assert report["nodes"]["node-a"]["gaps"] == [] and report["nodes"]["node-a"]["received"] > 3


def test_watch_shows_units_and_status(world):
    desk = Desk(world)
    status, said = desk.mote("watch", "--seconds", "2.5")
    assert status == errors.DONE
    table = said.rpartition("\n\n")[2]
    assert "node-a" in table and "online" in table and "Test node, Bench" in table
    assert "°C" in table and "hPa" in table
