"""What follows from the configuration for sensors and outbox, at the start and at a change. Only lent."""

_LIVE_SLOTS = 16  # fresh readings that wait for a place in the window; a slower link makes backlog of them
_HEAD_BYTES = 9
_SENSORS = 127  # their index has seven bits
_HEARTBEAT_S = 600  # as firmware/quiet.py has it


def fill(load, board, config, box, before, fetch, clock):
    """Drivers for all sensors, and places for their readings in the Outbox `box`; a sensor that cannot have them is
    logged. Returns the drivers as {name: (options, driver)}, of `before`, such a dict, those whose options are still
    the same: they keep their counts and their calibration; (driver, index, interval in s) of each; and (name,
    quantities, longest silence in s). `load` is for the code of drivers, which stays."""
    drivers, rhythms, announced = {}, [], []
    for name in sorted(config["sensors"]):
        options = config["sensors"][name]
        try:
            same, found = before.get(name, (None, None))
            if same != options:
                found = driver(load, board, options, fetch, clock)
            drivers[name] = options, found
            index = declare(box, name, found.quantities, options.get("keep") or "all")
        except (ImportError, OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            board.log("! sensor %s: %s %s" % (name, type(error).__name__, error))
            continue
        interval_s = options.get("interval_s") or config["telemetry"]["interval_s"]
        rhythms.append((found, index, interval_s))
        announced.append((name, found.quantities, silence_s(options, interval_s)))
    return drivers, rhythms, announced


def driver(load, board, options, fetch, clock):
    """The driver that the options name, behind a firmware.quiet.Quiet when they have a deadband. Raises what comes of
    a driver that is not there, or does not take its options."""
    driver = load("firmware.drivers." + options["driver"]).Driver(board, options)
    if options.get("deadband") is None or driver.quantities[0][1] == "e":  # each event is news
        return driver
    return fetch("firmware.quiet").Quiet(driver, options["deadband"], options.get("heartbeat_s"), clock)


def silence_s(options, interval_s):
    """The longest time between two readings of a sensor that works."""
    if options.get("deadband") is None:
        return interval_s
    return max(interval_s, options.get("heartbeat_s") or _HEARTBEAT_S)


def declare(box, name, quantities, keep="all"):
    """The index under which readings of this sensor are added to the Outbox `box`; it outlives the sensor's removal.

    `keep` says which of them wait through an outage: "all", only the "latest", or "none". Raises ValueError after 127
    different sensors.
    """
    if (name, quantities) not in box.sensors:
        if len(box.sensors) == _SENSORS:
            raise ValueError("too many sensors since the start: restart")
        box.sensors.append((name, quantities))
    index = box.sensors.index((name, quantities))
    box.keep[index] = keep
    return index


def resize(box, ring, slots):
    """Make room for `slots` readings of every declared sensor, in a `ring` (the class); what waits stays, the oldest
    goes first."""
    width = max([len(quantities) for _, quantities in box.sensors] + [1])
    size = _HEAD_BYTES + 4 * width
    if size != box.old.size or slots != box.old.slots:
        old, fresh = box.old, box.fresh
        box.old, box.fresh = ring(slots, size), ring(_LIVE_SLOTS, size)  # both or, where memory is short, neither
        for source in (old, fresh):
            while len(source):
                box.age(source.pop())
    if box.boot:
        box.flash("bound")
