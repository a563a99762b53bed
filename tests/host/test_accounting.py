"""The audit's arithmetic, case by case: what a subscriber may demand, and what a node's counters excuse."""

import random

import pytest

from tools.accounting import Accounting, Ranges

NODE = "esp32-a1b2c3"
LONG_S = 1_000  # seconds that we have listened, where that matters


class Story:
    """Messages of one node, told in order."""

    def __init__(self):
        self.accounting = Accounting()

    def take(self, kind, value, kept=False, listening_s=LONG_S, node=NODE):
        self.accounting.take(node, kind, value, kept, listening_s)
        return self

    def live(self, *numbers, boot=7, **options):
        for seq in numbers:
            self.take("telemetry", {"ts": 1, "boot": boot, "seq": seq, "temperature": 20.5}, **options)
        return self

    def event(self, seq, boot=7):
        return self.take("event", {"ts": 1, "boot": boot, "seq": seq, "event_type": "press"})

    def late(self, *numbers, boot=7):
        return self.take("backlog", [{"sensor": "air", "ts": 1, "boot": boot, "seq": seq} for seq in numbers])

    def says(self, produced, queued=0, dropped=0, boot=7, uptime_s=LONG_S, inherited=None, **options):
        return self.take("diagnostics", {
            "boot": boot, "uptime_s": uptime_s, "produced": produced, "queued": queued,
            "acknowledged": produced - queued - dropped, "dropped": {"overflow": dropped},
            **({"inherited": inherited} if inherited else {})}, **options)

    def past(self, *entries, boot=8):
        """What `info` says in `boot` of earlier ones: (boot, safe seq, most that the power took, dropped)."""
        return self.take("info", {"boot": boot, "last_seq": entries[-1][1], "past": [list(entry) for entry in entries]})

    @property
    def told(self):
        return self.accounting.report()["nodes"][NODE]

    @property
    def ok(self):
        return self.accounting.report()["ok"]


@pytest.fixture
def story():
    return Story()


def test_all_that_was_due_has_come(story):
    story.live(40, 41, 42).event(43).says(43)
    assert story.ok
    assert story.told == {"received": 4, "duplicates": 0, "gaps": [], "tail_unknown": 0, "counted_dropped": 0,
                          "status": None, "malformed": 0}


def test_a_gap(story):
    story.live(40, 41, 45).says(45)
    assert not story.ok
    assert story.told["gaps"] == [[7, 42, 44]]


def test_a_gap_counts_without_any_diagnostics(story):
    story.live(40, 42)
    assert not story.ok


def test_a_duplicate_is_told_and_harms_nothing(story):
    story.live(40, 41, 41, 42).late(40)
    assert story.ok
    assert story.told["duplicates"] == 2
    assert story.told["received"] == 5


def test_the_backlog_fills_the_gap_whichever_comes_first(story):
    story.live(40, 45, 46).late(41, 42).live(47).late(43, 44)
    assert story.ok
    assert story.told["gaps"] == []


def test_what_is_older_than_the_first_live_reading_is_counted_and_never_missed(story):
    story.late(12, 13).live(40).late(20, 22).live(41).says(41)
    assert story.ok
    assert story.told["received"] == 6


def test_backlog_alone_demands_nothing(story):
    story.late(12, 17)
    assert story.ok


def test_of_a_boot_that_began_in_our_time_everything_is_due(story):
    story.live(40, 41).live(3, 4, boot=8)
    assert not story.ok
    assert story.told["gaps"] == [[8, 1, 2]]
    assert story.late(1, 2, boot=8).ok


def test_a_boot_number_may_fall_when_the_flash_was_thrown_away(story):
    story.live(40, boot=9).live(2, boot=3)
    assert story.told["gaps"] == [[3, 1, 1]]


def test_backlog_of_an_older_boot_is_not_a_new_start(story):
    story.live(40, boot=8).late(5, 9, boot=7).live(41, boot=8)
    assert story.ok


def test_uptime_tells_that_a_boot_began_in_our_time(story):
    story.live(3).says(3, uptime_s=10, listening_s=60)
    assert story.told["gaps"] == [[7, 1, 2]]


def test_diagnostics_that_come_late_do_not_make_a_boot_younger(story):
    story.live(40).says(40, uptime_s=5, listening_s=60).says(41, queued=1, uptime_s=61, listening_s=60)
    assert story.ok
    assert story.told["gaps"] == []


def test_uptime_tells_nothing_of_a_node_that_sleeps(story):
    story.take("status", "sleeping", kept=True).live(300).says(300, uptime_s=2, listening_s=60)
    assert story.ok


def test_dropped_and_counted_excuses_as_many_and_no_more(story):
    story.live(1).says(1).live(9).says(9, dropped=7)
    assert story.ok
    assert story.told["gaps"] == [[7, 2, 8]]
    assert story.told["counted_dropped"] == 7
    assert not story.live(11).says(11, dropped=7).ok


def test_drops_from_before_our_time_excuse_nothing(story):
    story.live(500).says(500, dropped=400).live(502).says(502, dropped=400)
    assert not story.ok
    assert story.told["counted_dropped"] == 0


def test_drops_before_the_first_diagnostics_excuse_what_was_missing_then(story):
    story.live(500, 503).says(503, dropped=402).live(504).says(504, dropped=402)
    assert story.ok
    assert story.told["counted_dropped"] == 2


def test_readings_that_the_node_still_has_are_an_unknown_tail(story):
    story.live(1, 2, 3).says(8, queued=5)
    assert story.ok
    assert not story.accounting.settled()
    assert (story.told["gaps"], story.told["tail_unknown"]) == ([], 5)
    story.late(4, 5, 6, 7)
    assert story.told["tail_unknown"] == 1
    story.live(9).late(8)
    assert story.told["tail_unknown"] == 0
    assert story.accounting.settled()


def test_what_the_node_no_longer_has_is_a_gap_even_at_the_end(story):
    story.live(1, 2, 3).says(8, queued=2)
    assert not story.ok
    assert story.told["gaps"] == [[7, 4, 6]]
    assert story.told["tail_unknown"] == 2


def test_a_gap_that_the_queue_may_still_fill_is_told_but_excused(story):
    story.live(1, 2, 9).says(9, queued=6)
    assert story.ok
    assert (story.told["gaps"], story.told["tail_unknown"]) == ([[7, 3, 8]], 6)
    assert not story.says(9, queued=0).ok


def test_a_restart_loses_what_only_the_node_had(story):
    story.live(1, 2, 3).says(8, queued=5)
    assert story.ok
    story.live(1, boot=8)
    assert not story.ok
    assert story.told["gaps"] == [[7, 4, 8]]
    assert story.late(4, 5, 6, 7, 8).ok


def test_what_the_broker_kept_is_no_start_and_no_duplicate(story):
    story.live(5, kept=True).live(9).live(9, kept=True).live(11)
    assert story.told["received"] == 2
    assert story.told["duplicates"] == 0
    assert story.told["gaps"] == [[7, 10, 10]]
    assert story.live(10, kept=True).ok  # it was sent while we were away, and it did arrive


def test_nodes_do_not_mix(story):
    story.live(1, 2).live(1, 3, node="host-000001")
    report = story.accounting.report()
    assert report["nodes"][NODE]["gaps"] == []
    assert report["nodes"]["host-000001"]["gaps"] == [[7, 2, 2]]
    assert not report["ok"]


def test_no_reading_at_all_is_not_ok(story):
    story.take("status", "offline", kept=True)
    assert not story.ok
    assert story.told["status"] == "offline"


@pytest.mark.parametrize("kind, value", [
    ("telemetry", {"boot": 1}), ("telemetry", [1]), ("telemetry", None), ("telemetry", {"boot": 1, "seq": "2"}),
    ("telemetry", {"boot": True, "seq": 1}), ("event", {"boot": 1, "seq": -1}), ("backlog", {"boot": 1, "seq": 1}),
    ("backlog", [{"boot": 1, "seq": 9}, 5]), ("diagnostics", {"boot": 1}), ("diagnostics", "well")])
def test_what_is_not_of_the_form_is_counted_and_not_ok(story, kind, value):
    story.live(1, 2).take(kind, value).live(3)
    assert story.told["malformed"] == 1
    assert story.told["received"] == 3
    assert not story.ok


@pytest.mark.parametrize("seed", range(5))
def test_ranges_are_a_set(seed):
    draw = random.Random(seed)
    ranges, expected = Ranges(), set()
    for _ in range(400):
        number = draw.randint(1, 120)
        assert ranges.add(number) == (number not in expected)
        expected.add(number)
        assert (ranges.count, ranges.highest) == (len(expected), max(expected))
    for first, last in ((1, 120), (30, 90), (50, 50), (60, 59), (100, 140)):
        lacking = [n for low, high in ranges.missing(first, last) for n in range(low, high + 1)]
        assert lacking == [n for n in range(first, last + 1) if n not in expected]


def test_a_power_cut_took_what_was_in_ram_and_no_more_than_that(story):
    story.live(*range(40, 51)).says(60, queued=10).live(1, boot=8).past((7, 55, 6, 0))
    story.late(51, 52, 53, 54, 55)
    assert story.ok
    assert story.told["gaps"] == [[7, 56, 60]]
    assert story.told["tail_unknown"] == 1, "five are known to be missing, one more may be"


def test_what_was_safe_before_a_power_cut_has_to_come(story):
    story.live(*range(40, 51)).says(60, queued=10).live(1, boot=8).past((7, 55, 6, 0)).late(51, 53, 54, 55)
    assert not story.ok
    story.says(1, boot=8, uptime_s=1, inherited={"queued": 1, "dropped": 0})
    assert story.ok, "it still waits on flash"
    story.says(1, boot=8, uptime_s=1, inherited={"queued": 0, "dropped": 1})
    assert story.ok and story.told["counted_dropped"] == 1
    story.says(1, boot=8, uptime_s=1, inherited={"queued": 0, "dropped": 0})
    assert not story.ok


def test_a_power_cut_does_not_excuse_more_than_ram_holds(story):
    story.live(40, 41).says(60, queued=19).live(1, boot=8).past((7, 41, 18, 0))
    assert not story.ok
    assert story.past((7, 41, 19, 0)).ok
    assert story.past((7, 41, 18, 1)).ok, "one was dropped, and counted on flash"


def test_after_a_clean_end_nothing_is_unknown(story):
    story.live(40, 41).live(1, boot=8).past((7, 43, 0, 0))
    assert not story.ok
    assert story.told["gaps"] == [[7, 42, 43]], "the node took more than we have heard of"
    story.late(42, 43)
    assert story.ok and story.told["tail_unknown"] == 0 and story.accounting.settled()


def test_without_flash_nobody_can_say_how_much_a_power_cut_took(story):
    story.live(40).says(99, queued=59).live(1, boot=8).past((7, 0, None, 0))
    assert story.ok
    assert story.told["tail_unknown"] is None


def test_a_tail_that_is_gone_is_not_waited_for(story):
    story.live(40).live(1, boot=8).past((7, 40, 96, 0))
    assert story.told["tail_unknown"] == 96
    assert story.accounting.settled()


def test_boots_of_which_we_heard_nothing_demand_nothing(story):
    story.live(1, boot=8).past((5, 700, 96, 0), (6, 0, None, 0))
    assert story.ok and story.told["tail_unknown"] == 0


@pytest.mark.parametrize("past", [5, [1], [[1, 2]], {"a": 1}, [[1, "2", 3, 4]], [["1", 2, 3, 4]], [[1, 2, 3, 4, 5]]])
def test_an_info_that_is_none_of_ours_is_malformed(story, past):
    story.live(40).take("info", {"past": past})
    assert story.told["malformed"] == 1
