"""What a node says once a connection: who it is, for people and tools, and for Home Assistant's discovery.

Functions of the node's topic prefix, its configuration, the facts about it and its sensors, a list of (name,
quantities, interval in seconds). A message is as in mote.py; the documents are never whole in memory.
"""

import json


class Joined:
    """Pieces that are made anew each time they are iterated: head, items with commas between, tail."""

    def __init__(self, head, items, *arguments):
        self._head = head
        self._items = items
        self._arguments = arguments

    def __iter__(self):
        yield self._head
        comma = ""
        for item in self._items(*self._arguments):
            yield comma + item
            comma = ","
        yield "}}"


def info(top, config, about, sensors, address):
    """The retained message `info`."""
    about = dict(about)
    about["ip"] = address
    for key in ("name", "area"):
        about[key] = config["node"][key]
    return top + "info", Joined(json.dumps(about)[:-1] + ',"sensors":{', _described, sensors), True, 1


def _described(sensors):
    for name, quantities, interval_s in sensors:
        units = {quantity[0]: quantity[2] for quantity in quantities}
        yield '"%s":{"interval_s":%d,"quantities":%s}' % (name, interval_s, json.dumps(units))


def discovery(top, config, about, sensors):
    """Home Assistant's device document (since 2024.11), retained."""
    node = config["node"]
    device = {"ids": [about["id"]], "name": node["name"] or about["id"], "mf": "Mote"}
    device["mdl"] = about["board"]
    device["sw"] = about["firmware"]
    if node["area"]:
        device["sa"] = node["area"]
    head = '{"dev":%s,"o":{"name":"Mote","sw":"%s"},"avty_t":"%sstatus","cmps":{' % (
        json.dumps(device), device["sw"], top,
    )
    topic = "%s/device/%s/config" % (config["homeassistant"]["prefix"], about["id"])
    return topic, Joined(head, _components, top, about["id"], sensors), True, 1


def _components(top, node_id, sensors):
    classes = [quantity[4] for sensor in sensors for quantity in sensor[1]]
    for name, quantities, interval_s in sensors:
        for quantity in quantities:
            named = quantity[4] is None or classes.count(quantity[4]) > 1
            yield _component(top, node_id, name, quantity, interval_s, named)
    button = '"%s":{"p":"button","uniq_id":"%s_%s","dev_cla":"%s","ent_cat":"%s","cmd_t":"%scommand/%s"}'
    for verb, category in (("restart", "config"), ("identify", "diagnostic")):
        yield button % (verb, node_id, verb, verb, category, top, verb)


def _component(top, node_id, sensor, quantity, interval_s, named):
    name, kind, unit, decimals, device_class = quantity[:5]
    part = {"uniq_id": "%s_%s_%s" % (node_id, sensor, name), "stat_t": top + "telemetry/" + sensor}
    part["p"] = "binary_sensor" if kind == "b" else "sensor"
    part["val_tpl"] = "{{ value_json.%s }}" % name
    part["exp_aft"] = 60 + 4 * interval_s
    if kind == "b":
        part["pl_on"] = "1"
        part["pl_off"] = "0"
    else:
        part["stat_cla"] = "total_increasing" if kind == "t" else "measurement"
        part["sug_dsp_prc"] = decimals
    if unit:
        part["unit_of_meas"] = unit
    if device_class:
        part["dev_cla"] = device_class
    if named:
        part["name"] = (sensor + " " + name).replace("_", " ")
    return '"%s_%s":%s' % (sensor, name, json.dumps(part))
