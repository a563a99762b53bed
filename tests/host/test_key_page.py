"""The page of all keys says what the table says."""

from firmware import config
from tools import key_page


def test_the_committed_page_is_current():
    with open(key_page.PATH, encoding="utf-8") as file:
        assert file.read() == key_page.page(), "run `make keys` and commit docs/config.md"


def test_every_key_is_explained_and_nothing_else():
    assert list(key_page.WHAT) == [line[0] for line in config.rows()]


def test_a_row_says_what_a_change_does():
    rows = {row.split("`")[1]: row for row in key_page.page().splitlines() if row.startswith("| `")}
    assert rows["mqtt.password"].endswith("| none | on trial, secret |")
    assert rows["node.name"].endswith("| none | reconnects |")
    assert rows["telemetry.interval_s"].endswith("| a whole number from 1 to 86400 | `60` | live |")
    assert "| needed |" in rows["mqtt.host"]
