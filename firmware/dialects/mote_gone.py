"""What Home Assistant knows of a node and what is no more: looked up when the device document has changed."""

_FILE = "announced"
_MAX_GONE = 32  # entities that are still cleared: 30 bytes each in the document
_CONTROLS = ',"@-interval":{"p":"number"},"@-deadband":{"p":"number"},"@-keep":{"p":"select"}'


def remember(dialect, files, mark, holds):
    """The end of the document: what clears the entities that are gone. Remembers it, and what is announced now."""
    before = " " + str(files.load(_FILE) or b"", "utf-8") + " "
    now = ""
    kinds = {"b": " binary_sensor.", "e": " event."}
    for sensor, quantities, _ in dialect.sensors:
        words = [" controls." + sensor] if "i" in holds else []
        for quantity in quantities:
            words.append(kinds.get(quantity[1], " sensor.") + sensor + "_" + quantity[0])
        for word in words:
            before = before.replace(word + " ", " ")
            now += word
    gone = before.split()[-_MAX_GONE:]
    now = (" ".join(gone) + now).encode()
    for index, word in enumerate(gone):
        kind, key = word.split(".")
        text = _CONTROLS if kind == "controls" else ',"@":{"p":"' + kind + '"}'
        gone[index] = text.replace("@", key)
    try:
        files.save(_FILE, now)
        files.save("discovery", (str(mark) + " " + " ".join(gone)).encode())
    except OSError:
        pass  # a full flash: what goes from now on will stay in Home Assistant until it is deleted there
    return gone
