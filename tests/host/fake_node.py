"""A node as a broker sees it, made of paho: it says exactly what a test tells it to say (design: topics)."""

import json
import queue
import threading

import paho.mqtt.client as paho

LIMIT_S = 20


class FakeNode:
    """`with FakeNode(port, base=...) as node:` is online; leaving is clean, drop() is not.

    `answers` maps a topic below the node's own to a function of (node, payload), called when a message comes in there;
    `heard` gets every (topic, payload, kept) that came in.
    """

    def __init__(self, port, base="mote", node_id="fake-1", boot=7, answers=None, status="online"):
        self.id = node_id
        self.boot = boot
        self.seq = 0
        self.heard = queue.Queue()
        self._top = f"{base}/{node_id}/"
        self._port = port
        self._status = status
        self._answers = answers or {}
        self._subscribed = threading.Event()
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=node_id)
        self._client.will_set(self._top + "status", "offline", qos=1, retain=True)
        self._client.on_connect = lambda client, *_: client.subscribe(
            [(self._top + "config/set/#", 1), (self._top + "command/+", 1)])
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._came

    def __enter__(self):
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        assert self._subscribed.wait(LIMIT_S)
        self.say("status", self._status, retain=True)
        return self

    def __exit__(self, *_):
        self.say("status", "offline", retain=True)
        self._client.disconnect()
        self._client.loop_stop()

    def say(self, topic, value, retain=False, wait=True):
        """Publish below the node's own topics; a value that is no text or bytes goes as JSON."""
        payload = value if isinstance(value, (str, bytes)) else json.dumps(value)
        sent = self._client.publish(self._top + topic, payload, qos=1, retain=retain)
        if wait:  # not from within an answer, where nobody could take the acknowledgement
            sent.wait_for_publish(LIMIT_S)

    def reading(self, sensor="air", **values):
        """Make the next reading; returns it."""
        self.seq += 1
        return {"sensor": sensor, "ts": 1_700_000_000, "boot": self.boot, "seq": self.seq, **values}

    def live(self, sensor="air", **values):
        """Make the next reading and publish it."""
        reading = self.reading(sensor, **values)
        self.say(f"telemetry/{reading.pop('sensor')}", reading)

    def diagnostics(self, queued=0, dropped=0, uptime_s=1_000):
        """Publish the counters."""
        self.say("diagnostics", {
            "rssi": -60, "heap_free": 50_000, "heap_low": 40_000, "idf_free": None, "uptime_s": uptime_s,
            "reconnects": 0, "produced": self.seq, "acknowledged": self.seq - queued - dropped, "queued": queued,
            "dropped": {"overflow": dropped}, "rejected": {}, "boot": self.boot})

    def _came(self, client, userdata, message):
        topic = message.topic[len(self._top):]
        self.heard.put((topic, message.payload, bool(message.retain)))
        if topic in self._answers:
            self._answers[topic](self, message.payload)
