"""What a flight recorder tells, lived through once more by one simulated node: the run of `mote sim --replay`."""

import json

from tools import errors
from tools.sim import flight, scenario
from tools.sim.faults import KINDS, Fault, Kind
from tools.sim.hardware import Hardware
from tools.sim.mote import Mote
from tools.sim.place import TIME_SERVERS
from tools.sim.radio import AccessPoint
from tools.sim.run import LIVENESS_S, Run

BEGIN_S = 120.0  # by then the node is online
_AFTER_S = 120  # faults are over; the node may find its way back before it is asked to
_MOST_S = 3 * 86_400


def load(path):
    """(the events of a recording, how many other lines it has). Raises UserError."""
    try:
        with open(path, encoding="utf-8") as file:
            told, others = flight.events(file.read())
    except OSError as error:
        raise errors.UserError(f"cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        raise errors.UserError(f"{path}: {error}") from None
    if told[-1].at_s > _MOST_S:
        raise errors.UserError(f"{path}: events over {told[-1].at_s / 86_400:.0f} days; three at most can be replayed")
    return told, others


def adapted(document):
    """(a node's configuration as the simulator can have it, what that leaves out). Secrets become the simulator's."""
    document = json.loads(json.dumps(document))
    mqtt = {key: value for key, value in document.get("mqtt", {}).items() if key in ("keepalive_s", *_BACKOFF)}
    left = []
    for key, plain in (("tls", None), ("path", None), ("version", 4)):
        if document.get("mqtt", {}).get(key) not in (None, plain):
            left.append((f"mqtt.{key}", "the simulated broker speaks MQTT 3.1.1 over plain TCP"))
    for name in [name for name, options in document.get("sensors", {}).items() if not _simulated(options)]:
        del document["sensors"][name]
        left.append((f"sensors.{name}", "there is no simulated chip for its driver"))
    for name, options in document.get("wifi", {}).items():
        document["wifi"][name] = {**options, "password": options.get("password") and scenario.PASSWORD}
    if (document.get("config") or {}).get("key"):
        document["config"]["key"] = scenario.KEY
    document["node"] = {**document.get("node", {}), "id": (document.get("node") or {}).get("id") or "replayed"}
    return {**document, "mqtt": {"host": "broker", **mqtt}, "time": {"servers": list(TIME_SERVERS)},
            "wifi": document.get("wifi") or {scenario.SSID: {"password": scenario.PASSWORD}}}, left


_BACKOFF = ("reconnect_window_s", "reconnect_cap_s")


def _simulated(options):
    try:
        return bool(options) and bool(__import__("tools.sim.chips." + options["driver"], None, None, ("Chip",)).Chip)
    except ImportError:
        return False


class Repeat(Run):
    """A run of one node with the faults of a flight.Plan instead of a seed's."""

    kinds = {
        **KINDS,
        "broker-hangs-up": Kind("node", 0, 0, 0, lambda run, mote, chance: mote.hardware.path.reset()),
        "hang": Kind("node", 0, 0, 0, lambda run, mote, chance: mote.cut("watchdog", run.dark_s())),
        "power-cut": Kind("node", 0, 0, 0, lambda run, mote, chance: mote.cut("power-on", run.dark_s())),
        "reset-button": Kind("node", 0, 0, 0, lambda run, mote, chance: mote.cut("soft", run.dark_s())),
        "command": Kind("node", 0, 0, 0, lambda run, mote, chance: run.give(mote)),
        "sensor-missing": Kind("node", 0, 0, 0, lambda run, mote, chance: run.lose_sensor(mote)),
    }

    def __init__(self, setup, plan, document, say=None, history=False):
        self.plan = plan
        self.document = document
        self.said = []
        super().__init__(setup, say=say, history=history)
        self.faults = [Fault(number, wanted.kind, 0, BEGIN_S + wanted.at_s, wanted.lasts_s, 0.5)
                       for number, wanted in enumerate(plan.wanted)]
        self._now = None  # the number of the fault that begins

    def windows(self):
        yield BEGIN_S, BEGIN_S + self.plan.lasts_s + _AFTER_S

    def make_motes(self):
        """One node, with the configuration that the recorded one had."""
        document = self.document
        points = [AccessPoint(ssid, options["password"]) for ssid, options in document["wifi"].items()]
        name = document["node"]["id"]
        hardware = Hardware(self.place, name, 0, points, json.dumps(document).encode())
        return [Mote(hardware, self.watch, document.get("sensors", {}), 0)]

    def _begin(self, fault):
        self._now = fault.number
        super()._begin(fault)

    def dark_s(self):
        """How long the board is dark that is cut now."""
        return self.plan.wanted[self._now].lasts_s

    def give(self, mote):
        """Give the command that was recorded."""
        self.operator.publish(mote, "command/" + self.plan.wanted[self._now].detail, b'{"id":"replayed"}')

    def lose_sensor(self, mote):
        """The sensor that was recorded is not there, as the drivers are built anew."""
        chip = mote.hardware.buses.chips.get(self.plan.wanted[self._now].detail)
        if chip is None:
            return None
        chip.fault = "missing"
        return lambda: setattr(chip, "fault", None)

    def _heard(self, t_s, node, text):
        super()._heard(t_s, node, text)
        self.said.append(flight.Event(t_s - BEGIN_S, text[:40]))


def verdict(told, document, setup, say=None, history=False):
    """(the verdict of the replay, its Run): as of any run, and `replayed`: what was carried over, what was not and why,
    and how many of the recorded events the simulated node met again in their order."""
    document, left = (scenario.configuration(None, 0, setup.interval_s, False), []) if document is None else adapted(
        document)
    plan = flight.plan(told)
    known = [fault for fault in plan.wanted if fault.kind != "sensor-missing" or fault.detail in document["sensors"]]
    left += plan.left + [(fault.line, "the configuration has no such sensor, or none that is simulated")
                         for fault in plan.wanted if fault not in known]
    days = (BEGIN_S + plan.lasts_s + _AFTER_S + LIVENESS_S) / 86_400
    run = Repeat(setup._replace(nodes=1, days=days, faults=(), varied=False), plan._replace(wanted=known), document,
                 say, history)
    result = run.go()
    again, all_of_them = _again(told, [event for event in run.said if event.at_s <= plan.lasts_s + 60])
    return {**result, "replayed": {
        "events": len(told), "again": again, "comparable": all_of_them,
        "carried": [{"fault": fault.kind, "at_s": round(fault.at_s, 1), "lasts_s": round(fault.lasts_s, 1),
                     "event": fault.line} for fault in known],
        "left": [{"event": line, "why": why} for line, why in left]}}, run


def _again(told, said):
    """(how many recorded events the simulated node's log has as well, in their order; how many could be)."""
    ours, theirs = ([sign for _, sign in flight.signs(events) if sign[0] != "other"] for events in (told, said))
    most = [0] * (len(theirs) + 1)  # the longest subsequence that `ours` so far has with each beginning of `theirs`
    for sign in ours:
        before = most[:]
        for index, other in enumerate(theirs):
            most[index + 1] = before[index] + 1 if sign == other else max(before[index + 1], most[index])
    return most[-1], len(ours)


def text(replayed):
    """What was carried over, for people, as lines."""
    lines = [f"of {replayed['events']} recorded events {len(replayed['carried'])} faults were made:"]
    for fault in replayed["carried"]:
        lasts = f" for {fault['lasts_s']:g} s" if fault["lasts_s"] else ""
        lines.append(f"  {fault['at_s']:8.1f} s  {fault['fault']}{lasts}  ({fault['event']})")
    if replayed["left"]:
        lines.append("not carried over:")
        lines += [f"  {entry['event']}: {entry['why']}" for entry in replayed["left"]]
    lines.append(f"the simulated node met {replayed['again']} of {replayed['comparable']} events again, in their order")
    return lines
