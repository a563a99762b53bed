"""`mote flash`: MicroPython onto a board, checked, started and asked who it is."""

import json
import re

from tools import errors
from tools.board import flasher, options, ports, releases, repl

HELP = "write MicroPython to an ESP32"
EXAMPLE = "mote flash --port /dev/ttyUSB0"
_START_S = 15
_STARTED = re.compile(repl.PROMPT + rb"|" + repl.WORDS.pattern, re.MULTILINE)  # the prompt, or a program's own words


def add_arguments(parser):
    options.add_port(parser, several=True)
    options.add_image(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object for each board")


def run(args):
    for name in options.ports(args):
        firmware = options.firmware(args)
        port = ports.opened(name)
        with port:
            result = flash(port, name, args, firmware)
        print(json.dumps(result) if args.json else
              f"{name}: {result['chip']} with MicroPython {result['micropython']} ({result['machine']})")
    return errors.DONE


def flash(port, name, args, firmware=None, say=print):
    """Flash the board at an open port; returns what it then is. `firmware`: images.Firmware, else the newest."""
    quiet = getattr(args, "json", False)
    with flasher.Flasher(port, name, args.baud, flasher.bar("writing")) as loader:
        found = loader.found
        if not quiet:
            size = f"{found.flash_bytes >> 20} MB" if found.flash_bytes else "unknown"
            say(f"{name}: {found.description}, {size} of flash, {found.mac} ({found.features})")
        firmware = firmware or options.read_image(releases.image_for(found.chip, found.features))
        erased = loader.write(firmware, args.erase)
        if not quiet:
            if erased:
                say(f"{name}: erased {erased}")
            say(f"{name}: wrote {firmware.name}, {len(firmware.content):,} bytes, and checked it")
    return {**found._asdict(), **started(port, name, firmware), "image": firmware.name, "erased": erased}


def started(port, name, firmware):
    """Ask the board that was just flashed who it is. Raises UserError when it is not what was written."""
    board = repl.Repl(port, name)
    board.listen(_START_S, _STARTED)
    board.enter()
    said = board.run("import sys\nprint(sys.version.split('; ')[-1].split(' ')[1], sys.implementation._machine)")
    version, _, machine = said.strip().partition(" ")
    if firmware.version and version != firmware.version:
        raise errors.UserError(f"{name} says {version} after {firmware.version} was written", errors.FAILED)
    board.restart()
    return {"micropython": version, "machine": machine}
