"""The committed table of sizes: it names every module, and the node has not grown beyond it."""

import pytest

from tools import footprint, micropython
from tools.verbs import size

pytestmark = pytest.mark.skipif(not micropython.available(), reason="no interpreter for this machine")

# Growth that needs no word: the Unix port's heap grows in blocks of 32 bytes, and names come in pools.
SLACK_BYTES = 512


@pytest.fixture(scope="module")
def rows():
    return footprint.measure()


@pytest.fixture(scope="module")
def committed():
    with open(size.TABLE, encoding="utf-8") as file:
        return footprint.parsed(file.read())


def test_the_table_names_every_module(rows, committed):
    assert {row.module for row in rows} == set(committed) - {"total"}, "run `make size` and commit docs/size.txt"


def test_the_node_has_not_grown(rows, committed):
    mpy_bytes, heap_bytes = footprint.totals(rows)
    what_to_do = "the node grew: make it smaller, or run `make size` and say in the commit what the bytes buy"
    assert mpy_bytes <= committed["total"][0] + SLACK_BYTES, what_to_do
    assert heap_bytes <= committed["total"][1] + SLACK_BYTES, what_to_do


def test_every_node_has_the_node_and_drivers_are_loaded_where_asked_for(rows):
    always = {row.module for row in rows if row.every_node}
    assert {"firmware.node", "firmware.dialects.mote", "mqtt", footprint.RUNNER} <= always
    assert not [name for name in always if name.startswith("firmware.drivers.")]


def test_a_module_comes_after_those_that_it_imports(rows):
    order = [row.module for row in rows]
    assert order.index("together") < order.index("firmware.link") < order.index("firmware.node")


def test_the_table_says_what_was_measured(rows):
    found = footprint.parsed(footprint.table(rows))
    assert found.pop("total") == footprint.totals(rows)
    assert found == {row.module: (row.mpy_bytes, row.heap_bytes) for row in rows}
