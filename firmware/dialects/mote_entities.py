"""What is to be known of a node's entities before Home Assistant's device document is made."""

_FILE = "announced"
_MAX_GONE = 32  # entities that are still cleared: 30 bytes each in the document
_CONTROLS = ',"@-interval":{"p":"number"},"@-deadband":{"p":"number"},"@-keep":{"p":"select"}'


def look(files, sensors, controls):
    """(quantities that need a name of their own, as bits; end of the document); remembers what is announced now.

    Leaving a component out removes nothing in Home Assistant, and it may be away when a document clears one, so that
    what is gone is cleared in each document from then on. A class gives its name to its only quantity.
    """
    before = " " + str(files.load(_FILE) or b"", "utf-8") + " "
    now, new, bit, named, classes = "", False, 1, 0, {}
    for sensor in sensors:
        words = [" controls." + sensor[0]] if controls else []
        for quantity in sensor[1]:
            platform = {"b": " binary_sensor.", "e": " event."}.get(quantity[1], " sensor.")
            words.append(platform + sensor[0] + "_" + quantity[0])
            first = classes.setdefault(quantity[4], bit)
            if quantity[4] is None or first != bit:
                named |= first | bit
            bit += bit
        for word in words:
            new = new or word + " " not in before
            before = before.replace(word + " ", " ")
            now += word
    gone = before.split()[-_MAX_GONE:]
    if new:
        try:
            files.save(_FILE, (" ".join(gone) + now).encode())
        except OSError:
            pass  # a full flash: what goes from now on will stay in Home Assistant until it is deleted there
    for index, word in enumerate(gone):
        kind, key = word.split(".")
        text = _CONTROLS if kind == "controls" else ',"@":{"p":"' + kind + '"}'
        gone[index] = text.replace("@", key)
    return named, gone + ["}}"]
