"""Report by exception: a steady sensor costs no packets, and nothing that matters is kept back."""

from firmware import slots
from firmware.quiet import Quiet
from lending import load
from minitest import equal, raises
from test_sampler import NAN, Bench, Fake


def quiet_bench(deadband, heartbeat_s=None, interval_s=1):
    """(bench, driver) of a sensor behind a Quiet."""
    bench = Bench()
    driver = Fake(bench)
    quiet = Quiet(driver, deadband, heartbeat_s, lambda: bench.now)
    bench.build((quiet, 0, interval_s))
    return bench, driver


def told(bench, driver, *values):
    """Which of these readings, one a second, are reported."""
    found = []
    for pair in values:
        driver.values = pair
        before = len(bench.readings)
        bench.until(bench.now + 1_000)
        found += [tuple(values) for _, _, values in bench.readings[before:]]
    return found


def test_only_what_differs_is_reported():
    bench, driver = quiet_bench(0.5)
    bench.until(0)
    equal(told(bench, driver, (20, 50), (20.4, 50), (20.49, 50.49), (20.5, 50), (20.1, 50), (20, 50), (20, 51)),
          [(20.5, 50), (20, 50), (20, 51)])
    equal(len(bench.readings), 4, "and the first:")
    equal(bench.sampler.unchanged, 4)
    equal(bench.sampler.rejected, {"missing": 0, "bad": 0, "range": 0})


def test_what_creeps_is_measured_against_what_was_reported():
    bench, driver = quiet_bench(1)
    bench.until(0)
    equal(told(bench, driver, *[(20 + step / 4, 50) for step in range(1, 10)]), [(21, 50), (22, 50)])


def test_a_step_of_exactly_the_deadband_counts_though_floats_round():
    bench, driver = quiet_bench(0.2)
    driver.values = (20.1, 50)
    bench.until(0)
    equal(told(bench, driver, (20.3, 50), (20.1, 50)), [(20.3, 50), (20.1, 50)])


def test_a_deadband_of_zero_reports_whatever_differs():
    bench, driver = quiet_bench(0)
    bench.until(0)
    equal(told(bench, driver, (20, 50), (20.0001, 50), (20.0001, 50)), [(20.0001, 50)])


def test_a_value_that_goes_away_and_comes_back_is_reported():
    bench, driver = quiet_bench(5)
    bench.until(0)
    equal(told(bench, driver, (None, 50), (None, 51), (20, 51), (NAN, 51), (20, 51)),
          [(None, 50), (20, 51), (None, 51), (20, 51)])


def test_a_steady_sensor_has_a_heartbeat():
    bench, driver = quiet_bench(1, heartbeat_s=10)
    bench.until(60_000)
    equal(bench.times(), list(range(0, 60_001, 10_000)))
    bench, driver = quiet_bench(1)
    bench.until(3_600_000)
    equal(bench.times(), list(range(0, 3_600_001, 600_000)), "ten minutes unless told otherwise:")
    equal(len(driver.reads), 3601, "it measures all the same:")


def test_who_asks_gets_a_reading():
    bench, driver = quiet_bench(1)
    bench.until(5_500)
    bench.sampler.sample()
    bench.until(9_900)
    equal(bench.times(), [0, 5_500])


def test_errors_and_events_pass():
    bench, driver = quiet_bench(1)
    bench.until(500)
    driver.spoils = OSError(110)
    bench.until(2_500)
    equal(bench.sampler.rejected["missing"], 2)
    driver.spoils = None
    driver.values = (30, 50)
    driver.notify()
    bench.until(2_600)
    equal(bench.times(), [0, 2_500])


def test_it_stands_before_a_driver_where_the_options_say_so():
    class Module:
        class Driver:
            quantities = (("x", "m", None, 1, None, 0, 9),)

            def __init__(self, board, options):
                self.start = None

    def find(name):
        equal(name, "firmware.drivers.x")
        return Module

    for options, interval_s, expected_s in (
            ({}, 60, 60), ({"heartbeat_s": 300}, 60, 60), ({"deadband": 0}, 60, 600), ({"deadband": 0}, 900, 900),
            ({"deadband": 0.5, "heartbeat_s": 300}, 60, 300), ({"deadband": None}, 60, 60)):
        driver = slots.driver(find, None, dict(options, driver="x"), load, int)
        equal(type(driver).__name__, "Quiet" if options.get("deadband") is not None else "Driver", options)
        equal(slots.silence_s(options, interval_s), expected_s, options)
    with raises(KeyError):
        slots.driver(load, None, {}, load, int)
