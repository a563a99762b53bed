"""The message `info`: who the node is, for people and tools."""

import json


def pieces(facts, address, past):
    """Yield the JSON object in pieces. `facts` are of mote.py, `past` is what firmware.boots tells."""
    _, config, about, sensors = facts
    yield json.dumps(about)[:-1]
    yield past
    for key, value in (("ip", address), ("name", config["node"]["name"]), ("area", config["node"]["area"])):
        yield ',"%s":%s' % (key, json.dumps(value))
    start = ',"sensors":{'
    for name, quantities, interval_s in sensors:
        units = json.dumps({quantity[0]: quantity[2] for quantity in quantities})
        yield '%s"%s":{"interval_s":%d,"quantities":%s}' % (start, name, interval_s, units)
        start = ","
    yield "}}" if sensors else start + "}}"
