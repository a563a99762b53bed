"""`mote sim --report`: one page that needs nothing else, looked at in a real browser where there is one."""

import json
import os
import re
import shutil
import subprocess

import pytest

from tools import __main__, errors
from tools.sim import report
from tools.sim.faults import KINDS

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_LIMIT_S = 120
# What the browser has drawn, told from within: `plotly` keeps what it draws beside the element.
_LOOK = """<script>addEventListener("load", () => {
  const run = document.getElementById("run");
  const seen = {names: run.data.map(trace => trace.name),
                bars: run.querySelectorAll(".bars .point path").length,
                lanes: [...run.querySelectorAll("g.ytick text, g.y2tick text")].map(text => text.textContent),
                hover: run.data.filter(trace => trace.name == "offline").flatMap(trace => trace.hovertext)};
  document.title = "seen " + JSON.stringify(seen);
});</script></body>"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "run.html"
    assert __main__.main(["sim", "--seed", "2", "--nodes", "3", "--days", "0.2", "--faults", "all",
                          "--report", str(path)]) == 0
    return path


def test_the_page_needs_nothing_else(page):
    text = page.read_text(encoding="utf-8")
    without_script = re.sub(r"(?s)<script.*?</script>", "", text)
    assert "src=" not in without_script and not re.search(r'<script[^>]+src=|<link', text)
    assert "seed 2: 3 nodes" in text and "digest" in text


@pytest.mark.skipif(not BROWSER, reason="no Chromium on this machine")
def test_a_browser_shows_a_lane_for_every_node(page, tmp_path):
    looked = tmp_path / "looked.html"
    looked.write_text(page.read_text(encoding="utf-8").replace("</body>", _LOOK), encoding="utf-8")
    done = subprocess.run(
        [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1400,1500",
         f"--user-data-dir={tmp_path}/profile", "--virtual-time-budget=10000", "--dump-dom", f"file://{looked}"],
        capture_output=True, text=True, timeout=_LIMIT_S, env={**os.environ, "HOME": str(tmp_path)})
    found = re.search(r"<title>seen (\{.*?\})</title>", done.stdout.replace("&lt;br&gt;", " ").replace("&quot;", '"'))
    assert found, done.stderr[-2_000:]
    seen = json.loads(found[1])
    assert {"fault", "online", "offline", "readings", "waiting"} <= set(seen["names"])
    assert {"n00000", "n00001", "n00002"} <= set(seen["lanes"]) and len(set(KINDS) & set(seen["lanes"])) >= 3
    assert seen["bars"] > 20
    assert any("n0000" in text and "offline" in text for text in seen["hover"])


def test_what_went_wrong_is_on_the_page():
    verdict = {"ok": False, "readings": 1, "faults": 0, "digest": "d", "violations": [
        {"t": 1.5, "node": "n00001", "invariant": "lost", "text": "<b>two</b>"}]}
    from tools.sim.run import Setup

    text = report.page(Setup(), verdict, [(0.0, "n00001", "status", "online")])
    assert "FAILED" in text and "lost" in text and "&lt;b&gt;two" in text


def test_a_page_shows_one_run():
    assert __main__.main(["sim", "--seeds", "2", "--report", "x.html"]) == errors.USAGE
