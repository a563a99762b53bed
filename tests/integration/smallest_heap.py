"""The smallest MicroPython heaps in which a whole node works: `python -m tests.integration.smallest_heap`.

Four sensors, discovery and diagnostics, one reading a second each, on this computer's word size. Two figures: the
smallest heap in which the node reports without a pause, restarts on command, records and tells the story of it, and the
smallest in which it also obeys a change of its configuration; both with code from files, and from read-only memory
(ROMFS). Every trial is a node of its own. A node that had to leave anything undone for want of memory does not live.
"""

import sys
import time

from tests.integration import audit, nodes
from tests.integration.conftest import default_engine
from tests.integration.world import World

LOW_KIB, HIGH_KIB = 64, 160
SECONDS = 12
LIMIT_S = 10
SHORT_OF_MEMORY = "not recorded", "not enough memory", "MemoryError"  # what a node says that goes on without something


def live(world, *options):
    """Start a node and let it report; returns (node, last diagnostics). Raises AssertionError when it does not."""
    node = world.start_node(world.broker.port, options=options, sensors=nodes.SENSORS)
    auditor = world.auditor
    for topic in (node.topic("telemetry/computer"), "homeassistant/device/node-a/config"):
        auditor.wait_message(topic, LIMIT_S)
    time.sleep(SECONDS)
    report = audit.wait_complete(auditor, node.id, LIMIT_S, time.monotonic())
    story(auditor, node)
    well(node)
    assert not any(report["dropped"].values()) and report["reconnects"] == 0, report
    assert report["produced"] >= len(nodes.SENSORS) * SECONDS, report
    return node, report


def story(auditor, node, since=0.0):
    """The story that follows a start, as text: why, and the last events."""
    told = auditor.wait_message(node.topic("log"), LIMIT_S, since).payload.decode()
    assert told.startswith("start: ") and "link: online" in told, told
    return told


def well(node):
    """Raise AssertionError when a node has left something undone."""
    undone = [line for line in node.log().splitlines() if any(words in line for words in SHORT_OF_MEMORY)]
    assert not undone, undone[-1]


def restart(world, *options):
    """The first figure: the node lives, restarts on command, and tells of it."""
    node, report = live(world, *options)
    since = world.auditor.publish(node.topic("command/restart"), "")
    for topic in ("info", "telemetry/computer"):
        world.auditor.wait_message(node.topic(topic), LIMIT_S, since)
    assert "link: leaving" in story(world.auditor, node, since)  # what went before it is in the story, too
    well(node)
    return report


def obey(world, *options):
    """The second figure: the node also obeys a good document, and refuses a bad one for the right reason."""
    node, report = live(world, *options)
    change(world.auditor, node, {"revision": 1, "patch": {"telemetry": {"diagnostics_s": 2}}}, "applied")
    change(world.auditor, node, {"revision": 2, "patch": {"telemetry": {"interval_s": 0}, "nonsense": 1}}, "rejected")
    well(node)
    return report


def change(auditor, node, document, state):
    """Send a configuration; its report must have this state."""
    since = auditor.publish(node.topic("config/set"), document)
    report = auditor.wait_json(node.topic("config"), LIMIT_S, since)
    assert report["state"] == state and report["reason"] != "not enough memory", report["reason"]


def works(trial, kib, options=()):
    """Whether a heap of so many KiB is big enough for a trial of a node with these options; prints what was seen."""
    world = World("micropython", default_engine())
    try:
        with world:
            report = trial(world, "--heap", f"{kib}k", *options)
    except AssertionError as error:
        last = world.said[-1].strip().splitlines()[-1] if world.said else ""
        print(f"  {kib} KiB: no; {str(error)[:60]}...; last words: {last}", flush=True)
        return False
    print(f"  {kib} KiB: yes, {report['heap_free']} bytes free, lowest {report['heap_low']}", flush=True)
    return True


def smallest(trial, options):
    """Halve the range until it is one KiB wide; returns KiB, None when not even the largest is enough."""
    low, high = LOW_KIB, HIGH_KIB  # low is taken to fail
    if not works(trial, high, options):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        if works(trial, middle, options):
            high = middle
        else:
            low = middle
    return high


def main():
    """Measure and print both figures; returns the exit status."""
    bits = sys.maxsize.bit_length() + 1
    all_found = True
    for words, options in (("files", ()), ("read-only memory", ("--rom",))):
        found = []
        for trial in (restart, obey):
            print(f"Code from {words}. {trial.__doc__}")
            found.append(smallest(trial, options))
        print(f"{bits}-bit words, code from {words}: {found[0]} KiB to live, {found[1]} KiB to obey changes")
        all_found = all_found and all(found)
    return 0 if all_found else 1


if __name__ == "__main__":
    sys.exit(main())
