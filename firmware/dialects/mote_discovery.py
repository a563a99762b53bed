"""Home Assistant's device document (since 2024.11), made line by line of the text file beside this one.

A line there is a letter, a condition (a letter, or a space for always) and a text. The first letter names a fact, which
takes the place of `@` in the text, as JSON when the letter is a capital; that of `#` takes the node's id. A line whose
fact is None, or whose condition does not hold, is left out. What follows the line `*` is repeated for each quantity. So
a node needs memory for a line of the text, not for all of it.
"""

import json


def pieces(facts, more):
    """Yield the document in pieces. `facts` are of mote.py, `more` of mote_entities.py."""
    top, config, about, sensors = facts
    node_id, node, every = about["id"], config["node"], 1
    turned, awake = "i" if config["homeassistant"]["controls"] else "-", "a"
    if config["power"]["mode"] == "deepsleep":  # mostly not there, and yet well: its readings expire instead
        awake, every = "", config["power"].get("send_every") or 1
    letters, holds = "/NABvx", " " + turned + awake
    facts = top, node["name"] or node_id, node["area"], about["board"], about["firmware"], about["mac"]
    start = number = 0
    with open(__file__.rsplit(".", 1)[0] + ".txt") as file:
        while True:
            line = file.readline()
            if line[:1] in "*":  # the end of a part, or of the file
                start = start or file.tell()
                file.seek(start)
                letters = "/sxlhq_uyc"
                facts = _of_quantity(top, sensors, number, every, more[0] >> number & 1, turned)
                if not facts:
                    break
                holds = facts[4]
                number += 1
                continue
            fact = letters.find(line[0])
            if fact >= 0 and line[1] in holds and facts[fact] is not None:
                fact = json.dumps(facts[fact]) if "A" <= line < "[" else str(facts[fact])
                yield line[2:-1].replace("#", node_id).replace("@", fact)
    yield from more[1]


def _of_quantity(top, sensors, number, every, labelled, turned):
    """The facts of a quantity by its number, None after the last."""
    for sensor, quantities, interval_s in sensors:
        if number < len(quantities):
            quantity = quantities[number]
            label = (sensor + " " + quantity[0]).replace("_", " ")
            label = label[0].upper() + label[1:] if labelled else None
            holds = " " + quantity[1] + ("" if number else turned) + ("d" if quantity[4] == "battery" else "")
            return (top, sensor, 60 + 4 * every * interval_s, label, holds) + quantity
        number -= len(quantities)
