"""What a node says once a connection: who it is, for people and tools, and for Home Assistant's discovery.

Functions of the node's topic prefix, its configuration, the facts about it and its sensors, a list of (name,
quantities, interval in seconds). A message is as in mote.py; the documents are never whole in memory.
"""

import json

# The entities that every node has, one a line: key (no sensor's has the form of one) and component, in which @ stands
# for the node's topics. What changes all the time is hidden until somebody asks. The numbers are keys of the
# configuration that a person turns, with the bounds that the table of keys has. One text: it takes a third of the
# memory that tuples would.
_FIXED = (
    'restart {"p":"button","cmd_t":"@command/restart","dev_cla":"restart","ent_cat":"config"}\n'
    'identify {"p":"button","cmd_t":"@command/identify","dev_cla":"identify","ent_cat":"diagnostic"}\n'
    'sample {"p":"button","cmd_t":"@command/sample","name":"Sample","ent_cat":"diagnostic"}\n'
    'rssi {"p":"sensor","stat_t":"@diagnostics","val_tpl":"{{ value_json.rssi }}",'
    '"dev_cla":"signal_strength","unit_of_meas":"dBm","stat_cla":"measurement","ent_cat":"diagnostic","en":false}\n'
    'heap-free {"p":"sensor","stat_t":"@diagnostics","val_tpl":"{{ value_json.heap_free }}","name":"Free heap",'
    '"dev_cla":"data_size","unit_of_meas":"B","stat_cla":"measurement","ent_cat":"diagnostic","en":false}\n'
    'reconnects {"p":"sensor","stat_t":"@diagnostics","val_tpl":"{{ value_json.reconnects }}",'
    '"name":"Reconnects","stat_cla":"total_increasing","ent_cat":"diagnostic","en":false}\n'
    'queued {"p":"sensor","stat_t":"@diagnostics","val_tpl":"{{ value_json.queued }}",'
    '"name":"Readings queued","stat_cla":"measurement","ent_cat":"diagnostic"}\n'
    'dropped {"p":"sensor","stat_t":"@diagnostics","name":"Readings dropped",'
    '"val_tpl":"{{ value_json.dropped.values() | sum }}","stat_cla":"total_increasing","ent_cat":"diagnostic"}\n'
    'reset-cause {"p":"sensor","stat_t":"@info","val_tpl":"{{ value_json.reset_cause }}",'
    '"name":"Reset cause","ent_cat":"diagnostic"}\n'
    'interval {"p":"number","name":"Interval","stat_t":"@config",'
    '"val_tpl":"{{ value_json.config.telemetry.interval_s }}","cmd_t":"@config/set/telemetry.interval_s",'
    '"min":1,"max":86400,"mode":"box","unit_of_meas":"s","ent_cat":"config"}\n'
    'diagnostics-interval {"p":"number","name":"Diagnostics interval","stat_t":"@config",'
    '"val_tpl":"{{ value_json.config.telemetry.diagnostics_s }}","cmd_t":"@config/set/telemetry.diagnostics_s",'
    '"min":1,"max":86400,"mode":"box","unit_of_meas":"s","ent_cat":"config"}\n'
    'firmware {"p":"update","stat_t":"@update","dev_cla":"firmware","ent_cat":"diagnostic"}\n'
)
_ANNOUNCED = "announced"
_MAX_GONE = 32  # entities that are no more and still cleared: 30 bytes each in the document


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


def gone(files, config, sensors):
    """What was announced once and is no more, as "platform.key"; remembers what is announced now.

    Leaving a component out removes nothing in Home Assistant, and it may be away when a document clears one, so that
    what is gone is cleared in each document from then on.
    """
    now = [_platform(quantity) + "." + _key(sensor, quantity) for sensor in sensors for quantity in sensor[1]]
    now += ["number." + key for key, text in _fixed(config["homeassistant"]["controls"]) if _is_number(text)]
    stored = files.load(_ANNOUNCED)
    before = str(stored, "utf-8").split(" ") if stored else []
    gone = [word for word in before if word not in now][-_MAX_GONE:]
    words = " ".join(gone + now).encode()
    if words != stored:
        try:
            files.save(_ANNOUNCED, words)
        except OSError:
            pass  # a full flash: what goes from now on will stay in Home Assistant until it is deleted there
    return gone


def _fixed(controls):
    """Yield (key, component) of the entities that every node has; without the numbers when they would not be obeyed."""
    at = 0
    while at < len(_FIXED):
        end = _FIXED.find("\n", at)
        key, text = _FIXED[at:end].split(" ", 1)
        if controls or not _is_number(text):
            yield key, text
        at = end + 1


def _is_number(text):
    return text.startswith('{"p":"number"')


def _platform(quantity):
    return "binary_sensor" if quantity[1] == "b" else "sensor"


def _key(sensor, quantity):
    return sensor[0] + "_" + quantity[0]


def discovery(top, config, about, sensors, gone):
    """Home Assistant's device document (since 2024.11), retained; it clears each "platform.key" of `gone`."""
    topic = "%s/device/%s/config" % (config["homeassistant"]["prefix"], about["id"])
    return topic, Document(_discovery, top, config, about, sensors, gone), True, 1


def update(top, about):
    """The retained state of the update entity: there are no releases to compare with, so the latest is this one."""
    text = '{"installed_version":"%s","latest_version":"%s"}' % (about["firmware"], about["firmware"])
    return top + "update", text, True, 1


def _discovery(top, config, about, sensors, gone):
    node = config["node"]
    device = {"ids": [about["id"]], "name": node["name"] or about["id"], "mf": "Mote", "mdl": about["board"]}
    device["sw"] = about["firmware"]
    device["sn"] = about["mac"]
    if node["area"]:
        device["sa"] = node["area"]
    yield "dev", json.dumps(device)
    yield "o", '{"name":"Mote","sw":"%s"}' % about["firmware"]
    yield "avty_t", '"%sstatus"' % top
    yield "cmps", Document(_components, top, about["id"], sensors, gone, config["homeassistant"]["controls"])


def _components(top, node_id, sensors, gone, controls):
    classes = [quantity[4] for sensor in sensors for quantity in sensor[1]]
    for name, quantities, interval_s in sensors:
        for quantity in quantities:
            named = quantity[4] is None or classes.count(quantity[4]) > 1
            key = _key((name,), quantity)
            yield key, Document(_entity, top, node_id + "_" + key, name, quantity, interval_s, named)
    for key, text in _fixed(controls):
        yield key, '{"uniq_id":"%s_%s",%s' % (node_id, key, text[1:].replace("@", top))
    for word in gone:
        platform, key = word.split(".")
        yield key, '{"p":"%s"}' % platform


def _entity(top, unique_id, sensor, quantity, interval_s, named):
    name, kind, unit, decimals, device_class = quantity[:5]
    yield "p", '"%s"' % _platform(quantity)
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
        label = (sensor + " " + name).replace("_", " ")
        yield "name", '"%s"' % (label[0].upper() + label[1:])
