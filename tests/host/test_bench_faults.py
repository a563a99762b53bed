"""`mote bench faults`: the server fails as it says, and what came of it is told as it was."""

import asyncio

import pytest

from tools import bench_faults, fault_server, micropython

CONNECT = b"\x10\x11\x00\x04MQTT\x04\x02\x00\x3c\x00\x05fault"
CONNACK = b"\x20\x02\x00\x00"
STRIKE_AT = fault_server.STRIKE_AT
LIMIT_S = 10


def publish(number):
    """A reading whose packet id is its number plus one."""
    body = b"\x00\x01t" + bytes((0, number + 1)) + b"%03d" % number
    return b"\x32" + bytes((len(body),)) + body


def puback(number):
    return bytes((0x40, 2, 0, number + 1))


async def meet(fault, talk):
    """Connect, have the readings before the fault acknowledged, send the one that meets it; then `talk`."""
    async with fault_server.FaultServer(fault) as server:
        reader, writer = await opened(server)
        assert await reader.readexactly(4) == CONNACK
        for number in range(STRIKE_AT):
            writer.write(publish(number))
            assert await reader.readexactly(4) == puback(number)
        writer.write(publish(STRIKE_AT))
        await asyncio.wait_for(talk(server, reader, writer), LIMIT_S)
        writer.close()
        return server.outcome()


async def opened(server):
    reader, writer = await asyncio.open_connection(fault_server.HOST, server.port)
    writer.write(CONNECT)
    return reader, writer


async def ended(server, reader, writer):
    try:
        assert await reader.read(1_000) in (b"", fault_server._MESSAGE[:20])
    except ConnectionError:
        return


def run(fault, talk):
    return asyncio.run(meet(fault, talk))


@pytest.mark.parametrize(
    "fault", ["connection reset", "half a packet, then FIN", "closed, then refused twice (code 3)"])
def test_a_lost_connection_leaves_the_reading_unacknowledged(fault):
    outcome = run(fault, ended)
    assert outcome.acknowledged == STRIKE_AT and outcome.back_s is None


@pytest.mark.parametrize("fault", ["silent during a publish", "one PUBACK lost"])
def test_a_reading_that_is_sent_again_over_a_new_connection_is_counted_twice_and_is_back(fault):
    async def again(server, reader, writer):
        reader, writer = await opened(server)
        writer.write(publish(STRIKE_AT))
        assert await reader.readexactly(8) == CONNACK + puback(STRIKE_AT)
        writer.close()

    outcome = run(fault, again)
    assert outcome.acknowledged == STRIKE_AT + 1 and outcome.repeated == 1
    assert outcome.reconnected_s is not None and outcome.back_s >= outcome.reconnected_s


def test_a_silent_server_reads_and_answers_nothing_not_even_pings():
    async def wait(server, reader, writer):
        writer.write(b"\xc0\x00" + publish(STRIKE_AT + 1))
        while server._received[STRIKE_AT + 1] == 0:
            await asyncio.sleep(0)
        assert not reader._buffer

    assert run("silent during a publish", wait).acknowledged == STRIKE_AT


def test_a_dead_broker_comes_back_on_the_same_port(monkeypatch):
    monkeypatch.setattr(fault_server, "AWAY_S", 0.05)

    async def back(server, reader, writer):
        assert await reader.read(100) == b""
        await server._returns
        reader, writer = await opened(server)
        assert await reader.readexactly(4) == CONNACK
        writer.close()

    assert run("broker dies, back after 4 s", back).reconnected_s is not None


def test_byte_by_byte_everything_still_comes():
    async def read(server, reader, writer):
        assert await reader.readexactly(len(fault_server._MESSAGE)) == fault_server._MESSAGE
        assert await reader.readexactly(4) == puback(STRIKE_AT)

    assert run("all byte by byte", read).acknowledged == STRIKE_AT + 1


@pytest.mark.skipif(not micropython.available(), reason="no MicroPython interpreter")
def test_our_client_loses_nothing_when_a_connection_is_reset_or_a_strange_message_comes():
    faults = ["connection reset", "message with an empty payload"]
    rows = bench_faults.measure(bench_faults.subjects(["mote"]), faults, lambda text: None)
    reset, strange = (rows[fault]["mote"] for fault in faults)
    assert (reset.acknowledged, reset.finished, strange.acknowledged, strange.finished) == (20, True, 20, True)
    assert reset.told and not strange.told and not strange.cut
    assert all(bench_faults.verdicts({fault: rows[fault]["mote"] for fault in faults}).values())


def outcome(acknowledged=20, reconnected_s=None, back_s=0.0):
    return fault_server.Outcome(acknowledged, 0, reconnected_s, back_s)


DONE = {"ms": 1, "event": "done", "detail": ""}
FAILED = {"ms": 1, "event": "failed", "detail": "OSError(104,)"}
LONG = {"ms": 1, "event": "message", "detail": [repr(fault_server.TOPIC), len(fault_server.LONG)]}
CUT = {"ms": 1, "event": "message", "detail": [repr(fault_server.TOPIC), 7]}


@pytest.mark.parametrize("seen, events, ended, text", [
    (outcome(), [LONG, DONE], True, "good"),
    (outcome(reconnected_s=1.0, back_s=1.0), [FAILED, DONE], True, "1.0 s"),
    (outcome(back_s=5.0), [DONE], True, "5.0 s"),
    (outcome(5, back_s=None), [], False, "5/20 hangs"),
    (outcome(5, back_s=None), [FAILED], False, "5/20 stuck"),
    (outcome(), [CUT, DONE], True, "good, cut"),
    (outcome(19), [DONE], True, "19/20 good"),
    (outcome(20, back_s=0.0), [], True, "20/20 hangs"),
])
def test_words_of_a_cell(seen, events, ended, text):
    assert bench_faults.words(bench_faults.cell_of(seen, events, ended)) == text


@pytest.mark.parametrize("reconnected_s, reached", [(9.8, True), (9.9, False)])
def test_silence_is_to_be_noticed_in_time(reconnected_s, reached):
    cell = bench_faults.cell_of(outcome(20, reconnected_s, 10.0), [FAILED, DONE], True)
    assert bench_faults.verdicts({"silent during a publish": cell}) == {"silent during a publish": reached}
    assert ("MISSED" in bench_faults.table({"silent during a publish": {"mote": cell}})) is not reached


@pytest.mark.parametrize("events", [[], [CUT, DONE]])
def test_a_reading_lost_or_a_cut_message_is_never_reached(events):
    cell = bench_faults.cell_of(outcome(), events, True)
    assert bench_faults.verdicts({"connection reset": cell}) == {"connection reset": False}
