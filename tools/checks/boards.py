"""A board on a serial port: does it answer, what is on it, and is what its configuration names there."""

from firmware import config as table
from firmware import desired
from tools import errors, patching
from tools.board import files, i2c, ports, repl
from tools.checks import Finding, wiring
from tools.verbs.provision import default_id

_ROOM_BYTES = 128 * 1024  # below this neither the outbox nor a deploy has room


def findings(name):
    """(findings, configuration or None) of the board at a port; it runs its program again afterwards."""
    try:
        port = ports.opened(name)
    except errors.Trouble as error:
        return [Finding(name, error.what, "the board cannot be reached by it", error.do)], None
    with port:
        board = repl.Repl(port, name)
        try:
            board.enter()
            state = files.look(board)
        except errors.Trouble as error:
            return [Finding(name, error.what.removeprefix(name).lstrip(": "), "no node can run on it", error.do)], None
        found = _files(name, state)
        document, more = _configuration(board, name)
        found += more
        if document:
            found += wiring.findings(document, default_id(state).partition("-")[0])
            found += _sensors(board, document)
        board.restart()
    return found, document


def _files(name, state):
    found = []
    todo = files.plan(files.wanted(), state)
    here = f"mote deploy --port {name}"
    if "firmware/node.mpy" not in state.hashes:
        found.append(Finding(name, "there is no node on it", "it runs MicroPython and nothing else", here))
    elif todo.send:
        found.append(Finding(name, f"{len(todo.send)} file(s) differ from those here, such as {todo.send[0]}",
                             "it runs another version", here))
    if state.free_bytes < _ROOM_BYTES:
        found.append(Finding(name, f"only {state.free_bytes // 1024} KB of its flash are free",
                             "readings of an outage, and the next deploy, find no room",
                             "remove files of your own (mpremote ls), or lower outbox.flash_bytes"))
    return found


def _configuration(board, name):
    """(document or None, findings)."""
    here = f"mote provision --port {name}"
    said = board.run("try:\n print(open('config.json').read())\nexcept OSError:\n print('-')")
    if said.strip() == "-":
        return None, [Finding(name, "it has no config.json", "the node ends at once, and starts again and again", here)]
    try:
        document = desired.parsed(said.encode())
    except desired.ConfigError as error:
        return None, [Finding(name, f"its config.json: {error.args[0]}", "the node does not start", here)]
    problems = table.mistakes(document)
    if problems:
        return None, [Finding(name, f"its config.json: {text.strip()}", "the node does not start", here)
                      for text in patching.told(problems)]
    return document, []


def _sensors(board, document):
    """I2C sensors that are configured and do not answer, and the other way round."""
    pins = document.get("board") or {}
    there = {(bus, address) for bus, address, _ in i2c.scan(board, pins.get("scl_pin"), pins.get("sda_pin"))}
    found, named = [], set()
    for name, options in sorted((document.get("sensors") or {}).items()):
        if not options or options["driver"] not in wiring.USUAL_ADDRESSES:
            continue
        place = options.get("bus") or 0, options.get("address") or wiring.USUAL_ADDRESSES[options["driver"]]
        named.add(place)
        if place not in there:
            found.append(Finding(
                f"sensors.{name}", f"nothing answers at {place[1]} (0x{place[1]:02x}) of bus {place[0]}",
                "its readings are missing", "look at power, ground, SDA and SCL (swapped?), and at the address: "
                + (_listed(there) or "nothing at all is on the bus")))
    sensors, _ = i2c.proposed([(bus, address, None) for bus, address in sorted(there - named)])
    for options in sensors.values():
        at = options["address"]
        found.append(Finding("sensors", f"a chip at {at} (0x{at:02x}) of bus {options['bus']} is not configured",
                             "it is not read", "with a name for it: mote config set NODE "
                             f"sensors.NAME.driver={options['driver']} sensors.NAME.address={at}"))
    return found


def _listed(places):
    return ", ".join(f"{address} of bus {bus} answers" for bus, address in sorted(places))
