"""`mote bench` measures something, on every interpreter that is here, and judges it by what was promised."""

import json

import pytest

from tests.host.counting_broker import CountingBroker
from tools import __main__, bench_mqtt, bench_node, bench_table, errors, micropython, peers, sink

needs_micropython = pytest.mark.skipif(not micropython.available(), reason="no MicroPython interpreter")


def bench(capsys, *argv):
    assert __main__.main(["bench", *argv, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_publish_reports_a_rate_per_interpreter(capsys):
    rows = {row["interpreter"]: row for row in bench(capsys, "publish", "--count", "50")["publish"]}
    assert set(rows) == {"CPython", *(["MicroPython"] if micropython.available() else [])}
    for row in rows.values():
        assert row["qos0_per_s"] > 0 and row["qos1_per_s"] > 0


@needs_micropython
def test_memory_is_counted_without_the_bench_s_own(capsys):
    result = bench(capsys, "mqtt", "--part", "memory", "--client", "floor", "--client", "mote")["mqtt"]
    floor, mote = result["clients"]["floor"], result["clients"]["mote"]
    assert floor["qos0_bytes"] == 0 and floor["awaited_bytes"] is None
    assert floor["connected_bytes"] < 1_000 < mote["imported_bytes"] < mote["connected_bytes"]
    assert mote["qos0_bytes"] == 0 and mote["callback_bytes"] is not None and mote["awaited_bytes"] > 0
    assert mote["mpy_bytes"] > 2_000
    assert {target["figure"] for target in result["targets"]} == {
        "qos0_bytes", "callback_bytes", "awaited_bytes", "connected_bytes"}


@needs_micropython
@pytest.mark.parametrize("adapter", ["floor", "mote"])
def test_every_message_that_is_counted_reaches_the_broker(adapter):
    """A rate of messages that never left would be a fine one."""
    subject = bench_mqtt.subjects([adapter])[0]
    with CountingBroker() as broker:
        result = bench_mqtt.publish(subject, broker, 300, 7)
        assert result == {"published": 307}
        assert broker.published() == (300, 7)


@needs_micropython
def test_a_peer_that_cannot_be_fetched_is_left_out_unless_it_was_asked_for(monkeypatch):
    def install(peer):
        raise errors.UserError("no index", errors.UNREACHABLE)

    monkeypatch.setattr(peers, "install", install)
    told = []
    assert [subject.name for subject in bench_mqtt.subjects(told=told.append)] == ["floor", "mote"]
    assert len(told) == len(peers.PEERS) and "no index" in told[0]
    with pytest.raises(errors.UserError, match="no index"):
        bench_mqtt.subjects([peers.PEERS[0].name], told.append)


def test_a_node_reads_on_command_and_loses_nothing(capsys, monkeypatch):
    monkeypatch.setattr(bench_node, "ROUNDS", 3)
    rows = bench(capsys, "node")["node"]
    assert list(rows) == bench_node.interpreters()
    for row in rows.values():
        assert row["readings"] == 3 * bench_node.SENSORS and row["dropped"] == 0
        assert row["readings_per_s"] > 0 and row["cpu_us_per_reading"] > 0
    assert all(name in bench_node.table(rows) for name in rows)


def clients(**figures):
    return {"mote": figures, "chumicro": {"qos1_per_s": {"20": 1_000, "100": 1_000}}}


@pytest.mark.parametrize("rate, reached", [(576, True), (575, False)])
def test_a_window_of_64_bounds_the_rate_that_is_asked_for(rate, reached):
    [target] = bench_table.targets(clients(qos1_per_s={"100": rate}))
    assert target["limit"] == pytest.approx(0.9 * 640) and target["reached"] is reached


@pytest.mark.parametrize("rate, reached", [(900, True), (899, False)])
def test_a_slower_peer_bounds_it_too(rate, reached):
    [target] = bench_table.targets(clients(qos1_per_s={"20": rate}))
    assert target["limit"] == pytest.approx(900) and target["reached"] is reached


def test_less_is_better_for_bytes_and_0_bytes_are_a_figure():
    assert [row["reached"] for row in bench_table.targets(clients(qos0_bytes=0))] == [True]
    assert [row["reached"] for row in bench_table.targets(clients(qos0_bytes=1))] == [False]


def test_a_ratio_to_a_client_that_was_not_measured_is_not_known():
    [target] = bench_table.targets(clients(qos0_sink_per_s={"0": 1_000_000}))
    assert target["reached"] is None
    assert "not known" in bench_table.table(clients(qos0_sink_per_s={"0": 1_000_000}))


def test_the_table_shows_what_a_client_cannot_do_as_a_dash_and_what_was_not_measured_not_at_all():
    text = bench_table.table({"mote": {"awaited_bytes": 400}, "umqtt.simple2": {"awaited_bytes": None}})
    heading, row = text.splitlines()
    assert heading.split() == ["mote", "simple2", "target", "of", "mote"]
    assert row.split()[-6:] == ["400", "-", "at", "most", "320:", "MISSED"]


QOS0 = b"\x30\x6f\x00\x09mote/test" + b"x" * 100
QOS1 = b"\x32\x71\x00\x09mote/test\x12\x34" + b"x" * 100


@pytest.mark.parametrize("stream, answer", [
    (b"\x10\x02ab", b"\x20\x02\x00\x00"),
    (b"\x10\x02a", b""),
    (QOS0 * 3, b""),
    (QOS0 * 3 + QOS1, b"\x40\x02\x12\x34"),
    (QOS0 * 3 + QOS1[:-1], b""),
    (QOS1 + QOS0, b""),
])
def test_a_mere_reader_answers_only_what_ends_a_row(stream, answer):
    assert sink.answer_to(stream[-len(QOS1):]) == answer
