"""A process with nothing but a wire to its chips: runs drivers over it, on either Python, prints the outcome.

Its argument is the wire's descriptor; a configuration's sensors come as JSON on standard input.
"""

import json
import sys
import time

from tools.host.wire import Wire


class Board:
    """What drivers use of a board, in real time."""

    def __init__(self, wire):
        for name in ("i2c", "input_pin", "output_pin", "adc", "onewire", "dht"):
            setattr(self, name, getattr(wire, name))

    def ticks_ms(self):
        return time.time_ns() // 1_000_000

    def ticks_diff(self, a, b):
        return a - b


def outcome(board, name, options):
    """One measurement's values, or the error's class and number."""
    module = __import__("firmware.drivers." + options["driver"], None, None, ("Driver",))
    driver = module.Driver(board, options)
    try:
        time.sleep(driver.start() / 1000)
        return driver.read()
    except (OSError, ValueError) as error:
        return [type(error).__name__, error.args[0]]


def edges(wire, number, polls):
    """The levels that a pin's handler saw."""
    seen = []
    wire.input_pin(number, "up").irq(lambda pin: seen.append(pin.value()))
    for _ in range(polls):
        wire.poll()
    return seen


def main():
    wire = Wire(int(sys.argv[1]))
    board = Board(wire)
    sensors = json.loads(sys.stdin.read())
    wire.poll()
    result = {name: outcome(board, name, sensors[name]) for name in sensors}
    result["edges"] = edges(wire, 14, 6)
    result["scan"] = wire.i2c(0).scan()
    result["roms"] = [rom.hex() for rom in wire.onewire(4).scan()]
    wire.output_pin(2).value(1)
    print(json.dumps(result))


main()
