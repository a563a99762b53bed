"""The message `info`: who the node is, for people and tools."""

import json


def pieces(facts):
    """Yield the JSON object in pieces. `facts`: the dialect, the address, and what firmware.boots tells."""
    dialect, address, past = facts
    start, node = "{", dialect.config["node"]
    for key in dialect.about:
        yield '%s"%s":%s' % (start, key, json.dumps(dialect.about[key]))
        start = ","
    yield past
    for key, value in (("ip", address), ("name", node["name"]), ("area", node["area"])):
        yield ',"%s":%s' % (key, json.dumps(value))
    start = ',"sensors":{'
    for name, quantities, interval_s in dialect.sensors:
        units = json.dumps({quantity[0]: quantity[2] for quantity in quantities})
        yield '%s"%s":{"interval_s":%d,"quantities":%s}' % (start, name, interval_s, units)
        start = ","
    yield "}}" if dialect.sensors else start + "}}"
