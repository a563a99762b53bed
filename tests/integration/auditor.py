"""A subscriber that keeps every message with its time, so that tests await events and never sleep."""

import json
import threading
import time
from collections import namedtuple

import paho.mqtt.client as paho

from .audit import strict

CONNECT_LIMIT_S = 10
KEEPALIVE_S = 600  # a broker that was stopped for 90 s must not throw out the auditor when it wakes
RETRY_MIN_S, RETRY_MAX_S = 0.05, 0.5  # loopback: a restarted broker is found at once

Message = namedtuple("Message", "t topic payload retain qos")


class Auditor:
    """`with Auditor(port) as auditor:` subscribes to everything, again after every reconnect."""

    def __init__(self, port, filters=("mote/#", "homeassistant/#")):
        self.port = port
        self.messages = []
        self.subscriptions = 0  # how many times the broker has confirmed them; a restart adds one
        self._filters = [(name, 1) for name in filters]
        self._changed = threading.Condition()
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=f"auditor-{id(self):x}"[-20:])
        self._client.reconnect_delay_set(RETRY_MIN_S, RETRY_MAX_S)
        self._client.on_connect = lambda client, *_: client.subscribe(self._filters)
        self._client.on_subscribe = self._subscribed
        self._client.on_message = self._arrived

    def __enter__(self):
        self._client.connect("127.0.0.1", self.port, KEEPALIVE_S)
        self._client.loop_start()
        self.wait_subscribed(1)
        return self

    def __exit__(self, *_):
        self._client.disconnect()
        self._client.loop_stop()

    def wait_subscribed(self, count, limit_s=CONNECT_LIMIT_S):
        """Wait until the subscriptions have been confirmed `count` times."""
        self.wait(lambda: self.subscriptions >= count, limit_s, f"subscription number {count}")

    def publish(self, topic, payload, qos=1, retain=False):
        """Publish and wait until the broker has acknowledged; returns the time just before, for `since`."""
        since = time.monotonic()
        if not isinstance(payload, (bytes, str)):
            payload = json.dumps(payload)
        self._client.publish(topic, payload, qos=qos, retain=retain).wait_for_publish(CONNECT_LIMIT_S)
        return since

    def since(self, t, topic=None):
        """The messages that arrived at or after monotonic time `t`, on `topic` if given, oldest first."""
        with self._changed:
            return [m for m in self.messages if m.t >= t and (topic is None or m.topic == topic)]

    def wait(self, found, limit_s, what):
        """Wait until `found()` is true and return its value; AssertionError naming `what` after `limit_s`."""
        deadline = time.monotonic() + limit_s
        with self._changed:
            while True:
                value = found()
                left = deadline - time.monotonic()
                if value:
                    return value
                if left <= 0:
                    raise AssertionError(f"no {what} within {limit_s} s; last messages: {self._tail()}")
                self._changed.wait(min(left, 0.5))

    def wait_message(self, topic, limit_s, since=0.0, accept=None):
        """The first message on `topic` at or after `since` that `accept(message)` likes."""
        def found():
            return [m for m in self.since(since, topic) if accept is None or accept(m)]
        return self.wait(found, limit_s, f"such message on {topic}")[0]

    def wait_json(self, topic, limit_s, since=0.0, accept=None):
        """The decoded payload of the first message on `topic` whose decoded payload `accept` likes."""
        def good(message):
            return message.payload and (accept is None or accept(strict(message.payload)))
        return strict(self.wait_message(topic, limit_s, since, good).payload)

    def _tail(self):
        return [(m.topic, m.payload[:120]) for m in self.messages[-8:]]

    def _subscribed(self, *_):
        with self._changed:
            self.subscriptions += 1
            self._changed.notify_all()

    def _arrived(self, client, userdata, message):
        with self._changed:
            self.messages.append(Message(time.monotonic(), message.topic, message.payload, message.retain, message.qos))
            self._changed.notify_all()


def retained(port, topic, limit_s=CONNECT_LIMIT_S):
    """The retained payload of `topic` as a newcomer gets it."""
    with Auditor(port, filters=(topic,)) as auditor:
        return auditor.wait_message(topic, limit_s, accept=lambda message: message.retain).payload
