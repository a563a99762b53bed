"""What thousands of nodes do to a broker that comes back: the real link with its real backoff, in virtual time."""

from tools import bench_storm
from tools.sim.storm import FLEET, HOME, Storm, no_jitter


def test_a_fleet_spreads_and_a_herd_without_jitter_does_not():
    fleet = Storm(1, 300, FLEET, 600)
    told = fleet.go()
    assert told["peak_per_s"] <= 300 / 15, "a wide window spreads the first attempts over a minute"
    assert told["back_95_s"] <= 260
    assert sum(fleet.curve()[:60]) >= 300, "everybody tried within the first window"
    assert Storm(1, 300, FLEET, 600, no_jitter).go()["peak_per_s"] == 300


def test_a_home_is_back_soon_after_a_restart_of_its_broker():
    assert all(Storm(seed, 20, HOME, 5).go()["back_95_s"] <= 20 for seed in range(1, 6))


def test_the_bench_tells_both_curves():
    result = bench_storm.measure(lambda text: None, nodes=50)
    assert max(result["curves"]["without jitter"]) == 50 > max(result["curves"]["with jitter"])
    assert "50 attempts a second" in bench_storm.text(result)
