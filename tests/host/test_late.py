"""Late readings as hourly statistics."""

import json

from tools import late

KINDS = {"air": ["temperature", "humidity"], "water": ["pulses"]}
H = late.HOUR_S


def reading(ts, seq, **values):
    return {"sensor": "air", "ts": ts, "boot": 7, "seq": seq, **values}


def test_values_wait_once_each_until_their_hour_is_over_and_settled():
    waiting = {}
    batch = [reading(10, 1, temperature=1.5), reading(H + 5, 2, temperature=2.5, humidity=None)]
    assert late.take(waiting, "n", batch, KINDS) == 2
    late.take(waiting, "n", batch, KINDS)  # QoS 1 may bring it twice
    waiting = json.loads(json.dumps(waiting))
    assert late.due(waiting, H + late.SETTLED_S - 1) == {}
    assert late.due(waiting, H + late.SETTLED_S) == {"n_air_temperature": {0: [1.5]}}
    late.forget(waiting, "n_air_temperature", [0])
    assert late.due(waiting, 10 * H) == {"n_air_temperature": {H: [2.5]}}
    late.forget(waiting, "n_air_temperature", [H])
    assert waiting == {}


def test_what_belongs_to_no_hour_or_is_no_reading_is_left_out():
    waiting = {}
    for batch in (None, 5, [7], [reading(None, 1, temperature=1)], [reading(5, 1, temperature=True)],
                  [reading(5, 1, temperature="x", other=1)], [{"sensor": "fire", "ts": 5, "heat": 1}]):
        assert late.take(waiting, "n", batch, KINDS) == 0
    assert waiting == {}


def test_values_are_in_order_of_time_not_of_arrival():
    waiting = {}
    late.take(waiting, "n", [reading(900, 9, temperature=3), reading(20, 1, temperature=1)], KINDS)
    assert late.due(waiting, 2 * H)["n_air_temperature"] == {0: [1, 3]}


def test_an_hour_without_a_row_gets_the_values_and_a_partly_seen_one_keeps_its_part():
    hours = {0: [1.0, 3.0], H: [10.0] * 30}
    made = late.means(hours, 60, {H: {"mean": 20.0, "min": 15.0, "max": 25.0}})
    assert made[0] == {"mean": 2.0, "min": 1.0, "max": 3.0}
    assert made[H] == {"mean": 15.0, "min": 10.0, "max": 25.0}, "half of the hour each"


def test_a_counter_goes_on_from_the_row_before_and_leaves_those_that_are_there():
    rows = {0: {"state": 100.0, "sum": 40.0}, 3 * H: {"state": 130.0, "sum": 70.0}}
    made = late.sums({0: [90], H: [105, 110], 2 * H: [5, 120]}, rows)
    assert made == {H: {"state": 110, "sum": 50.0}, 2 * H: {"state": 120, "sum": 170.0}}, "it began again at 5"
    assert late.sums({H: [7, 9]}, {}) == {H: {"state": 9, "sum": 2.0}}
