"""JSON from strangers: its size and depth are looked at before it is parsed, as MicroPython's parser takes any."""

import json


def parsed(data, most_bytes, deepest):
    """The JSON object in `data` (bytes or a memoryview; None when it was too long to keep). Raises ValueError."""
    if data is None or len(data) > most_bytes:
        raise ValueError("longer than %d bytes, or than there is memory for" % most_bytes)
    check_depth(data, deepest)
    try:
        document = json.loads(str(data, "utf-8"))
    except MemoryError:
        raise ValueError("not enough memory")
    except (ValueError, UnicodeError):
        raise ValueError("not JSON in UTF-8")
    if not isinstance(document, dict):
        raise ValueError("not a JSON object")
    return document


def check_depth(data, deepest):
    """Raises ValueError when brackets outside of texts are nested deeper than `deepest`."""
    depth = found = 0
    quoted = escaped = False
    for byte in data:
        if escaped:
            escaped = False
        elif quoted:
            escaped = byte == 92
            quoted = byte != 34
        elif byte == 34:
            quoted = True
        elif byte in b"[{":
            depth += 1
            found = max(depth, found)
        elif byte in b"]}":
            depth -= 1
    if found > deepest:
        raise ValueError("nested deeper than %d" % deepest)
