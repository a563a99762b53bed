"""What a node says once a connection: who it is, for people and tools, and for Home Assistant's discovery.

Functions of the node's topic prefix, its configuration, the facts about it and its sensors, a list of (name,
quantities, interval in seconds). A message is as in mote.py; the documents are never whole in memory.
"""

import json


class Document:
    """Pieces of a JSON object that are made anew each time they are iterated, small ones: the heap is in pieces, too.

    `pairs(*arguments)` yields (key, text of the value, or pieces of it).
    """

    def __init__(self, pairs, *arguments):
        self._pairs = pairs
        self._arguments = arguments

    def __iter__(self):
        opening = '{"'
        for key, value in self._pairs(*self._arguments):
            yield opening + key + '":'
            if isinstance(value, str):
                yield value
            else:
                yield from value
            opening = ',"'
        yield "}" if opening == ',"' else "{}"


def info(top, config, about, sensors, address):
    """The retained message `info`."""
    return top + "info", Document(_info, config, about, sensors, address), True, 1


def _info(config, about, sensors, address):
    for key in about:
        yield key, json.dumps(about[key])
    yield "ip", json.dumps(address)
    for key in ("name", "area"):
        yield key, json.dumps(config["node"][key])
    yield "sensors", Document(_sensors, sensors)


def _sensors(sensors):
    for name, quantities, interval_s in sensors:
        units = {quantity[0]: quantity[2] for quantity in quantities}
        yield name, '{"interval_s":%d,"quantities":%s}' % (interval_s, json.dumps(units))


def discovery(top, config, about, sensors):
    """Home Assistant's device document (since 2024.11), retained."""
    topic = "%s/device/%s/config" % (config["homeassistant"]["prefix"], about["id"])
    return topic, Document(_discovery, top, config["node"], about, sensors), True, 1


def _discovery(top, node, about, sensors):
    device = {"ids": [about["id"]], "name": node["name"] or about["id"], "mf": "Mote", "mdl": about["board"]}
    device["sw"] = about["firmware"]
    if node["area"]:
        device["sa"] = node["area"]
    yield "dev", json.dumps(device)
    yield "o", '{"name":"Mote","sw":"%s"}' % about["firmware"]
    yield "avty_t", '"%sstatus"' % top
    yield "cmps", Document(_components, top, about["id"], sensors)


def _components(top, node_id, sensors):
    classes = [quantity[4] for sensor in sensors for quantity in sensor[1]]
    for name, quantities, interval_s in sensors:
        for quantity in quantities:
            named = quantity[4] is None or classes.count(quantity[4]) > 1
            key = "%s_%s" % (name, quantity[0])
            yield key, Document(_entity, top, node_id + "_" + key, name, quantity, interval_s, named)
    for verb, category in (("restart", "config"), ("identify", "diagnostic")):
        yield verb, Document(_button, top, node_id, verb, category)


def _entity(top, unique_id, sensor, quantity, interval_s, named):
    name, kind, unit, decimals, device_class = quantity[:5]
    yield "p", '"binary_sensor"' if kind == "b" else '"sensor"'
    yield "uniq_id", '"%s"' % unique_id
    yield "stat_t", '"%stelemetry/%s"' % (top, sensor)
    yield "val_tpl", '"{{ value_json.%s }}"' % name
    yield "exp_aft", str(60 + 4 * interval_s)
    if kind == "b":
        yield "pl_on", '"1"'
        yield "pl_off", '"0"'
    else:
        yield "stat_cla", '"total_increasing"' if kind == "t" else '"measurement"'
        yield "sug_dsp_prc", str(decimals)
    if unit:
        yield "unit_of_meas", '"%s"' % unit
    if device_class:
        yield "dev_cla", '"%s"' % device_class
    if named:
        yield "name", '"%s"' % (sensor + " " + name).replace("_", " ")


def _button(top, node_id, verb, category):
    yield "p", '"button"'
    yield "uniq_id", '"%s_%s"' % (node_id, verb)
    yield "dev_cla", '"%s"' % verb
    yield "ent_cat", '"%s"' % category
    yield "cmd_t", '"%scommand/%s"' % (top, verb)
