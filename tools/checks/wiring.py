"""Whether what a configuration puts on pins and buses can work on a chip. Pure."""

from tools.board.pins import PINS
from tools.checks import Finding

USUAL_ADDRESSES = {"bme280": 0x76, "sht4x": 0x44, "sht3x": 0x44, "bh1750": 0x23}
_BUS_PINS = {"esp32": ((18, 19), (25, 26))}  # (SCL, SDA) of each bus, where MicroPython puts them when nothing is said
_SHARED = "ds18b20"  # several of them may hang on one pin
_OUTPUTS = ("ds18b20", "dht22")  # drive their line, too
_PIN_KEYS = ("led_pin", "scl_pin", "sda_pin")


def findings(document, chip):
    """What is wrong with a configuration that is valid as such, on `chip` (esptool's name)."""
    pins = PINS[chip]
    found, users = [], {}
    for name, options in sorted((document.get("sensors") or {}).items()):
        key, pin = f"sensors.{name}.pin", (options or {}).get("pin")
        if pin is not None:
            found += _pin(key, pin, options["driver"], options, pins, chip)
            users.setdefault(pin, []).append((key, options["driver"]))
    for key in _PIN_KEYS:
        pin = (document.get("board") or {}).get(key)
        if pin is not None:
            found += _pin("board." + key, pin, key, {}, pins, chip)
            users.setdefault(pin, []).append(("board." + key, key))
    return found + _pins_used_twice(users, pins) + _buses(document, users, pins, chip)


def _pin(key, pin, driver, options, pins, chip):
    """What is wrong with one use of one pin."""
    if pin not in pins.exist:
        return [Finding(key, f"GPIO {pin} does not exist on {chip}", "the sensor is left out",
                        f"mote config set NODE {key}=PIN, with one of {_some(pins)}")]
    found = []
    move = f"move the wire, then: mote config set NODE {key}=PIN, with one of {_some(pins)}"
    for numbers, what, why in (
            (pins.flash, "is wired to the flash inside the module", "using it crashes the board at once"),
            (pins.psram, "is wired to the PSRAM of modules that have one", "using it crashes such a board"),
            (pins.serial, "is the serial port", "neither flashing nor the log would work while it is in use"),
            (pins.usb, "is the chip's own USB", "a board without a bridge chip can then not be reached any more"),
            (pins.strapping, "is read by the chip at each start",
             "what pulls on it may keep the board from starting, or make it wait in its bootloader")):
        if pin in numbers:
            found.append(Finding(key, f"GPIO {pin} {what}", why, move))
    if pin in pins.input_only:
        if driver in _OUTPUTS or key.startswith("board."):
            found.append(Finding(key, f"GPIO {pin} can only be an input", "this needs an output, too", move))
        elif options.get("pull"):
            found.append(Finding(key, f"GPIO {pin} has no pull resistors inside", "an open contact reads at random",
                                 "put 10 kOhm between pin and 3.3 V (or ground), or " + move))
    if driver == "analog" and pin not in pins.adc1:
        if pin not in pins.adc2:
            found.append(Finding(key, f"GPIO {pin} has no ADC", "nothing can be measured there", move))
        else:
            found.append(Finding(key, f"GPIO {pin} is on ADC2, which Wi-Fi uses", "readings fail while it is on", move))
    return found


def _some(pins):
    """A few pins that are good for anything."""
    bad = pins.flash | pins.psram | pins.strapping | pins.serial | pins.usb | pins.input_only
    return ", ".join(map(str, sorted((pins.adc1 & pins.exist) - bad)[:4]))


def _pins_used_twice(users, pins):
    found = []
    for pin, uses in sorted(users.items()):
        keys = [key for key, _ in uses]
        if len(uses) > 1 and any(driver != _SHARED for _, driver in uses):
            found.append(Finding(keys[0], f"GPIO {pin} is used by {' and '.join(keys)}", "each disturbs the other",
                                 f"move a wire, then: mote config set NODE {keys[-1]}=PIN, with one of {_some(pins)}"))
    return found


def _buses(document, users, pins, chip):
    """I2C: buses that are not there, addresses that two sensors share, pins that something else uses."""
    found, places = [], {}
    for name, options in sorted((document.get("sensors") or {}).items()):
        if options and options["driver"] in USUAL_ADDRESSES:
            bus = options.get("bus") or 0
            address = options.get("address") or USUAL_ADDRESSES[options["driver"]]
            if bus >= pins.i2c_buses:
                found.append(Finding(f"sensors.{name}.bus", f"{chip} has no I2C bus {bus}", "the sensor is left out",
                                     f"mote config set NODE sensors.{name}.bus=0"))
            places.setdefault((bus, address), []).append(name)
    for (bus, address), names in sorted(places.items()):
        if len(names) > 1:
            found.append(Finding(f"sensors.{names[1]}.address", f"{' and '.join(names)} both are at {address} "
                                 f"(0x{address:02x}) of bus {bus}", "only one chip can answer there",
                                 "give one the other address (its solder bridge or ADDR pin), then: mote config set "
                                 f"NODE sensors.{names[1]}.address=N; or move it to another bus"))
    own = (document.get("board") or {}).get("scl_pin") is not None
    for bus in sorted({bus for bus, _ in places}):
        usual = _BUS_PINS.get(chip, ())
        for pin in usual[bus] if bus < len(usual) and not (own and bus == 0) else ():
            if pin in users:
                key = users[pin][0][0]
                found.append(Finding(key, f"GPIO {pin} is on I2C bus {bus}, which sensors use", "neither works",
                                     f"move the wire, then: mote config set NODE {key}=PIN, with one of {_some(pins)}"))
    return found
