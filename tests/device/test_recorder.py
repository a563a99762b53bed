"""The flight recorder: the last events survive a reset, are told once after it, and cost no flash."""

from firmware import logbook, recorder, starts  # noqa: F401 - what tells the story finds it below its package
from lending import load
from minitest import equal
from stage import Board
from test_node import BASE, TOP, Rig, again


def note(board, text):
    logbook.kept(board, load)(text)


def events(board):
    return str(recorder.story(load, board)[2], "utf-8").split("\n")[:-1]


def test_events_are_kept_in_order_with_the_time_of_day():
    board = Board(BASE)
    board.unix_s = 1_800_000_000  # 08:00:00
    note(board, "link: online")
    board.unix_s = None
    note(board, "link: down")
    equal(events(board), ["08:00:00 link: online", "- link: down"])
    equal(board.files.content, {}, "flash:")


def test_the_oldest_go_and_none_is_long():
    board = Board(BASE)
    for number in range(400):
        note(board, "event %d" % number)
    found = events(board)
    equal((len(found), found[-1][-9:]), (50, "event 399"))
    for number in range(100):
        note(board, "\u20ac" * 40 + "\n%d" % number)
    found = events(board)
    assert 6 < len(found) <= 50 and all([len(line) <= 49 for line in found])


def test_memory_that_the_power_left_undefined_is_no_record():
    board = Board(BASE)
    for data in (b"", b"\xff" * 2_048, b"rubbish"):
        board.rtc_write(data)
        equal(events(board), [])
        note(board, "first")
        equal(len(events(board)), 1)
        board.rtc_write(b"")


async def told(rig):
    return [str(message.payload, "utf-8") for line in rig.broker.lines for message in line.on(TOP + "log")]


async def test_lines_of_the_log_are_published_as_the_level_says():
    async with Rig() as rig:
        await rig.go(3_000)
        count = len(await told(rig))
        for level, published in (("off", []), ("error", ["! command cook: unknown verb"]),
                                 ("info", ["! command cook: unknown verb", "command sample: ok"])):
            await rig.says("config/set/telemetry.log", level.encode())
            equal(rig.line.on(TOP + "config")[-1].json()["config"]["telemetry"]["log"], level)
            for verb in ("cook", "sample"):
                await rig.command(verb)
            lines = (await told(rig))[count:]
            equal([line.split(",")[0] for line in lines], published, level)
            count = len(await told(rig))


async def test_a_burst_of_lines_pushes_out_no_reply():
    async with Rig(dict(BASE, telemetry={"log": "info"})) as rig:
        await rig.go(3_000)
        before = len(await told(rig))
        rig.node._reply({"verb": "first"})
        for number in range(20):
            rig.board.log("event %d" % number)
        await rig.pass_ms(100)
        equal(rig.line.on(TOP + "reply")[-1].json(), {"verb": "first"})
        equal(len(await told(rig)) - before, 3)
        equal(rig.node._link.dropped, 17, "counted:")


async def test_what_went_before_is_told_once_after_a_start():
    async with Rig() as rig:
        await rig.go(3_000)
        rig.line.hang_up()
        await rig.pass_ms(100_000)
        equal(len(await told(rig)), 1)
    board = again(rig)
    board.rtc_write(rig.board.rtc_read())
    board.reset_cause = "watchdog"
    board.files.save("crash", b"Traceback: planted\n")
    async with Rig(board=board) as later:
        await later.go(5_000)
        story, = await told(later)
        for words in ("start: watchdog\nTraceback: planted\n", "closed by the broker", ", watchdog\n"):
            assert words in story, (words, story)
        await later.pass_ms(200_000)
        equal(len(await told(later)), 1, "once:")


async def test_the_command_report_fetches_it():
    async with Rig() as rig:
        await rig.go(3_000)
        rig.line.messages.clear()
        equal((await rig.command("report", b'{"id": 5}'))["ok"], True)
        story, = await told(rig)
        assert "link: online" in story, story


async def test_no_memory_for_the_record_ends_nothing():
    async with Rig() as rig:
        await rig.go(3_000)

        def full(data):
            raise MemoryError

        rig.board.rtc_write = full
        rig.line.hang_up()
        await rig.pass_ms(60_000)
        assert "not recorded: MemoryError" in rig.board.said
        assert len(rig.broker.lines) > 1
