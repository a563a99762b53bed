"""What a clock's going wrong is corrected by: the arithmetic, and an ESP32 whose clock goes wrong."""

import struct

import drift
from boards import esp32
from minitest import equal, near

BEGAN_S = 1795378692
NTP_1970_S = 2208988800
HOUR_S = 3_600
DAY_S = 86_400
NEVER = 0, 0
SET = BEGAN_S, 0


def after(passed_s, off_ms, before=SET):
    """The rate that is learned when the clock is so much behind so long after it was set."""
    true_ms = 1000 * (BEGAN_S + passed_s)
    since_s, ppm = drift.learned(before, true_ms - off_ms, true_ms)
    equal(since_s, BEGAN_S + passed_s)
    return ppm


def test_by_hand():
    equal(after(DAY_S, 864), 10, "864 ms in a day are ten millionths:")
    equal(after(DAY_S, -864), -10)
    equal(after(HOUR_S, 36_000), 10_000, "a percent:")
    equal(after(DAY_S, 864, (BEGAN_S, 30)), 40, "what is left adds to what is corrected already:")


def test_the_first_answer_teaches_nothing():
    equal(after(DAY_S, 5_000_000_000, NEVER), 0)
    equal(after(DAY_S, 864, NEVER), 0)


def test_what_the_network_may_have_made_of_it_teaches_nothing():
    for passed_s, off_ms in ((HOUR_S, 2_499), (60, 2_000), (0, 9_000), (DAY_S, 249), (DAY_S, -249)):
        equal(after(passed_s, off_ms, (BEGAN_S, 7)), 7, "%d s, %d ms:" % (passed_s, off_ms))


def test_a_clock_that_was_set_by_somebody_else_did_not_drift():
    for passed_s, off_ms in ((DAY_S, 3_600_000), (HOUR_S, -400_000), (-HOUR_S, 50_000)):
        equal(after(passed_s, off_ms, (BEGAN_S, -5)), -5)


def test_never_beyond_the_bound():
    rate = 0
    for _ in range(50):
        rate = after(DAY_S, 864_000, (BEGAN_S, rate))
    equal(rate, drift.MOST_PPM)


class World:
    """An ESP32 with a clock that gains `fast_ppm`, and a server that tells the truth."""

    def __init__(self, device, fast_ppm):
        self.device = device
        self.began_ms = device.clock.now_ms
        device.clock.fast_ppm = fast_ppm
        device.time_servers = {"ntp": self.answer}
        self.board = device.board()

    def true_ms(self):
        return 1000 * BEGAN_S + self.device.clock.now_ms - self.began_ms

    def answer(self, request):
        seconds, ms = divmod(self.true_ms(), 1000)
        stamp = struct.pack(">II", seconds + NTP_1970_S, (ms << 32) // 1000)
        return [b"\x24\x02" + bytes(22) + request[40:48] + bytes(8) + stamp]

    def off_ms(self):
        return self.board.clock_ms() - self.true_ms()

    async def after(self, seconds):
        """Milliseconds by which the clock is off after so long; then it is set."""
        self.device.clock.now_ms += 1000 * seconds
        off_ms = self.off_ms()
        await self.board.sync_time(["ntp"])
        near(self.off_ms(), 0, 30)
        return off_ms

    def sleep(self):
        """Start anew as after deep sleep, with what a sleeping node hands from wake to wake."""
        kept = self.board.drift
        self.board = self.device.board()
        self.board.drift = kept


async def test_a_crystal_is_corrected_from_the_second_answer_on():
    for fast_ppm in (40, -25):
        with esp32() as device:
            world = World(device, fast_ppm)
            await world.board.sync_time(["ntp"])
            near(await world.after(DAY_S), fast_ppm * DAY_S // 1000, 40)
            for _ in range(5):
                assert abs(await world.after(DAY_S)) < drift.NOISE_MS + 40, world.board.drift
            near(world.board.drift[1], -fast_ppm, 3)
            near(world.board.time_s(), world.true_ms() // 1000, 1)


async def test_the_clock_of_deep_sleep_is_corrected_within_hours_by_percents():
    for fast_ppm in (15_000, -15_000, 800):
        with esp32() as device:
            world = World(device, fast_ppm)
            await world.board.sync_time(["ntp"])
            world.sleep()
            await world.after(HOUR_S)
            for _ in range(3):
                world.sleep()
                last_ms = await world.after(DAY_S)
            assert abs(last_ms) < 1_000, (fast_ppm, last_ms)


async def test_a_temperature_that_changes_is_followed_and_forgotten():
    with esp32() as device:
        world = World(device, 30)
        await world.board.sync_time(["ntp"])
        for fast_ppm in (30, 30, -10, -10, -10, 30, 30):
            device.clock.fast_ppm = fast_ppm
            off_ms = await world.after(DAY_S)
        assert abs(off_ms) < drift.NOISE_MS + 40, off_ms


async def test_reconnecting_often_teaches_nothing_wrong():
    with esp32() as device:
        world = World(device, 20)
        for minutes in (0, 1, 5, 20, 60, 3):
            await world.after(60 * minutes)
        equal(world.board.drift[1], 0)
