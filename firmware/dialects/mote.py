"""The mote dialect: topics and payloads (JSON). What is said once a connection is in mote_birth.py.

A message is (topic, payload, retain, QoS). A long payload is an iterable of pieces that can be iterated again.
"""

import json

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
        """Yield the messages that introduce the node; `fetch` loads the code for them."""
        words = fetch("firmware.dialects.mote_birth")
        facts = self._top, self._config, self._about, self._sensors
        if self._config["homeassistant"]["discovery"]:
            yield words.discovery(*facts, words.gone(board.files, self._config, self._sensors))
        yield self.status("online")
        yield words.info(*facts, board.address())
        if self._config["homeassistant"]["discovery"]:
            yield words.update(self._top, self._about)

    def report(self, pieces):
        """The reported configuration."""
        return self._top + "config", pieces, True, 1

    def probe(self, nonce):
        """What proves that the node is heard and hears: it comes back through its own subscription."""
        return self._top + "probe", nonce, False, 1

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

    def _fields(self, reading):
        _, quantities, seq, time_s, values = reading
        text = '"ts":%s,"boot":%d,"seq":%d' % ("null" if time_s is None else time_s, self._about["boot"], seq)
        for quantity, value in zip(quantities, values):
            text += ',"%s":%s' % (quantity[0], "null" if value is None else "%.*f" % (quantity[3], value))
        return text + "}"
