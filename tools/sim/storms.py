"""Storms as `mote sim --storm` has them: what each has to keep to, and a page of its curves with and without jitter."""

from collections import namedtuple

from tools import errors
from tools.sim import report
from tools.sim.storm import FLEET, HOME, Storm, no_jitter

# `peak`: attempts a second at the peak, as a share of the nodes, that the backoff leads one to expect (lib/backoff.py:
# 2.3 a node in the time of a first window), None: any; `back_s`: within so long of the broker's return 95 % are back.
Kind = namedtuple("Kind", "nodes mqtt down_s peak back_s")
KINDS = {"fleet": Kind(10_000, FLEET, 600, 2.3 / 60, 260), "home": Kind(20, HOME, 5, None, 10)}
_DEVIATIONS = 3.4  # of chance, by which a peak may exceed what is expected; at 10,000 nodes that is 450 in all


def allowed_per_s(kind, nodes):
    """How many attempts a second a storm of this kind may have at its peak."""
    if kind.peak is None:
        return nodes
    expected = kind.peak * nodes
    return round(expected + _DEVIATIONS * expected ** 0.5)


def verdict(name, seed, nodes=None):
    """Run one storm of KINDS; what it came to, and whether that keeps to its limits."""
    return _judged(name, seed, _storm(name, seed, nodes))


def _storm(name, seed, nodes, **more):
    kind = KINDS[name]
    return Storm(seed, nodes or kind.nodes, kind.mqtt, kind.down_s, **more)


def _judged(name, seed, storm):
    kind, told = KINDS[name], storm.go()
    limits = {"peak_per_s": allowed_per_s(kind, storm.nodes), "back_95_s": kind.back_s}
    ok = told["back_95_s"] is not None and all(told[key] <= most for key, most in limits.items())
    return {"seed": seed, "storm": name, "nodes": storm.nodes, "down_s": kind.down_s, **told, "limits": limits,
            "ok": ok}


def text(told):
    """A verdict for people, as a line."""
    back = "not in an hour" if told["back_95_s"] is None else f"after {told['back_95_s']:g} s"
    return (f"seed {told['seed']}: {told['nodes']} nodes, a broker away for {told['down_s']} s: at most "
            f"{told['peak_per_s']} attempts a second (of {told['limits']['peak_per_s']}), 95 % back {back} "
            f"(of {told['limits']['back_95_s']}): " + ("ok" if told["ok"] else "FAILED"))


def page(name, seed, nodes=None):
    """(verdict, a page as text with the curves of this storm and of the same without jitter)."""
    try:
        import plotly.graph_objects as draw
        from plotly.subplots import make_subplots
    except ImportError:
        raise errors.UserError("the report needs plotly: .venv/bin/pip install plotly (or `make setup`)") from None
    down_s = KINDS[name].down_s
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.05,
                           subplot_titles=("attempts in each second", "nodes that are back"))
    storm, herd = _storm(name, seed, nodes), _storm(name, seed, nodes, delay=no_jitter)
    told, without = _judged(name, seed, storm), herd.go()
    _draw(draw, figure, herd, "without jitter", "#d1495b", down_s)
    _draw(draw, figure, storm, "with jitter", "#2a9d5c", down_s)
    figure.add_vline(x=down_s, line_dash="dot", annotation_text="the broker is back")
    figure.update_yaxes(type="log", row=1, col=1)
    figure.update_xaxes(title_text="seconds since the broker was lost", row=2, col=1)
    figure.update_layout(height=800, barmode="overlay", template="plotly_white", legend={"orientation": "h", "y": 1.08})
    lines = [text(told), f"without jitter: at most {without['peak_per_s']:,} attempts a second"]
    title = f"storm of a {name}, seed {seed}: {storm.nodes} nodes"
    return told, report.frame(title, lines, (), figure.to_html(
        include_plotlyjs="inline", full_html=False, div_id="storm"))


def _draw(draw, figure, storm, label, colour, down_s):
    curve, back_s = storm.curve(), sorted(storm.back_s)
    figure.add_trace(draw.Bar(x=list(range(len(curve))), y=[count or None for count in curve], name=label,
                              marker={"color": colour, "line": {"color": colour, "width": 1}}), row=1, col=1)
    figure.add_trace(draw.Scatter(x=[down_s + at_s for at_s in back_s], y=list(range(1, len(back_s) + 1)), name=label,
                                  line={"color": colour}, showlegend=False), row=2, col=1)
