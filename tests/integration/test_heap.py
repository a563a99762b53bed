"""MicroPython with a bounded heap: four sensors, discovery and diagnostics at one reading a second, and no growth."""

import time

import pytest

from . import audit, nodes
from .smallest_heap import well

START_LIMIT_S = 30
MOST_GROWTH_BYTES = 1024
FILES = ("--heap", "120k")  # a little above what tests.integration.smallest_heap finds
ROM = ("--rom", "--heap", "92k")
OBEYS = ("--heap", "140k")
OBEYS_ROM = ("--rom", "--heap", "106k")

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
    well(node)
    assert early - late <= MOST_GROWTH_BYTES
    assert report["produced"] >= 4 * (last_s - 2) and not any(report["dropped"].values())
    assert report["reconnects"] == 0


def change(auditor, node, revision, patch):
    """The report (state, reason) that follows a document."""
    since = auditor.publish(node.topic("config/set"), {"revision": revision, "patch": patch})
    report = auditor.wait_json(node.topic("config"), 10, since)
    return report["state"], report["reason"]


@pytest.mark.parametrize("options", [OBEYS, OBEYS_ROM], ids=["files", "rom"])
def test_there_is_room_to_look_at_a_document(world, options):
    """In less than the default heap: the code that a document wants comes and goes in the room that is left."""
    node = world.start_node(world.broker.port, options=options, sensors=nodes.SENSORS)
    world.auditor.wait_message(node.topic("telemetry/computer"), START_LIMIT_S)
    assert change(world.auditor, node, 1, {"telemetry": {"diagnostics_s": 2}}) == ("applied", None)
    assert change(world.auditor, node, 2, {"telemetry": {"interval_s": 0}, "nonsense": 1}) == ("rejected", "mistakes")
    assert change(world.auditor, node, 3, {"telemetry": {"interval_s": 3}}) == ("applied", None)
    well(node)


@pytest.mark.parametrize("options", [FILES, ROM], ids=["files", "rom"])
def test_heap_does_not_grow_within_a_minute(world, options):
    watch_heap(world, 15, 45, options)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_heap_does_not_grow_within_ten_minutes(world):
    watch_heap(world, first_s=120, last_s=600)
