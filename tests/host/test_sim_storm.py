"""What thousands of nodes do to a broker that comes back: the real link with its real backoff, in virtual time."""

import json

from tools import __main__, bench_storm
from tools.sim import storms
from tools.sim.storm import FLEET, HOME, Storm, no_jitter


def test_a_fleet_spreads_and_a_herd_without_jitter_does_not():
    fleet = Storm(1, 300, FLEET, 600)
    told = fleet.go()
    assert told["peak_per_s"] <= 300 / 15, "a wide window spreads the first attempts over a minute"
    assert told["back_95_s"] <= 260
    assert sum(fleet.curve()[:60]) >= 300, "everybody tried within the first window"
    assert Storm(1, 300, FLEET, 600, no_jitter).go()["peak_per_s"] == 300


def test_a_home_is_back_within_ten_seconds_of_a_broker_that_restarts(capsys):
    assert __main__.main(["sim", "--storm", "home", "--seeds", "30", "--json"]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [storm["seed"] for storm in told] == list(range(1, 31))
    assert all(storm["ok"] and storm["nodes"] == 20 and storm["down_s"] == 5 for storm in told)
    assert max(storm["back_95_s"] for storm in told) <= 10


def test_ten_thousand_nodes_may_try_450_times_a_second_and_fewer_by_their_number_and_by_chance():
    fleet = storms.KINDS["fleet"]
    assert storms.allowed_per_s(fleet, 10_000) == 450
    assert 2.3 / 60 * 1_000 < storms.allowed_per_s(fleet, 1_000) <= 60
    assert storms.allowed_per_s(storms.KINDS["home"], 20) == 20


def test_a_storm_that_is_too_wild_or_too_long_fails(monkeypatch, capsys):
    calm = storms.verdict("fleet", 1, 60)
    assert calm["ok"] and calm["limits"] == {"peak_per_s": storms.allowed_per_s(storms.KINDS["fleet"], 60),
                                             "back_95_s": 260}
    monkeypatch.setitem(storms.KINDS, "home", storms.KINDS["home"]._replace(back_s=1))
    assert __main__.main(["sim", "--storm", "home"]) == 1
    assert "FAILED" in capsys.readouterr().out
    monkeypatch.setattr(storms, "_storm", lambda name, seed, nodes: Storm(seed, 60, HOME, 5, no_jitter))
    assert not storms.verdict("fleet", 1)["ok"], "all at once"


def test_the_page_of_a_storm_has_both_curves(tmp_path, capsys):
    path = tmp_path / "storm.html"
    assert __main__.main(["sim", "--storm", "fleet", "--nodes", "50", "--report", str(path)]) == 0
    page = path.read_text(encoding="utf-8")
    assert "without jitter: at most 50 attempts a second" in page
    drawn = page[page.rindex("Plotly.newPlot("):]
    assert drawn.count('"name":"with jitter"') == drawn.count('"name":"without jitter"') == 2
    assert __main__.main(["sim", "--storm", "home", "--report", str(tmp_path / "no" / "storm.html")]) == 2
    assert "cannot write" in capsys.readouterr().err


def test_the_bench_tells_both_curves():
    result = bench_storm.measure(lambda text: None, nodes=50)
    assert max(result["curves"]["without jitter"]) == 50 > max(result["curves"]["with jitter"])
    assert "50 attempts a second" in bench_storm.text(result)
