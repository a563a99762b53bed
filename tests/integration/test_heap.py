"""MicroPython with a bounded heap: four sensors, discovery and diagnostics at one reading a second, and no growth."""

import time

import pytest

from . import audit, nodes

START_LIMIT_S = 30
MOST_GROWTH_BYTES = 1024
FILES = ("--heap", "128k")
ROM = ("--rom", "--heap", "104k")

pytestmark = pytest.mark.parametrize("interpreter", ["micropython"], indirect=True)


def heap_free(auditor, node, limit_s, since):
    """Free heap after collection, by the first diagnostics that arrive after `since`."""
    return auditor.wait_json(node.topic("diagnostics"), limit_s, since)["heap_free"]


def watch_heap(world, first_s, last_s, options=FILES):
    """Compare the free heap `first_s` and `last_s` after the birth."""
    auditor = world.auditor
    node = world.start_node(world.broker.port, options=options, sensors=nodes.SENSORS)
    auditor.wait_message(node.topic("telemetry/computer"), START_LIMIT_S)
    born = time.monotonic()
    time.sleep(first_s)
    early = heap_free(auditor, node, 5, born + first_s)
    time.sleep(max(0.0, born + last_s - time.monotonic()))
    late = heap_free(auditor, node, 5, born + last_s)
    report = audit.wait_complete(auditor, node.id, 10, time.monotonic())
    world.say(f"free heap, {' '.join(options)}, after collection: {early} bytes at {first_s} s, {late} at {last_s} s "
                    f"({late - early:+d}), lowest {report['heap_low']}; {report['produced']} readings")
    assert early - late <= MOST_GROWTH_BYTES
    assert report["produced"] >= 4 * (last_s - 2) and not any(report["dropped"].values())
    assert report["reconnects"] == 0
    obey_a_change(auditor, node)


def obey_a_change(auditor, node):
    """After all that time there is still room to look at a document."""
    document = {"revision": 1, "patch": {"telemetry": {"diagnostics_s": 2}}}
    since = auditor.publish(node.topic("config/set"), document)
    report = auditor.wait_json(node.topic("config"), 5, since)
    assert (report["state"], report["revision"], report["reason"]) == ("applied", 1, None)


@pytest.mark.parametrize("options", [FILES, ROM], ids=["files", "rom"])
def test_heap_does_not_grow_within_a_minute(world, options):
    watch_heap(world, 15, 45, options)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_heap_does_not_grow_within_ten_minutes(world):
    watch_heap(world, first_s=120, last_s=600)
