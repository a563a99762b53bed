"""The mote dialect: topics and payloads (JSON), and what Home Assistant needs to find the node by itself.

A message is (topic, payload, retain, QoS). A long payload is an iterable of pieces that can be iterated again.
"""

import json

ONLINE, OFFLINE = "online", "offline"

_STATE_CLASSES = {"m": "measurement", "t": "total_increasing"}


class Dialect:
    """`sensors` is a list of (name, quantities, interval in seconds); `about` has the facts that `info` tells."""

    def __init__(self, config, about, sensors):
        self.node_id = about["id"]
        self._config = config
        self._about = about
        self._sensors = sensors
        base = config["mqtt"]["base"]
        self._top = base + "/" + self.node_id + "/"
        self._all = base + "/all/command/"
        self._group = base + "/group/"
        self._announce = config["homeassistant"]["prefix"] + "/status"
        wide = [self._all + "+"] + [self._group + group + "/command/+" for group in config["node"]["groups"]]
        own = [self._top + "config/set", self._top + "command/+"]
        if config["homeassistant"]["controls"]:
            own.append(self._top + "config/set/+")
        self.subscriptions = [(topic, 1) for topic in own + wide]
        if config["homeassistant"]["discovery"]:
            self.subscriptions.append((self._announce, 0))

    def route(self, topic, payload, retained):
        """(kind, name, wide) of what came in, kind being "config", "key", "command" or "announce"; None to ignore it.

        Only the desired configuration may be retained: an old command must not be obeyed again at each connection.
        """
        if topic == self._top + "config/set":  # an empty one only clears what the broker kept
            return None if payload == b"" else ("config", None, False)
        if retained:
            return None
        if topic == self._announce:
            return ("announce", None, True) if payload == b"online" else None
        if topic.startswith(self._top + "config/set/"):
            return "key", topic[len(self._top) + 11 :], False
        at = topic.rfind("/command/")
        return "command", topic[at + 9 :], not topic.startswith(self._top)

    def status(self, word):
        """Retained `online`, or `offline`, which is also the last will."""
        return self._top + "status", word, True, 1

    def info(self, address):
        """Who this is, for people and tools."""
        about = dict(self._about)
        about["ip"] = address
        for key in ("name", "area"):
            about[key] = self._config["node"][key]
        head = json.dumps(about)[:-1] + ',"sensors":{'
        return self._top + "info", _Joined(head, self._describe, "}}"), True, 1

    def report(self, pieces):
        """The reported configuration."""
        return self._top + "config", pieces, True, 1

    def diagnostics(self, fields):
        """Counters and health."""
        return self._top + "diagnostics", json.dumps(fields), False, 0

    def reply(self, fields):
        """The answer to a command."""
        return self._top + "reply", json.dumps(fields), False, 1

    def live(self, reading):
        """Topic and payload of a fresh reading (name, quantities, seq, Unix time or None, values)."""
        return self._top + "telemetry/" + reading[0], "{" + self._fields(reading)

    def backlog(self, readings):
        """Topic and pieces of a batch of buffered readings, oldest first."""
        pieces = []
        for reading in readings:
            pieces.append('%s{"sensor":"%s",' % ("," if pieces else "[", reading[0]) + self._fields(reading))
        pieces.append("]")
        return self._top + "backlog", pieces

    def discovery(self):
        """Home Assistant's device document, or None when it is not wanted."""
        settings = self._config["homeassistant"]
        if not settings["discovery"]:
            return None
        node = self._config["node"]
        device = {"ids": [self.node_id], "name": node["name"] or self.node_id, "mf": "Mote"}
        device["mdl"] = self._about["board"]
        device["sw"] = self._about["firmware"]
        if node["area"]:
            device["sa"] = node["area"]
        head = '{"dev":%s,"o":{"name":"Mote","sw":"%s"},"avty_t":"%sstatus","cmps":{' % (
            json.dumps(device), device["sw"], self._top,
        )
        topic = "%s/device/%s/config" % (settings["prefix"], self.node_id)
        return topic, _Joined(head, self._components, "}}"), True, 1

    def _fields(self, reading):
        _, quantities, seq, time_s, values = reading
        text = '"ts":%s,"boot":%d,"seq":%d' % ("null" if time_s is None else time_s, self._about["boot"], seq)
        for quantity, value in zip(quantities, values):
            text += ',"%s":%s' % (quantity[0], "null" if value is None else "%.*f" % (quantity[3], value))
        return text + "}"

    def _describe(self):
        for name, quantities, interval_s in self._sensors:
            units = {quantity[0]: quantity[2] for quantity in quantities}
            yield '"%s":{"interval_s":%d,"quantities":%s}' % (name, interval_s, json.dumps(units))

    def _components(self):
        classes = [quantity[4] for sensor in self._sensors for quantity in sensor[1]]
        for name, quantities, interval_s in self._sensors:
            for quantity in quantities:
                named = quantity[4] is None or classes.count(quantity[4]) > 1
                yield self._component(name, quantity, interval_s, named)
        button = '"%s":{"p":"button","uniq_id":"%s_%s","dev_cla":"%s","ent_cat":"%s","cmd_t":"%scommand/%s"}'
        for verb, category in (("restart", "config"), ("identify", "diagnostic")):
            yield button % (verb, self.node_id, verb, verb, category, self._top, verb)

    def _component(self, sensor, quantity, interval_s, named):
        name, kind, unit, decimals, device_class = quantity[:5]
        part = {"uniq_id": "%s_%s_%s" % (self.node_id, sensor, name), "stat_t": self._top + "telemetry/" + sensor}
        part["p"] = "binary_sensor" if kind == "b" else "sensor"
        part["val_tpl"] = "{{ value_json.%s }}" % name
        part["exp_aft"] = 60 + 4 * interval_s
        if kind == "b":
            part["pl_on"] = "1"
            part["pl_off"] = "0"
        else:
            part["stat_cla"] = _STATE_CLASSES[kind]
            part["sug_dsp_prc"] = decimals
        if unit:
            part["unit_of_meas"] = unit
        if device_class:
            part["dev_cla"] = device_class
        if named:
            part["name"] = (sensor + " " + name).replace("_", " ")
        return '"%s_%s":%s' % (sensor, name, json.dumps(part))


class _Joined:
    """Pieces that are made anew each time they are iterated: head, items with commas between, tail."""

    def __init__(self, head, items, tail):
        self._head = head
        self._items = items
        self._tail = tail

    def __iter__(self):
        yield self._head
        comma = ""
        for item in self._items():
            yield comma + item
            comma = ","
        yield self._tail
