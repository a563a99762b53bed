"""What empties a battery: whatever is wrong, and for however long, a sleeping node tries ever more seldom."""

import pytest

from tools import bench_battery

MORE_S = 125  # a day, for attempts that fail: two minutes, and what the beat of the wakes adds
WAKES = 288
# The broker that is frozen takes the simulator long: its dead connections are looked after.
FAULTS = [name for name in bench_battery.FAULTS if "says nothing" not in name]


@pytest.fixture(scope="module")
def rows():
    return bench_battery.measure(print, FAULTS, days=2)


@pytest.fixture(scope="module")
def healthy(rows):
    return rows["nothing is wrong"]


def test_where_nothing_is_wrong_each_wake_sends(healthy):
    assert (healthy.wakes, healthy.tries) == (WAKES, WAKES)
    assert healthy.longest_ms < 1_000 + bench_battery.SCAN_MS


@pytest.mark.parametrize("name", FAULTS)
def test_no_fault_costs_more_than_two_minutes_a_day(rows, healthy, name):
    row = rows[name]
    assert row.awake_s <= healthy.awake_s + MORE_S, row
    assert row.wakes in (WAKES - 1, WAKES, WAKES + 1), "it measures all the same"
    assert row.tries in (healthy.tries, healthy.tries - 1) or row.tries <= 24, row
    assert row.longest_ms <= 15_000 + bench_battery.SCAN_MS + 1_000 + bench_battery.START_MS, row
