"""Labels for the cases of nodes: what is printed, and what a reader of QR codes makes of it."""

import json
import re
import stat

import pytest

from tests.host.test_provision import fleet, home, provision  # noqa: F401 - fixtures
from tools import errors, labels

_SQUARE_PIXELS = 6


def drawn(svg):
    """The squares of an SVG with horizontal strokes: rows of booleans, dark ones True."""
    size = int(re.search(r'viewBox="0 0 (\d+) \1"', svg)[1])
    rows = [[False] * size for _ in range(size)]
    x = y = 0.0
    for command, first, second in re.findall(r"([Mmh])\s*(-?[\d.]+)(?:[ ,]?(-?[\d.]+))?", svg.partition(' d="')[2]):
        if command == "h":
            for at in range(int(x), int(x) + int(first)):
                rows[int(y)][at] = True
            x += int(first)
        elif command == "m":
            x, y = x + float(first), y + float(second)
        else:
            x, y = float(first), float(second)
    return rows


def read(svg):
    """What a reader of QR codes, which knows nothing of how it was drawn, makes of it."""
    deqr = pytest.importorskip("deqr", reason="no reader of QR codes for this machine")
    rows = drawn(svg)
    pixels = bytes(0 if dark else 255 for row in rows for _ in range(_SQUARE_PIXELS) for dark in row
                   for _ in range(_SQUARE_PIXELS))
    size = len(rows) * _SQUARE_PIXELS
    [code] = deqr.QRdecDecoder().decode((bytearray(pixels), (size, size)))
    return "".join(str(entry.data) for entry in code.data_entries)


def codes(page):
    return [read(svg) for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL)]


def test_a_fleet_s_labels_are_read_back(provision, fleet, tmp_path):  # noqa: F811
    out = tmp_path / "out"
    assert provision("--fleet", fleet(), "--out", out)[0] == errors.DONE
    page = (out / "labels.html").read_text()
    assert codes(page) == ["MOTE:north-1", "MOTE:north-2"]
    assert "<b>North one</b>" in page and "Field" in page and "<code>north-1</code>" in page
    assert stat.S_IMODE((out / "labels.html").stat().st_mode) == 0o644
    password = json.loads((out / "north-1.json").read_text())["mqtt"]["password"]
    assert password not in page and "correct horse" not in page


def test_a_code_says_what_it_is_told_to(provision, fleet, tmp_path):  # noqa: F811
    text = "https://example.org/nodes/{id}?in={node.area}&every={telemetry.interval_s}"
    provision("--fleet", fleet(), "--out", tmp_path / "out", "--label", text)
    assert codes((tmp_path / "out/labels.html").read_text()) == [
        "https://example.org/nodes/north-1?in=Field&every=30", "https://example.org/nodes/north-2?in=Field&every="]


def test_a_secret_is_in_a_code_only_when_asked_for_and_never_shown(provision, fleet, tmp_path):  # noqa: F811
    out = tmp_path / "out"
    for more in ((), ("--json",)):
        status, said, _ = provision("--fleet", fleet(), "--out", out, "--label", "{id} {mqtt.password}", *more)
        password = json.loads((out / "north-1.json").read_text())["mqtt"]["password"]
        assert status == errors.DONE and password not in said and "(with a secret)" in said
    assert codes((out / "labels.html").read_text())[0] == "north-1 " + password
    assert stat.S_IMODE((out / "labels.html").stat().st_mode) == 0o600


@pytest.mark.parametrize("text, says", [
    ("{node.nickname}", "{node.nickname} is no key of docs/config.md"),
    ("x" * 301, "would have 301 bytes, a label has room for 300"),
])
def test_a_code_that_cannot_be_is_refused(provision, tmp_path, text, says):  # noqa: F811
    status, _, said = provision("--id", "shed-1", "--out", tmp_path / "out", "--label", text)
    assert status == errors.USAGE and says in said
    assert not (tmp_path / "out").exists()


def test_a_name_cannot_break_the_page_it_is_printed_on():
    page = labels.page([labels.Label(["<script>&", "here", "node-1"], "MOTE:node-1")])
    assert "<b>&lt;script&gt;&amp;</b>" in page and "<script" not in page
