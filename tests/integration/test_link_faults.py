"""One exact fault on the wire at a time: what was sent arrives all the same, and the session goes on or begins anew."""

import json
import time

import pytest

from . import audit, frames
from .proxy import DOWN, UP

START_LIMIT_S = 30
DRIP_LIMIT_S = 90  # a kilobyte takes a second and more
ANSWER_S = 5  # how long a node waits for an acknowledgement (lib/mqtt.py)
BACK_LIMIT_S = ANSWER_S + 15
NOTICED_S = 5 + 10  # keepalive + 10 s


def settled_node(world):
    """A node behind the proxy, with readings each second, whose backlog is empty."""
    node = world.start_node(world.proxy.port)
    world.auditor.wait_json(node.topic("diagnostics"), START_LIMIT_S,
                            accept=lambda report: report["acknowledged"] and not report["queued"])
    return node


def telemetry_after(auditor, node, since, limit_s=BACK_LIMIT_S):
    return auditor.wait_json(node.topic("telemetry/air"), limit_s, since)


def others(data):
    """PUBACKs for ids that nobody used, but which fall on the same place in a window of any usual size."""
    packet_id = frames.frame(data).packet_id
    return b"".join(frames.puback(packet_id + 2 ** power) for power in range(2, 14))


@pytest.mark.parametrize("change", [lambda data: b"", others], ids=["lost", "for other ids"])
def test_reading_whose_puback_does_not_come_arrives_again_as_backlog(world, change):
    node = settled_node(world)
    since = time.monotonic()
    assert world.proxy.corrupt("PUBACK", DOWN, change).wait(BACK_LIMIT_S)
    lost_id = world.proxy.wait_frame("PUBACK", DOWN, BACK_LIMIT_S, since).frame.packet_id
    sent = [seen.frame for seen in world.proxy.frames("PUBLISH", UP, since - 1) if seen.frame.packet_id == lost_id][-1]
    reading = audit.strict(sent.payload)
    again = world.auditor.wait_json(node.topic("backlog"), BACK_LIMIT_S, since)
    assert reading["seq"] in [buffered["seq"] for buffered in again]
    assert [buffered for buffered in again if buffered["seq"] == reading["seq"]] == [{"sensor": "air", **reading}]
    report = audit.wait_complete(world.auditor, node.id, BACK_LIMIT_S, time.monotonic())
    assert not any(report["dropped"].values()) and report["reconnects"] == 1


def test_puback_for_an_unknown_id_is_ignored(world):
    node = settled_node(world)
    since = time.monotonic()
    for packet_id in (1, 777, 60_000, 65_535):
        world.proxy.inject(frames.puback(packet_id), DOWN)
    for _ in range(3):
        since = time.monotonic()
        telemetry_after(world.auditor, node, since)
    report = audit.wait_complete(world.auditor, node.id, BACK_LIMIT_S, time.monotonic())
    assert len(world.proxy.attempts) == 1 and report["reconnects"] == 0


def test_lost_pingresp_is_noticed(world):
    """An idle node, so that nothing but its pings tells it that the broker is there."""
    node = world.start_node(world.proxy.port, telemetry={"interval_s": 3600, "diagnostics_s": 3600})
    world.auditor.wait_message(node.topic("telemetry/air"), START_LIMIT_S)
    since = time.monotonic()
    assert world.proxy.swallow("PINGRESP", DOWN).wait(BACK_LIMIT_S)
    world.proxy.wait_attempt(BACK_LIMIT_S, since)
    ended = world.proxy.wait(lambda: [t for t, direction in world.proxy.ended if direction == UP], 1, "end")[0]
    world.say(f"PINGRESP missed: noticed {ended - since:.1f} s after the fault was set")
    assert ended - since <= NOTICED_S


@pytest.mark.parametrize("name", ["CONNACK", "SUBACK"])
def test_lost_answer_of_the_handshake_is_tried_again(world, name):
    node = settled_node(world)
    struck = world.proxy.swallow(name, DOWN)
    since = time.monotonic()
    world.proxy.reset()
    assert struck.wait(BACK_LIMIT_S)
    world.proxy.wait(lambda: len([attempt for attempt in world.proxy.attempts if attempt.t >= since]) >= 2,
                     BACK_LIMIT_S, "second CONNECT")
    telemetry_after(world.auditor, node, time.monotonic())


def test_one_byte_at_a_time_both_ways(world):
    world.proxy.drip(0)  # how slow is another test's business
    node = world.start_node(world.proxy.port, homeassistant={"discovery": True})
    world.auditor.wait_message(node.topic("telemetry/air"), DRIP_LIMIT_S)  # behind a discovery of 13 KB
    document = json.dumps({"revision": 1, "patch": {"telemetry": {"diagnostics_s": 2}}})
    since = world.auditor.publish(node.topic("config/set"), document + " " * (3000 - len(document)))
    report = world.auditor.wait_json(node.topic("config"), DRIP_LIMIT_S, since)
    assert report["state"] == "applied"
    telemetry_after(world.auditor, node, since, DRIP_LIMIT_S)
    assert len(world.proxy.attempts) == 1


def flip(at):
    """Changes one byte of a frame."""
    return lambda data: data[:at] + bytes((data[at] ^ 0xFF,)) + data[at + 1:]


CORRUPT = {
    "type of a PUBACK": ("PUBACK", flip(0)),
    "length of a PUBACK": ("PUBACK", flip(1)),
    "id of a PUBACK": ("PUBACK", flip(3)),
    "PUBACK cut in half": ("PUBACK", lambda data: data[:2]),
    "PUBACK twice": ("PUBACK", lambda data: data * 2),
    "PUBACK with id 0": ("PUBACK", lambda data: data[:2] + b"\0\0"),
    "frame that begins and never ends": ("PUBACK", lambda data: data + b"\x30\x30\x00"),
    "HTTP in the middle": ("PUBACK", lambda data: data + b"HTTP/1.1 400 Bad Request\r\n\r\n"),
}


@pytest.mark.parametrize("what", CORRUPT)
def test_corrupted_frame_loses_nothing(world, what):
    node = settled_node(world)
    since = time.monotonic()
    name, change = CORRUPT[what]
    assert world.proxy.corrupt(name, DOWN, change).wait(BACK_LIMIT_S)
    produced = world.auditor.wait_json(node.topic("diagnostics"), BACK_LIMIT_S, since)["produced"]
    world.auditor.wait_json(node.topic("diagnostics"), BACK_LIMIT_S, since,
                            lambda report: report["acknowledged"] > produced + 1)
    report = audit.wait_complete(world.auditor, node.id, BACK_LIMIT_S, time.monotonic())
    assert not any(report["dropped"].values())
    world.auditor.wait_json(node.topic("diagnostics"), BACK_LIMIT_S, since, lambda report: report["queued"] == 0)


@pytest.mark.parametrize("fault", ["reset", "half_close", "cut"])
def test_broken_connection_is_noticed_at_once(world, fault):
    node = settled_node(world)
    since = time.monotonic()
    if fault == "cut":
        world.proxy.cut_after(6, UP)
    else:
        getattr(world.proxy, fault)(*([DOWN] if fault == "half_close" else []))
    attempt = world.proxy.wait_attempt(6, since)  # a reading each second, and the first pause is below 1 s
    world.say(f"{fault}: new CONNECT after {attempt.t - since:.2f} s")
    audit.wait_complete(world.auditor, node.id, BACK_LIMIT_S, attempt.t)
    # The first report after the fault may have been made before the new session.
    report = world.auditor.wait_json(node.topic("diagnostics"), BACK_LIMIT_S, attempt.t, lambda r: r["reconnects"])
    assert not any(report["dropped"].values()) and report["reconnects"] == 1


def test_link_out_of_range_for_a_while_delivers_all(world):
    """Bytes wait in the network and then arrive, on a connection that its owner may have given up."""
    node = settled_node(world)
    world.proxy.freeze()
    time.sleep(4)
    world.proxy.heal()
    audit.wait_complete(world.auditor, node.id, BACK_LIMIT_S, time.monotonic())


def test_slow_link_keeps_its_session(world):
    """A second each way is a bad mobile network, not a dead world.broker."""
    node = settled_node(world)
    world.proxy.delay(1.0)
    since = time.monotonic()
    for _ in range(4):
        telemetry_after(world.auditor, node, since)
        since = time.monotonic()
    world.proxy.heal()
    audit.wait_complete(world.auditor, node.id, BACK_LIMIT_S, time.monotonic())
    assert len(world.proxy.attempts) == 1


def test_attempts_are_spread_and_bounded_while_the_broker_refuses(world):
    """Full jitter within the cap: no storm, no metronome, no giving up."""
    node = world.start_node(world.proxy.port)
    world.auditor.wait_message(node.topic("telemetry/air"), START_LIMIT_S)
    world.proxy.upstream_port = 1  # nobody listens there: the proxy takes the connection and hangs up
    since = time.monotonic()
    world.proxy.reset()
    def seven():
        return [t for t in world.proxy.accepted if t >= since][6:] and world.proxy.accepted[-7:]
    tries = world.proxy.wait(seven, 25, "7 tries")
    pauses = [later - earlier for earlier, later in zip(tries, tries[1:], strict=False)]
    world.say(f"pauses between tries: {[round(pause, 2) for pause in pauses]}")
    assert max(pauses) < 2 + 1 and len({round(pause, 1) for pause in pauses}) > 2
