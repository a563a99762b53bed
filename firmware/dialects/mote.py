"""The mote dialect: topics and payloads (JSON). What is said once a connection is in files of its own.

A message is (topic, payload, retain, QoS). A long payload is an iterable of pieces that can be iterated again.
"""

import json

_HERE = "firmware.dialects.mote_"


class Pieces:
    """A long payload, made anew each time it is iterated by the function `pieces` of a module that is only lent."""

    def __init__(self, fetch, name, facts):
        self._fetch = fetch
        self._name = name
        self._facts = facts

    def __iter__(self):
        return self._fetch(self._name if "." in self._name else _HERE + self._name).pieces(self._facts)


class Dialect:
    """`sensors` is a list of (name, quantities, interval in seconds); `about` has the facts that `info` tells."""

    def __init__(self, config, about, sensors):
        self.node_id = about["id"]
        self.config = config
        self.about = about
        self.sensors = sensors
        base = config["mqtt"]["base"]
        self.top = base + "/" + self.node_id + "/"
        self._all = base + "/all/command/"
        self._group = base + "/group/"
        self._announce = config["homeassistant"]["prefix"] + "/status"
        wide = [self._all + "+"] + [self._group + group + "/command/+" for group in config["node"]["groups"]]
        own = [self.top + "config/set", self.top + "command/+", self.top + "probe"]
        if config["homeassistant"]["controls"]:
            own.append(self.top + "config/set/+")
        self.subscriptions = [(topic, 1) for topic in own + wide]
        if config["homeassistant"]["discovery"]:
            self.subscriptions.append((self._announce, 0))

    def route(self, topic, payload, retained):
        """(kind, name, wide) of what came in, kind "config", "key", "command", "probe" or "announce"; or None.

        Only the desired configuration may be retained: an old command must not be obeyed again at each connection.
        """
        if topic == self.top + "config/set":  # an empty one only clears what the broker kept
            return None if payload == b"" else ("config", None, False)
        if retained:
            return None
        if topic == self.top + "probe":
            return "probe", None, False
        if topic == self._announce:
            return ("announce", None, True) if payload == b"online" else None
        if topic.startswith(self.top + "config/set/"):
            return "key", topic[len(self.top) + 11 :], False
        at = topic.rfind("/command/")
        if at < 0:
            return None
        return "command", topic[at + 9 :], not topic.startswith(self.top)

    def status(self, word):
        """Retained `online`, or `offline`, which is also the last will."""
        return self.top + "status", word, True, 1

    def birth(self, fetch, board):
        """Yield the messages that introduce the node; `fetch` loads the code for each, one after the other. Returns
        whether Home Assistant is told something new."""
        new = None
        if self.config["homeassistant"]["discovery"]:
            more = fetch(_HERE + "entities").look(self, fetch, board.files)
            new = more[5]
            yield (self.config["homeassistant"]["prefix"] + "/device/" + self.node_id + "/config",
                   Pieces(fetch, "discovery", more), True, 1)
            more = None
        yield self.status("online")
        more = fetch("firmware.boots").told(board.files)
        yield self.top + "info", Pieces(fetch, "info", (self, board.address(), more)), True, 1
        if new is not None:  # there are no releases to compare with, so the latest is this one
            yield self.top + "update", self.about["firmware"], True, 1
        return new

    def report(self, fetch, board, settings):
        """The reported configuration, as it is now; `settings` are those of firmware.desired."""
        facts = board, settings.revision, settings.report, settings.effective
        return self.top + "config", Pieces(fetch, "firmware.reported", facts), True, 1

    def probe(self, nonce):
        """What proves that the node is heard and hears: it comes back through its own subscription."""
        return self.top + "probe", nonce, False, 1

    def diagnostics(self, fields):
        """Counters and health."""
        return self.top + "diagnostics", json.dumps(fields), False, 0

    def log(self, pieces):
        """Lines of text: what the flight recorder has."""
        return self.top + "log", pieces, False, 0

    def reply(self, fields):
        """The answer to a command."""
        return self.top + "reply", json.dumps(fields), False, 1

    def live(self, reading, qos):
        """A fresh reading (name, quantities, seq, Unix time or None, values). Of a sleeping node the last is kept."""
        event = reading[1][0][1] == "e"
        retain = not event and self.config["power"]["mode"] == "deepsleep"
        topic = self.top + ("event/" if event else "telemetry/") + reading[0]
        return topic, "{" + self._fields(reading), retain, 1 if event else qos

    def backlog(self, readings):
        """Topic and pieces of a batch of buffered readings, oldest first; those from flash end with their boot."""
        pieces = []
        for reading in readings:
            pieces.append('%s{"sensor":"%s",' % ("," if pieces else "[", reading[0]) + self._fields(reading))
        pieces.append("]")
        return self.top + "backlog", pieces

    def _fields(self, reading):
        _, quantities, seq, time_s, values = reading[:5]
        boot = reading[5] if len(reading) > 5 else self.about["boot"]
        text = '"ts":%s,"boot":%d,"seq":%d' % ("null" if time_s is None else time_s, boot, seq)
        for quantity, value in zip(quantities, values):
            if quantity[1] == "e":
                text += ',"event_type":"%s"' % quantity[0]
            else:
                text += ',"%s":%s' % (quantity[0], "null" if value is None else "%.*f" % (quantity[3], value))
        return text + "}"
