"""`mote bench storm`: ten thousand nodes lose their broker at once, in virtual time with the real backoff."""

from tools.sim.storm import FLEET, HOME, Storm, no_jitter

NODES, DOWN_S = 10_000, 600
HOME_NODES, HOME_DOWN_S, HOME_SEEDS = 20, 5, 30


def measure(say, nodes=NODES, seed=1):
    """The figures and the two curves (attempts in each second since the outage began)."""
    say("storm: with jitter")
    with_jitter = Storm(seed, nodes, FLEET, DOWN_S)
    fleet = with_jitter.go()
    say("storm: without jitter")
    without_jitter = Storm(seed, nodes, FLEET, DOWN_S, no_jitter)
    herd = without_jitter.go()
    say("storm: at home")
    home = sorted(Storm(number, HOME_NODES, HOME, HOME_DOWN_S).go()["back_95_s"]
                  for number in range(seed, seed + HOME_SEEDS))
    return {"nodes": nodes, "down_s": DOWN_S, "fleet": fleet, "without_jitter": herd,
            "home": {"nodes": HOME_NODES, "down_s": HOME_DOWN_S, "median_95_s": home[len(home) // 2],
                     "worst_95_s": home[-1]},
            "curves": {"with jitter": with_jitter.curve(), "without jitter": without_jitter.curve()}}


def text(result):
    """The figures for people."""
    fleet, herd, home = result["fleet"], result["without_jitter"], result["home"]
    return "\n".join([
        f"storm: {result['nodes']:,} nodes lose their broker for {result['down_s']} s; window 60 s, cap 300 s",
        f"  with jitter      at most {fleet['peak_per_s']:6,} attempts a second, 95 % back {fleet['back_95_s']} s "
        f"after the broker, {fleet['attempts_per_node']} attempts a node",
        f"  without jitter   at most {herd['peak_per_s']:6,} attempts a second",
        f"at home: {home['nodes']} nodes, a restart of {home['down_s']} s, first window 5 s, cap 60 s, 30 seeds",
        f"  95 % back {home['median_95_s']} s after the broker in the median, {home['worst_95_s']} s at worst",
    ])
