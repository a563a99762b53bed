"""`mote bench fleet` calls a rate held only when all of it arrived, in time."""

import pytest

from tools import bench_fleet


def arrivals(per_s, seconds):
    """Times of messages at an even rate."""
    return [100 + number / per_s for number in range(per_s * seconds)]


def test_a_rate_that_arrives_whole_holds():
    row = bench_fleet.judged(50, 30, arrivals(50, 30), 1_500, 0, 0)
    assert row == {"rate": 50, "per_s": 50, "acknowledged": 1_500, "missing": 0, "failed": 0, "holds": True}


@pytest.mark.parametrize("arrived, missing, failed, overflow", [
    (arrivals(40, 30), 0, 0, 0), (arrivals(50, 30), 1, 0, 0), (arrivals(50, 30), 0, 1, 0), (arrivals(50, 30), 0, 0, 1),
    ([], 0, 0, 0)])
def test_what_is_late_missing_failed_or_not_counted_does_not_hold(arrived, missing, failed, overflow):
    assert not bench_fleet.judged(50, 30, arrived, 1_500, missing, failed, overflow)["holds"]


def test_what_each_process_of_locust_prints_is_found():
    output = '[]\nsome line\n[\n {"name": "publish", "num_requests": 3}\n]\n'
    assert bench_fleet.printed(output) == [{"name": "publish", "num_requests": 3}]


def test_the_table_says_how_much_each_holds():
    row = bench_fleet.judged(50, 30, arrivals(50, 30), 1_500, 0, 0)
    lost = bench_fleet.judged(100, 30, arrivals(90, 30), 1_500, 2, 0)
    text = bench_fleet.text({"mote fleet": [row, lost], "locust": [lost]})
    assert "mote fleet holds 50 readings a second" in text and "locust     holds 0 readings a second" in text
