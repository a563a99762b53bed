"""Home Assistant's device document (since 2024.11), made line by line of the text file beside this one.

A line there is the digit of a fact, a condition (a letter, or a space for always) and a text: the text is said, then
the fact. A line whose fact is None, or whose condition does not hold, is left out. What follows the line `*` is
repeated for each quantity. So a node needs memory for a line of the text, not for all of it, and a text of more than
31 bytes would take another block. The facts:

of a node      0 none  1 its id  2 its topics  3 name    4 board         5 area  6 firmware  7 MAC
of a quantity  0 none  1 its id  2 its topics  3 sensor  4 expires in s  5 name  6 quantity  7 unit  8 class

Name, board and area are JSON. The conditions: `i` or `-`, controls or none (of a sensor with its first quantity alone);
`a` or `s`, awake or asleep; a kind of quantity; a digit, so many decimals; `d` for diagnostics; `#` never: a remark.
"""

import json


def pieces(more):
    """Yield the document in pieces. `more` is what mote_entities.py tells."""
    number, start, facts = -1, 0, _facts(more, -1)
    with open(__file__.rstrip("mpy") + "txt") as file:
        while facts:
            line = file.readline()
            if line[:1] in "*":  # the end of a part, or of the file
                start = start or file.tell()
                file.seek(start)
                number += 1
                facts = _facts(more, number)
                continue
            fact = facts[int(line[0])]
            if fact is not None and line[1] in facts[-1]:
                line = line[2:-1]  # so that only one of the two is in memory
                yield line
                yield fact
    yield from more[4]
    yield "}}"


def _facts(more, number):
    """The facts of a quantity by its number, of the node itself before the first, None after the last; then the
    conditions that hold."""
    dialect, holds, every, label, _, _ = more
    own = "", dialect.node_id, dialect.top
    if number < 0:
        node, about, text = dialect.config["node"], dialect.about, json.dumps
        name, area = text(node["name"] or dialect.node_id), node["area"]
        return own + (name, text(about["board"]), area and text(area), about["firmware"], about["mac"], holds)
    label >>= number
    for sensor, quantities, interval_s in dialect.sensors:
        if number < len(quantities):
            name, kind, unit, decimals, group, _, _ = quantities[number]
            holds = (" " if number else holds) + kind + (str(decimals) if kind in "mt" else "")
            if group == "battery":
                holds += "d"
            text = (sensor + " " + name).replace("_", " ")
            label = text[0].upper() + text[1:] if label & 1 else None
            return own + (sensor, str(60 + 4 * every * interval_s), label, name, unit, group, holds)
        number -= len(quantities)
    return None
