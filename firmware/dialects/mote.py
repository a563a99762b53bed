"""The mote dialect: topics and payloads (JSON). What is said once a connection is in files of its own.

A message is (topic, payload, retain, QoS). A long payload is an iterable of pieces that can be iterated again.
"""

import json

_HERE = "firmware.dialects.mote_"


class Pieces:
    """A long payload, made anew each time it is iterated by the function `pieces` of a module that is only lent."""

    def __init__(self, fetch, name, *facts):
        self._fetch = fetch
        self._name = name
        self._facts = facts

    def __iter__(self):
        return self._fetch(self._name).pieces(*self._facts)


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
        own = [self._top + "config/set", self._top + "command/+", self._top + "probe"]
        if config["homeassistant"]["controls"]:
            own.append(self._top + "config/set/+")
        self.subscriptions = [(topic, 1) for topic in own + wide]
        if config["homeassistant"]["discovery"]:
            self.subscriptions.append((self._announce, 0))

    def route(self, topic, payload, retained):
        """(kind, name, wide) of what came in, kind "config", "key", "command", "probe" or "announce"; or None.

        Only the desired configuration may be retained: an old command must not be obeyed again at each connection.
        """
        if topic == self._top + "config/set":  # an empty one only clears what the broker kept
            return None if payload == b"" else ("config", None, False)
        if retained:
            return None
        if topic == self._top + "probe":
            return "probe", None, False
        if topic == self._announce:
            return ("announce", None, True) if payload == b"online" else None
        if topic.startswith(self._top + "config/set/"):
            return "key", topic[len(self._top) + 11 :], False
        at = topic.rfind("/command/")
        if at < 0:
            return None
        return "command", topic[at + 9 :], not topic.startswith(self._top)

    def status(self, word):
        """Retained `online`, or `offline`, which is also the last will."""
        return self._top + "status", word, True, 1

    def birth(self, fetch, board):
        """Yield the messages that introduce the node; `fetch` loads the code for each, one after the other."""
        facts = self._top, self._config, self._about, self._sensors
        discovery = self._config["homeassistant"]["discovery"]
        if discovery:
            topic = "%s/device/%s/config" % (self._config["homeassistant"]["prefix"], self.node_id)
            controls = self._config["homeassistant"]["controls"]
            more = fetch(_HERE + "entities").look(board.files, self._sensors, controls)
            yield topic, Pieces(fetch, _HERE + "discovery", facts, more), True, 1
            more = None
        yield self.status("online")
        past = fetch("firmware.boots").told(board.files)
        yield self._top + "info", Pieces(fetch, _HERE + "info", facts, board.address(), past), True, 1
        if discovery:  # there are no releases to compare with, so the latest is this one
            yield self._top + "update", self._about["firmware"], True, 1

    def report(self, fetch, board, settings):
        """The reported configuration, as it is now; `settings` are those of firmware.desired."""
        facts = board, settings.revision, settings.report, settings.effective
        return self._top + "config", Pieces(fetch, "firmware.reported", *facts), True, 1

    def probe(self, nonce):
        """What proves that the node is heard and hears: it comes back through its own subscription."""
        return self._top + "probe", nonce, False, 1

    def diagnostics(self, fields):
        """Counters and health."""
        return self._top + "diagnostics", json.dumps(fields), False, 0

    def log(self, pieces):
        """Lines of text: what the flight recorder has."""
        return self._top + "log", pieces, False, 0

    def reply(self, fields):
        """The answer to a command."""
        return self._top + "reply", json.dumps(fields), False, 1

    def live(self, reading, qos):
        """A fresh reading (name, quantities, seq, Unix time or None, values). Of a sleeping node the last is kept."""
        event = reading[1][0][1] == "e"
        retain = not event and self._config["power"]["mode"] == "deepsleep"
        topic = self._top + ("event/" if event else "telemetry/") + reading[0]
        return topic, "{" + self._fields(reading), retain, 1 if event else qos

    def backlog(self, readings):
        """Topic and pieces of a batch of buffered readings, oldest first; those from flash end with their boot."""
        pieces = []
        for reading in readings:
            pieces.append('%s{"sensor":"%s",' % ("," if pieces else "[", reading[0]) + self._fields(reading))
        pieces.append("]")
        return self._top + "backlog", pieces

    def _fields(self, reading):
        _, quantities, seq, time_s, values = reading[:5]
        boot = reading[5] if len(reading) > 5 else self._about["boot"]
        text = '"ts":%s,"boot":%d,"seq":%d' % ("null" if time_s is None else time_s, boot, seq)
        for quantity, value in zip(quantities, values):
            if quantity[1] == "e":
                text += ',"event_type":"%s"' % quantity[0]
            else:
                text += ',"%s":%s' % (quantity[0], "null" if value is None else "%.*f" % (quantity[3], value))
        return text + "}"
