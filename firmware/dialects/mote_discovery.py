"""Home Assistant's device document (since 2024.11), made line by line of the text file beside this one.

A line there is a letter, a space and a text. The letter names a fact, which takes the place of `@` in the text, as JSON
when the letter is a capital; that of `#` takes the node's id. A line whose fact is None or not there is left out. What
follows the line `*` is repeated for each quantity. So a node needs memory for a line of the text, not for all of it.
"""

import json


def pieces(facts, more):
    """Yield the document in pieces. `facts` are of mote.py, `more` of mote_entities.py."""
    top, config, about, sensors = facts
    node_id = about["id"]
    letters = "/NABvx" + ("+" if config["homeassistant"]["controls"] else "-")
    config = config["node"]
    facts = top, config["name"] or node_id, config["area"], about["board"], about["firmware"], about["mac"], top
    start = number = 0
    with open(__file__.rsplit(".", 1)[0] + ".txt") as file:
        while facts:
            line = file.readline()
            if line[:1] in "*":  # the end of a part, or of the file
                start = start or file.tell()
                file.seek(start)
                letters, facts = _of_quantity(top, sensors, number, more[0])
                number += 1
                continue
            fact = letters.find(line[0])
            fact = None if fact < 0 else facts[fact]
            if fact is not None:
                fact = json.dumps(fact) if "A" <= line < "[" else str(fact)
                yield line[2:-1].replace("#", node_id).replace("@", fact)
    yield from more[1]


def _of_quantity(top, sensors, number, labelled):
    """(letters, facts) of a quantity by its number, empty after the last."""
    labelled = labelled >> number & 1
    for sensor, quantities, interval_s in sensors:
        if number < len(quantities):
            quantity = quantities[number]
            label = (sensor + " " + quantity[0]).replace("_", " ")
            label = label[0].upper() + label[1:] if labelled else None
            return "/selq_u_c__" + quantity[1], (top, sensor, 60 + 4 * interval_s, label) + quantity + (quantity[3],)
        number -= len(quantities)
    return "", ()
