"""What is to be known of a node's entities before Home Assistant's device document is made."""

import binascii


def look(dialect, fetch, files):
    """(dialect, conditions that hold, readings of a quantity that go out together, quantities that need a name of
    their own as bits, end of the document, whether it is another than the last one that was announced).

    A class gives its name to its only quantity. Leaving a component out removes nothing in Home Assistant, and it may
    be away when a document clears one, so that what is gone is cleared in each document from then on.
    """
    config, about, named, bit, classes = dialect.config, dialect.about, 0, 1, {}
    power, node = config["power"], config["node"]
    asleep = power["mode"] == "deepsleep"  # then mostly not there, and yet well: its readings expire instead
    holds = " " + ("i" if config["homeassistant"]["controls"] else "-") + ("s" if asleep else "a")
    every = asleep and power.get("send_every") or 1
    mark = _mark(0, (dialect.top, about["firmware"], about["board"], node["name"], node["area"], holds, every))
    for sensor, quantities, interval_s in dialect.sensors:
        mark = _mark(mark, (sensor, interval_s))
        for quantity in quantities:
            mark = _mark(mark, quantity)
            first = classes.setdefault(quantity[4], bit)
            if quantity[4] is None or first != bit:
                named |= first | bit
            bit += bit
    gone = str(files.load("discovery") or b"-", "utf-8").split()
    new = gone.pop(0) != str(mark)
    if new:
        gone = fetch("firmware.dialects.mote_gone").remember(dialect, files, mark, holds)
    return dialect, holds, every, named, gone or (), new


def _mark(mark, values):
    """The mark of a document goes over all that is in it."""
    for value in values:
        mark = binascii.crc32(str(value).encode(), mark)
    return mark
