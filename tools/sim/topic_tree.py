"""Which filters a topic meets, and which kept messages a filter meets (MQTT 3.1.1, 4.7), for thousands of clients.

A filter stands under its beginning up to the first wildcard, so that a topic of five levels is looked up seven times
however many filters there are; a tree with a branch for every level would take a kilobyte for each node.
"""

import sys
from bisect import bisect_left, insort


class Filters:
    """Subscriptions: filter -> {subscriber: value}."""

    def __init__(self):
        self._under = {}  # beginning -> ((filter, subscriber, value), ...)

    def add(self, filter_text, subscriber, value):
        """Add a subscription, or change its value."""
        head = _head(filter_text)
        kept = self._without(head, filter_text, subscriber)
        self._under[head] = (*kept, (filter_text, subscriber, value))

    def remove(self, filter_text, subscriber):
        """Take a subscription away, if there is one."""
        head = _head(filter_text)
        kept = self._without(head, filter_text, subscriber)
        if kept:
            self._under[head] = kept
        else:
            self._under.pop(head, None)

    def _without(self, head, filter_text, subscriber):
        return tuple(entry for entry in self._under.get(head, ())
                     if entry[0] != filter_text or entry[1] is not subscriber)

    def meet(self, topic):
        """{subscriber: highest value} of all filters that the topic matches."""
        found = {}
        at = 0
        while at >= 0:
            self._gather(topic[:at], topic, found)
            at = topic.find("/", at) + 1 or -1
        self._gather(topic + "/", topic, found)
        self._gather(topic, topic, found)
        return found

    def _gather(self, head, topic, found):
        for filter_text, subscriber, value in self._under.get(head, ()):
            if filter_text == topic or matches(filter_text, topic):
                found[subscriber] = max(value, found.get(subscriber, value))


class Kept:
    """Retained messages: topic -> value."""

    def __init__(self):
        self.topics = {}
        self._sorted = []

    def put(self, topic, value):
        """Keep a value, or none when it is None."""
        if value is None:
            if self.topics.pop(topic, None) is not None:
                del self._sorted[bisect_left(self._sorted, topic)]
        else:
            if topic not in self.topics:
                insort(self._sorted, topic)
            self.topics[topic] = value

    def meet(self, filter_text):
        """[(topic, value)] of all that match the filter, by name."""
        if filter_text in self.topics:
            return [(filter_text, self.topics[filter_text])]
        found = []
        head = _head(filter_text)
        head = head.rstrip("/") if filter_text.endswith("#") else head  # `a/#` is `a` as well (4.7.1.2)
        at = bisect_left(self._sorted, head)
        while at < len(self._sorted) and self._sorted[at].startswith(head):
            topic = self._sorted[at]
            if matches(filter_text, topic):
                found.append((topic, self.topics[topic]))
            at += 1
        return found


def _head(filter_text):
    """What stands before the first wildcard."""
    for at, letter in enumerate(filter_text):
        if letter in "+#":
            return sys.intern(filter_text[:at])
    return filter_text


def matches(filter_text, topic):
    """Whether a topic matches a filter."""
    levels, wanted = topic.split("/"), filter_text.split("/")
    if wanted[0] in ("+", "#") and topic[:1] == "$":
        return False
    if wanted[-1] == "#":
        wanted.pop()
        levels = levels[:len(wanted)]
    return len(levels) == len(wanted) and all(want in ("+", level) for want, level in zip(wanted, levels, strict=True))
