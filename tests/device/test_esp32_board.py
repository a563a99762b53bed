"""What the ESP32's board does beyond the contract, on the fakes: Wi-Fi, clock, watchdog, what it refuses."""

import asyncio
import json

from boards import HOME, Server, echo, esp32
from fakes import chip
from fakes.radio import AccessPoint
from minitest import equal, near, raises

NOW_S = 1795378692
FLOOR_S = 1767225600  # the start of 2026, before this code


async def test_is_what_it_says():
    with esp32() as device:
        board = device.board()
        equal(board.default_id, "esp32s3-a1b2c3")
        equal(board.mac, "24:6f:28:a1:b2:c3")
        equal(board.interpreter, "MicroPython 1.29.0")
        equal(board.memory(), (100_000 - 49_152, 96_712, 49_152))


async def test_names_why_it_was_reset():
    with esp32() as device:
        names = ("unknown", "power-on", "hard", "watchdog", "deep-sleep", "soft", "unknown")
        for cause, name in enumerate(names):
            device.cause = cause
            equal(device.board().reset_cause, name)


async def test_refuses_fat():
    with esp32() as device:
        device.filesystem = "VfsFat"
        with raises(OSError) as caught:
            device.board()
        assert "VfsFat" in str(caught.value) and "littlefs" in str(caught.value)


async def test_refuses_pins_that_it_has_not():
    with esp32() as device:
        board = device.board()
        for use, number in ((board.i2c, 2), (board.input_pin, 40), (board.output_pin, 34), (board.adc, 4)):
            with raises(OSError) as caught:
                use(number)
            assert str(caught.value)
        assert board.i2c(0) is board.i2c(0), "two drivers share a bus"


async def test_the_first_bus_takes_the_pins_it_is_given():
    with esp32() as device:
        board = device.board()
        equal(board.i2c(0).pins, (None, None))
        board = device.board()
        board.i2c_pins = 9, 8
        assert None not in board.i2c(0).pins
        equal(board.i2c(1).pins, (None, None))


async def test_watchdog_starts_with_the_first_feed():
    with esp32() as device:
        board = device.board()
        equal(device.watchdog, None)
        board.feed()
        assert device.watchdog.timeout_ms > 12_000 * 4, "below a few name lookups"
        await board.sleep_ms(device.watchdog.timeout_ms - 1)
        board.feed()
        await board.sleep_ms(device.watchdog.timeout_ms + 1)
        with raises(chip.Reset):
            board.feed()


async def reason(device, board, networks):
    """Why `join` fails, and that it ends within its deadline with the radio off."""
    began_ms = device.clock.now_ms
    with raises(OSError) as caught:
        await board.join(networks)
    assert device.clock.now_ms - began_ms < 25_000, "%d ms" % (device.clock.now_ms - began_ms)
    equal(board.joined(), False)
    equal((board.address(), board.rssi()), (None, None))
    return str(caught.value)


async def test_joins_the_strongest_network_that_it_knows():
    with esp32() as device:
        board = device.board()
        device.access_points += [
            AccessPoint("stranger", -20),
            AccessPoint("home", -40, "correct horse"),
            AccessPoint("garden", -50, "tomatoes!"),
        ]
        await board.join({"garden": {"password": "tomatoes!"}, "home": {"password": "correct horse"}})
        equal(board.rssi(), -40)
        equal(board.address(), "192.0.2.7")


async def test_goes_on_to_the_next_network():
    with esp32() as device:
        board = device.board()
        deaf = AccessPoint("near", -30, "old words", gives_address=False)
        for trouble in (AccessPoint("near", -30, "changed!!"), deaf):
            device.access_points[1:] = [trouble]
            began_ms = device.clock.now_ms
            await board.join({"near": {"password": "old words"}, "home": {"password": "correct horse"}})
            equal(board.rssi(), -60)
            assert device.clock.now_ms - began_ms < 20_000, "the first may not use up all the time"
            await board.leave()
            equal(board.joined(), False)


async def test_joins_an_open_network():
    with esp32() as device:
        board = device.board()
        device.access_points.append(AccessPoint("cafe", -70))
        await board.join({"cafe": {"password": None}})
        equal(board.rssi(), -70)
        await board.leave()
        await board.join({"cafe": {}})
        equal(board.rssi(), -70)


async def test_joins_a_hidden_network():
    with esp32() as device:
        board = device.board()
        device.access_points.append(AccessPoint("attic", -70, "spiders!!", hidden=True))
        await board.join({"attic": {"password": "spiders!!"}})
        equal(board.rssi(), -70)


async def test_comes_back_to_its_network_without_a_scan_and_without_dhcp():
    with esp32() as device:
        device.access_points.append(AccessPoint("home", -80, "correct horse"))
        board = device.board()
        await board.join(HOME)
        hints = json.loads(json.dumps(board.hints))
        equal((hints[0], hints[2], hints[3]), ("home", 6, ["192.0.2.7", "255.255.255.0", "192.0.2.1", "192.0.2.1"]))
        board = device.board()
        board.hints = hints
        began_ms = device.clock.now_ms
        await board.join(HOME)
        assert device.clock.now_ms - began_ms < 600, device.clock.now_ms - began_ms
        equal((board.rssi(), board.address()), (-60, "192.0.2.7"))
        equal(board.hints, hints)


async def test_asks_for_an_address_again_after_an_hour():
    with esp32() as device:
        board = device.board()
        await board.join(HOME)
        hints = json.loads(json.dumps(board.hints))
        since_s = hints[4]
        device.clock.now_ms += 3_601_000
        board = device.board()
        board.hints = hints
        began_ms = device.clock.now_ms
        await board.join(HOME)
        assert 2_000 < device.clock.now_ms - began_ms < 3_000, "an association with DHCP, but no scan"
        assert board.hints[4] - since_s >= 3_600


async def test_an_access_point_that_is_gone_costs_seconds_and_then_a_scan():
    with esp32() as device:
        board = device.board()
        await board.join(HOME)
        hints = json.loads(json.dumps(board.hints))
        device.access_points[:] = [AccessPoint("home", -70, "correct horse")]
        board = device.board()
        board.hints = hints
        await board.join(HOME)
        equal(board.rssi(), -70)
        assert board.hints[1] != hints[1]
        board = device.board()
        board.hints = ["elsewhere", "020000000000", 6, ("192.0.2.9",) * 4, 0, {}]
        await board.join(HOME)
        equal(board.rssi(), -70, "a network that is configured no more:")


async def test_a_pin_that_wakes_and_one_that_cannot():
    with esp32() as device:
        board = device.board()
        for plan, wakers, words in (((5, 33), [(33, True)], ""), ((5, 13), [], "invalid pin"),
                                    ((5, 99), [], "invalid pin"), ((5,), [], ""), ((5, None), [], "")):
            said, device.wakers = [], []
            board.log = said.append
            with raises(chip.Reset) as caught:
                board.deep_sleep(*plan)
            equal(caught.value.args, ("deep sleep", 5))
            equal(device.wakers, wakers, "%r:" % (plan,))
            assert words in " ".join(said) and bool(words) == bool(said), said
        for cause, wake, by_pin in ((4, 4, False), (4, 2, True), (4, 7, True), (1, 0, False)):
            device.cause, device.wake = cause, wake
            equal(device.board().woken_by_pin, by_pin)


async def test_names_why_it_cannot_join():
    with esp32() as device:
        board = device.board()
        equal(await reason(device, board, {"nowhere": {"password": "anything"}}), "nowhere: no such network")
        equal(await reason(device, board, {"home": {"password": "wrong one"}}), "home: wrong password")
        equal(await reason(device, board, {}), "no network is configured")
        device.access_points[0].gives_address = False
        equal(await reason(device, board, HOME), "home: no address in time")
        device.access_points[0].gives_address = True
        device.access_points[0].password = None
        equal(await reason(device, board, HOME), "home: Wi-Fi status 211")
        device.access_points[0].password = "correct horse"
        await board.join(HOME)
        equal(board.joined(), True, "after all that:")


async def test_joins_again_after_the_network_went_away():
    with esp32() as device:
        board = device.board()
        await board.join(HOME)
        gone = device.access_points.pop()
        equal(board.joined(), False)
        await reason(device, board, HOME)
        device.access_points.append(gone)
        await board.join(HOME)
        equal(board.joined(), True)


async def test_can_join_after_a_join_was_given_up():
    with esp32() as device:
        board = device.board()
        joining = asyncio.create_task(board.join(HOME))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        joining.cancel()
        try:
            await joining
        except asyncio.CancelledError:
            pass
        await board.sleep_ms(200)
        await board.join(HOME)
        equal(board.joined(), True)


def time_server(unix_s):
    """What a good time server answers."""
    seconds = (unix_s + 2208988800).to_bytes(4, "big")
    return lambda request: [b"\x24\x02" + bytes(22) + request[40:48] + bytes(8) + seconds + bytes(4)]


async def test_knows_no_time_until_a_server_told_it():
    with esp32() as device:
        board = device.board()
        equal(board.time_s(), None)
        device.time_servers = {"ntp": time_server(NOW_S)}
        await board.sync_time(["ntp"])
        near(board.time_s(), NOW_S, 2)
        await board.sleep_ms(10_000)
        near(board.time_s(), NOW_S + 10, 2)
        near(device.board().time_s(), NOW_S + 10, 2)  # after a reset
        equal(device.sockets, 0)


async def test_asks_the_next_server():
    with esp32() as device:
        board = device.board()
        device.time_servers = {
            "silent": lambda request: [],
            "liar": time_server(946684800),
            "stranger": lambda request: time_server(NOW_S + 5000)(bytes(48)),
            "ntp": lambda request: [b"noise"] + time_server(NOW_S)(request),
        }
        await board.sync_time(["unknown", "silent", "liar", "stranger", "ntp"])
        near(board.time_s(), NOW_S, 2)
        equal(device.sockets, 0)


async def test_says_when_no_server_answers():
    with esp32() as device:
        board = device.board()
        device.time_servers = {"silent": lambda request: []}
        began_ms = device.clock.now_ms
        for servers in (["silent", "silent"], []):
            with raises(OSError) as caught:
                await board.sync_time(servers)
            assert "no time server answers" in str(caught.value)
        assert device.clock.now_ms - began_ms < 6000
        equal(board.time_s(), None)
        equal(device.sockets, 0)


def shown_s(device):
    """What the chip's clock says, known or guessed: certificates are judged by it."""
    return device.clock.time() + 946684800


async def try_tls(device, board):
    """An attempt at a TLS connection, which has no authority and fails, as anything after the clock may."""
    with raises(OSError):
        await board.open_stream("127.0.0.1", 1, {"ca": "/no/such/file"})


async def test_tls_without_the_time_guesses_it_and_tells_nobody():
    with esp32() as device:
        board = device.board()
        await try_tls(device, board)
        near(shown_s(device), FLOOR_S, 2)
        equal(board.time_s(), None)
        device.clock.now_ms += 100_000
        await try_tls(device, board)
        near(shown_s(device), FLOOR_S + 100, 2)  # a guess goes on, it does not begin anew
        equal(device.board().time_s(), None, "after a reset, in which the clock goes on:")
        device.time_servers = {"ntp": time_server(NOW_S)}
        await board.sync_time(["ntp"])
        for known in (board, device.board()):
            near(known.time_s(), NOW_S, 2)


async def test_the_guess_is_the_last_time_known():
    with esp32() as device:
        device.time_servers = {"ntp": time_server(NOW_S)}
        await device.board().sync_time(["ntp"])
    for _ in range(2):  # the second time without a server in between
        with esp32(device.root) as device:  # a new chip's clock on the old flash: the power was cut
            board = device.board()
            equal(board.time_s(), None)
            await try_tls(device, board)
            near(shown_s(device), NOW_S, 2)
            equal(board.time_s(), None)


async def test_a_time_that_is_known_is_left_alone():
    with esp32() as device:
        device.time_servers = {"ntp": time_server(NOW_S)}
        board = device.board()
        await board.sync_time(["ntp"])
        device.clock.now_ms += 100_000
        await try_tls(device, board)
        board.guess_time()
        near(board.time_s(), NOW_S + 100, 2)


async def test_a_connection_without_tls_needs_no_time():
    with esp32() as device:
        board = device.board()
        with raises(OSError):
            await board.open_stream("127.0.0.1", 1, None)
        assert shown_s(device) < FLOOR_S


async def test_the_time_is_written_once_a_day():
    with esp32() as device:
        board = device.board()
        saved = []
        save = board.files.save

        def count(name, data):
            saved.append(name)
            save(name, data)

        board.files.save = count
        began_ms = device.clock.now_ms
        for days, writes in ((0, 1), (0.01, 1), (0.9, 1), (1.1, 2), (1.2, 2)):
            device.clock.now_ms = began_ms + int(days * 86_400_000)
            device.time_servers = {"ntp": time_server(NOW_S + int(days * 86400))}
            await board.sync_time(["ntp"])
            equal(len(saved), writes)


async def test_a_liar_in_the_future_is_not_believed():
    with esp32() as device:
        board = device.board()
        device.time_servers = {"ntp": time_server(NOW_S + 200_000_000)}
        with raises(OSError):
            await board.sync_time(["ntp"])
        equal((board.time_s(), board.clock_refused), (None, 3))
        device.time_servers = {"ntp": time_server(NOW_S)}
        await board.sync_time(["ntp"])
        device.time_servers = {"ntp": time_server(NOW_S + 200_000_000)}
        with raises(OSError):
            await board.sync_time(["ntp"])
        near(board.time_s(), NOW_S, 3)
    with esp32(device.root) as device:
        await try_tls(device, device.board())
        near(shown_s(device), NOW_S, 2)


async def test_looks_a_broker_up_once_until_it_fails():
    with esp32() as device:
        board = device.board()

        async def visit(port):
            stream = await board.open_stream("127.0.0.1", port, None)
            stream.close()
            await stream.wait_closed()

        async with Server(echo) as port:
            for lookups in (1, 2):  # something takes the connection, but it is no broker
                await visit(port)
                equal(device.stream.lookups, lookups)
            board.keep_address()
            await visit(port)
            equal(device.stream.lookups, 2)
            board.keep_address()
        for lookups in (2, 3):
            with raises(OSError):
                await board.open_stream("127.0.0.1", port, None)
            equal(device.stream.lookups, lookups)


async def test_saves_power_while_it_is_joined_and_not_before():
    with esp32() as device:
        board = device.board()
        board.save_power(True)
        equal((device.hz, device.power_modes), (80_000_000, []), "the radio is not even on:")
        await board.join(HOME)
        equal(device.power_modes, [(1, False), (2, True)], "DHCP hears broadcasts, and then it dozes:")
        await board.leave()
        await board.join(HOME)
        equal(device.power_modes[2:], [(1, False), (2, True)], "the next time as well:")
        board.save_power(True)
        equal((device.hz, len(device.power_modes)), (80_000_000, 4), "it does already:")
        board.save_power(False)
        equal((device.hz, device.power_modes[4:]), (160_000_000, [(1, True)]))
        await board.leave()
        await board.join(HOME)
        equal(device.power_modes[5:], [(1, False)])


async def test_saves_power_at_once_when_it_is_joined_already():
    with esp32() as device:
        for hz, slow_hz in ((240_000_000, 80_000_000), (40_000_000, 40_000_000)):
            device.hz = hz
            board = device.board()
            board.save_power(False)
            equal(device.hz, hz, "what somebody has set stays:")
            await board.join(HOME)
            board.save_power(True)
            equal((device.hz, device.power_modes[-1]), (slow_hz, (2, True)))
            board.save_power(False)
            equal((device.hz, device.power_modes[-1]), (hz, (1, True)))
            await board.leave()
