"""A run as one page that needs nothing else: faults above, a lane for every node, readings and queues below.

Drawn by plotly, whose script is in the page, so that it opens anywhere, also years later.
"""

import html
from collections import defaultdict

from tools import errors

_COLOURS = {"online": "#2a9d5c", "offline": "#d1495b", "sleeping": "#5b7db1", "rescue": "#e39b2d", "dark": "#3c3c46",
            "starting": "#c9c9d2"}
_FAULT = "#8a6fb0"
_INSTANT_S = 120  # how wide a fault is drawn that has no length
_HOUR_S = 3_600
_LANE_PIXELS, _FAULT_PIXELS, _REST_PIXELS = 22, 15, 520
_MOST_LANES = 200  # more cannot be told apart


def page(setup, verdict, history):
    """The page as text. Raises UserError when plotly is not installed."""
    try:
        import plotly.graph_objects as draw
        from plotly.subplots import make_subplots
    except ImportError:
        raise errors.UserError("the report needs plotly: .venv/bin/pip install plotly (or `make setup`)") from None
    lanes = _lanes(history, setup)
    faults = [(at_s, node, *what) for at_s, node, kind, what in history if kind == "fault"]
    kinds = sorted({fault[3] for fault in faults}, reverse=True)
    nodes = sorted(lanes)[:_MOST_LANES]
    heights = [max(3, len(kinds)) * _FAULT_PIXELS, max(3, len(nodes)) * _LANE_PIXELS, 150, 150]
    figure = make_subplots(rows=4, cols=1, shared_xaxes=True, vertical_spacing=0.02, row_heights=heights,
                           subplot_titles=("faults", "nodes", "readings an hour", "readings that wait"))
    _draw_faults(draw, figure, faults)
    _draw_lanes(draw, figure, nodes, lanes)
    _draw_sums(draw, figure, history)
    figure.update_layout(height=sum(heights) + _REST_PIXELS - 300, barmode="overlay", template="plotly_white",
                         legend={"orientation": "h", "y": 1.04}, margin={"l": 130, "r": 30, "t": 90, "b": 50})
    figure.update_yaxes(automargin=True)
    for row in (1, 2):
        figure.update_yaxes(tickmode="linear", dtick=1, row=row, col=1)  # every name, however narrow
    figure.update_yaxes(autorange="reversed", row=2, col=1)
    figure.update_xaxes(title_text="hours since the beginning", row=4, col=1)
    lines = [f"{'ok' if verdict['ok'] else 'FAILED'}: {verdict['readings']:,} readings, {verdict['faults']} faults, "
             f"digest {verdict['digest']}"]
    return frame(f"seed {setup.seed}: {setup.nodes} nodes, {setup.days:g} days", lines, verdict["violations"],
                 figure.to_html(include_plotlyjs="inline", full_html=False, div_id="run"))


def _lanes(history, setup):
    """{node: [(from_s, to_s, state, why)]}"""
    changes = defaultdict(list)
    for at_s, node, kind, what in history:
        if kind == "status":
            changes[node].append((at_s, what, ""))
        elif kind == "gone":
            changes[node].append((at_s, "offline", f"session over: {what}"))
        elif kind == "end":
            changes[node].append((at_s, "dark", f"ended: {what}"))
        elif kind == "start":
            changes[node].append((at_s, "starting", f"start after {what}"))
    end_s = setup.days * 86_400
    return {node: [(at_s, to_s, state, why) for (at_s, state, why), to_s in zip(
        found, [change[0] for change in found[1:]] + [max(end_s, found[-1][0])], strict=True)]
        for node, found in changes.items()}


def _draw_faults(draw, figure, faults):
    figure.add_trace(draw.Bar(
        orientation="h", base=[fault[0] / _HOUR_S for fault in faults], y=[fault[3] for fault in faults],
        x=[max(_INSTANT_S, fault[4]) / _HOUR_S for fault in faults], marker_color=_FAULT, marker_line_width=0,
        name="fault",
        hovertext=[f"fault {number}: {kind}<br>{node or 'all nodes'}<br>at {at_s:.0f} s for {lasts_s:g} s"
                   for at_s, node, number, kind, lasts_s in faults], hoverinfo="text"), row=1, col=1)


def _draw_lanes(draw, figure, nodes, lanes):
    for state, colour in _COLOURS.items():
        parts = [(node, *part) for node in nodes for part in lanes[node] if part[2] == state]
        if parts:
            figure.add_trace(draw.Bar(
                orientation="h", base=[part[1] / _HOUR_S for part in parts], y=[part[0] for part in parts],
                x=[(part[2] - part[1]) / _HOUR_S for part in parts], marker_color=colour, name=state,
                marker_line_width=0,
                hovertext=[f"{node}: {state}<br>{from_s:.0f} to {to_s:.0f} s {why}"
                           for node, from_s, to_s, state, why in parts], hoverinfo="text"), row=2, col=1)


def _draw_sums(draw, figure, history):
    """Readings taken in each hour, and how many wait, over all nodes."""
    queued, taken, before = {}, {}, {}
    waiting, rates = [], defaultdict(int)
    for at_s, node, kind, what in history:
        if kind == "queue":
            queued[node], taken[node] = what[0], what[2]
            waiting.append((at_s / _HOUR_S, sum(queued.values())))
            rates[int(at_s // _HOUR_S)] += what[2] - before.get(node, 0)
            before[node] = what[2]
    hours = sorted(rates)
    figure.add_trace(draw.Bar(x=[hour + 0.5 for hour in hours], y=[rates[hour] for hour in hours], name="readings",
                              marker_color="#4c78a8"), row=3, col=1)
    figure.add_trace(draw.Scatter(x=[point[0] for point in waiting], y=[point[1] for point in waiting], name="waiting",
                                  line={"color": "#e39b2d", "shape": "hv"}), row=4, col=1)


def frame(title, lines, violations, body):
    """A page with a title, lines of text, what went wrong, and `body`, which is HTML already."""
    said = "".join(f"<li>{found['t']:.3f} s, {html.escape(found['node'])}: <b>{html.escape(found['invariant'])}</b> "
                   f"<pre>{html.escape(found['text'][:2_000])}</pre></li>" for found in violations)
    title = html.escape(title)
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>mote sim, {title}</title>
<style>body {{ font-family: sans-serif; margin: 1em 2em }} pre {{ white-space: pre-wrap; color: #555 }}</style></head>
<body><h1>mote sim, {title}</h1>
<p id="verdict">{"<br>".join(map(html.escape, lines))}</p>
<ul>{said}</ul>
{body}
</body></html>
"""
