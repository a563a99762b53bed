"""Topics as a tree: which filters a topic meets, and which kept messages a filter meets (MQTT 3.1.1, 4.7)."""


import sys
from types import MappingProxyType

_NOTHING = MappingProxyType({})


class _Branch:
    __slots__ = ("below", "values")

    def __init__(self):
        self.below = _NOTHING  # until there is something: most branches have one or the other
        self.values = _NOTHING


class Filters:
    """Subscriptions: filter -> {subscriber: value}."""

    def __init__(self):
        self._root = _Branch()

    def add(self, filter_text, subscriber, value):
        """Add a subscription, or change its value."""
        branch = self._root
        for level in filter_text.split("/"):
            if not branch.below:
                branch.below = {}
            branch = branch.below.setdefault(sys.intern(level), _Branch())
        if not branch.values:
            branch.values = {}
        branch.values[subscriber] = value

    def remove(self, filter_text, subscriber):
        """Take a subscription away, and the branches that nobody needs."""
        path, branch = [], self._root
        for level in filter_text.split("/"):
            path.append((branch, level))
            branch = branch.below.get(level)
            if branch is None:
                return
        if branch.values:
            branch.values.pop(subscriber, None)
        for parent, level in reversed(path):
            branch = parent.below[level]
            if branch.below or branch.values:
                break
            del parent.below[level]

    def meet(self, topic):
        """{subscriber: highest value} of all filters that the topic matches."""
        found = {}
        levels = topic.split("/")
        _walk(self._root, levels, 0, found)
        return found


def _walk(branch, levels, at, found):
    below = branch.below
    if "#" in below and (at or levels[0][:1] != "$"):
        _gather(below["#"], found)
    if at == len(levels):
        _gather(branch, found)
        return
    level = levels[at]
    if level in below:
        _walk(below[level], levels, at + 1, found)
    if "+" in below and (at or level[:1] != "$"):
        _walk(below["+"], levels, at + 1, found)


def _gather(branch, found):
    for subscriber, value in branch.values.items():
        found[subscriber] = max(value, found.get(subscriber, value))


class Kept:
    """Retained messages: topic -> value."""

    def __init__(self):
        self.topics = {}
        self._root = {}

    def put(self, topic, value):
        """Keep a value, or none when it is None."""
        levels = topic.split("/")
        if value is not None:
            if topic not in self.topics:
                branch = self._root
                for level in levels:
                    branch = branch.setdefault(level, {})
                branch[""] = topic  # an empty level cannot be told from it, and nobody here has one
            self.topics[topic] = value
        elif self.topics.pop(topic, None) is not None:
            path, branch = [], self._root
            for level in levels:
                path.append((branch, level))
                branch = branch[level]
            del branch[""]
            for parent, level in reversed(path):
                if parent[level]:
                    break
                del parent[level]

    def meet(self, filter_text):
        """[(topic, value)] of all that match the filter, by name."""
        if "+" not in filter_text and "#" not in filter_text:
            return [(filter_text, self.topics[filter_text])] if filter_text in self.topics else []
        found = []
        self._walk(self._root, filter_text.split("/"), 0, found)
        return [(topic, self.topics[topic]) for topic in sorted(found)]

    def _walk(self, branch, levels, at, found):
        if at == len(levels):
            if "" in branch:
                found.append(branch[""])
            return
        level = levels[at]
        if level == "#":
            self._all(branch, at, found)
        elif level == "+":
            for name, below in branch.items():
                if name and (at or name[:1] != "$"):
                    self._walk(below, levels, at + 1, found)
        elif level in branch:
            self._walk(branch[level], levels, at + 1, found)

    def _all(self, branch, at, found):
        for name, below in branch.items():
            if not name:
                found.append(below)
            elif at or name[:1] != "$":
                self._all(below, at + 1, found)
