"""The contract of the board, run over every board there is, on both Pythons; its streams have their own."""

import asyncio

import flash
import retained
from boards import HOME, RESETS, on_every_board
from fakes import chip
from minitest import equal, near, raises


async def test_identity():
    async def check(board):
        assert board.family and board.default_id.startswith(board.family + "-"), board.default_id
        allowed = "abcdefghijklmnopqrstuvwxyz0123456789_-"
        assert len(board.default_id) <= 23 and all([c in allowed for c in board.default_id]), board.default_id
        equal(board.default_id[-6:], board.mac.replace(":", "")[-6:])
        equal(len(board.mac), 17)
        assert board.chips in ("real", "simulated", "none")
        assert board.interpreter.split(" ")[0] in ("MicroPython", "CPython"), board.interpreter
        equal(len(board.interpreter.split(".")), 3)
        assert board.model
        assert board.reset_cause in ("power-on", "hard", "watchdog", "deep-sleep", "soft", "unknown")

    await on_every_board(check)


async def test_ticks_go_on_and_wrap():
    async def check(board):
        before = board.ticks_ms()
        await board.sleep_ms(20)
        passed = board.ticks_diff(board.ticks_ms(), before)
        assert 19 <= passed < 5000, passed
        for ms in (0, 1, 1000, 2**28, -1, -(2**28)):
            later = board.ticks_add(before, ms)
            equal(board.ticks_diff(later, before), ms)
            equal(board.ticks_diff(before, later), -ms)

    await on_every_board(check)


async def test_random_is_a_fraction():
    async def check(board):
        drawn = [board.random() for _ in range(50)]
        assert all([0 <= x < 1 for x in drawn]) and len(set(drawn)) > 40

    await on_every_board(check)


async def test_memory_is_counted():
    async def check(board):
        free, idf_free, idf_largest = board.memory()
        assert isinstance(free, int) and free > 0
        assert (idf_free is None and idf_largest is None) or 0 < idf_largest <= idf_free

    await on_every_board(check)


async def test_the_little_things_answer():
    async def check(board):
        board.feed()
        board.feed()
        board.log("a line")
        equal(board.read_config(), b'{"schema": 1}')
        with raises(RESETS):
            board.reset()
        for plan in ((1,), (1, None), (1, 4)):
            if board.chips != "none" or plan != (1, 4):
                with raises(RESETS):
                    board.deep_sleep(*plan)
        equal((board.hints, board.woken_by_pin), (None, False))

    await on_every_board(check)


async def test_memory_that_a_reset_leaves_alone():
    async def check(board):
        equal(board.rtc_read(), b"")
        for data in (b"kept", bytearray(2_048), b""):
            board.rtc_write(data)
            equal(board.rtc_read(), bytes(data))
        board.rtc_write(b"mine")
        for slot in (retained.BOOT, retained.RECORDER, retained.SLEEP):
            equal(retained.load(board, slot), None)
            retained.save(board, slot, bytes((slot[0] & 255,)) * (slot[1] - 6))
            with raises(ValueError):
                retained.save(board, slot, bytes(slot[1] - 5))
        for slot in (retained.BOOT, retained.RECORDER, retained.SLEEP):
            equal(retained.load(board, slot), bytes((slot[0] & 255,)) * (slot[1] - 6))
        retained.save(board, retained.RECORDER, b"")
        equal(retained.load(board, retained.RECORDER), None)
        assert retained.load(board, retained.BOOT) and retained.load(board, retained.SLEEP)

    await on_every_board(check)


async def test_the_clock_that_goes_on_asleep_and_the_time_awake():
    async def check(board):
        clock, awake = board.clock_ms(), board.awake_ms()
        await board.sleep_ms(30)
        assert 25 <= board.clock_ms() - clock < 5_000, board.clock_ms() - clock
        assert 0 <= awake and 25 <= (board.awake_ms() - awake) % (1 << 30) < 5_000
        known = board.time_s() is not None
        board.guess_time()
        assert board.clock_ms() >= clock
        equal(board.time_s() is not None, known, "a guess is no knowledge, and harms none:")

    await on_every_board(check)


async def test_a_missing_configuration_says_what_to_do():
    async def check(board):
        with raises(OSError) as caught:
            board.read_config()
        assert "config.json.example" in str(caught.value), caught.value

    await on_every_board(check, root=flash.folder)


async def test_files_are_replaced_whole():
    async def check(board):
        equal(board.files.load("a"), None)
        for data in (b"first", b"", b"second" * 100):
            board.files.save("a", data)
            equal(board.files.load("a"), data)
        with raises((OSError, TypeError)):
            board.files.save("a", None)
        equal(board.files.load("a"), b"second" * 100)

    await on_every_board(check)


async def test_flag_waits_and_clears():
    async def check(board):
        flag = board.flag()
        flag.set()
        flag.set()
        await flag.wait()
        seen = []
        waiting = asyncio.create_task(note(flag, seen))
        await asyncio.sleep(0.02)
        equal(seen, [], "a flag that was waited for is still set:")
        flag.set()
        await asyncio.wait_for(waiting, 2)
        equal(seen, [1])

    async def note(flag, seen):
        await flag.wait()
        seen.append(1)

    await on_every_board(check)


async def test_buses_answer_or_raise():
    async def check(board):
        if board.chips == "none":
            for use in (board.i2c, board.input_pin, board.output_pin, board.adc, board.onewire, board.dht):
                with raises(OSError):
                    use(4)
            return
        i2c = board.i2c(0)
        equal(list(i2c.scan()), [chip.CHIP_ADDRESS])
        i2c.writeto(chip.CHIP_ADDRESS, b"\x01")
        i2c.writeto_mem(chip.CHIP_ADDRESS, 2, b"\x01")
        for read in (i2c.readfrom_into, lambda address, buf: i2c.readfrom_mem_into(address, 2, buf)):
            buf = bytearray(2)
            read(chip.CHIP_ADDRESS, buf)
            equal(bytes(buf), b"\x11\x11")
            with raises(OSError):
                read(chip.CHIP_ADDRESS + 1, buf)
        with raises(OSError):
            i2c.writeto(chip.CHIP_ADDRESS + 1, b"\x01")
        near(board.adc(34).read_uv(), 1_650_000, 10_000)

    await on_every_board(check)


async def test_one_wire_and_dht():
    async def check(board):
        if board.chips == "none":
            return
        wire = board.onewire(chip.SENSOR_PIN)
        equal(wire.reset(), True)
        wire.write(b"\xcc")
        wire.readinto(bytearray(9))
        equal([len(rom) for rom in wire.scan()], [8])
        equal(board.onewire(chip.SENSOR_PIN + 1).reset(), False)
        raw = bytearray(5)
        board.dht(chip.SENSOR_PIN).measure(raw)
        equal(sum(raw[:4]) & 255, raw[4])
        with raises(OSError):
            board.dht(chip.SENSOR_PIN + 1).measure(raw)

    await on_every_board(check)


async def test_pins_and_their_interrupts():
    async def check(board):
        if board.chips == "none":
            return
        equal(board.input_pin(5, "up").value(), 1)
        pin = board.input_pin(6, None)
        seen = []
        pin.irq(lambda which: seen.append(which.value()))
        for level in (1, 1, 0, 1):
            pin.drive(level)
        equal(seen, [1, 0, 1], "both edges, and no more:")
        led = board.output_pin(7)
        led.value(1)
        equal(led.value(), 1)

    await on_every_board(check)


async def test_the_network_is_joined_and_left():
    async def check(board):
        await board.leave()
        await board.join(HOME)
        equal(board.joined(), True)
        assert board.address() is None or len(board.address().split(".")) == 4
        assert board.rssi() is None or -100 < board.rssi() < 0
        await board.leave()

    await on_every_board(check)
