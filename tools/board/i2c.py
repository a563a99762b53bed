"""What is on a board's I2C buses, and which drivers would read it."""

import ast

_SCAN = """
import machine
r=[]
for n in range(BUSES):
 try:
  b=machine.I2C(n,PINSfreq=100000)
  for a in b.scan():
   d=None
   if a in(0x76,0x77):
    v=bytearray(1)
    try:
     b.readfrom_mem_into(a,0xD0,v)
     d=v[0]
    except OSError:pass
   r.append((n,a,d))
 except (OSError,ValueError):pass
print(r)
"""
_BMP280 = 0x58  # register 0xD0, datasheet of Bosch BMP280, section 4.3.1
# Address -> (driver, the name that a sensor of it gets, what else may be there).
KNOWN = {
    0x76: ("bme280", "air", None), 0x77: ("bme280", "air", None),
    0x44: ("sht4x", "climate", "an SHT3x answers there, too: then driver sht3x"),
    0x45: ("sht4x", "climate", "an SHT3x answers there, too: then driver sht3x"),
    0x23: ("bh1750", "light", None), 0x5C: ("bh1750", "light", None),
}


def scan(board, scl=None, sda=None):
    """[(bus, address, chip id or None)] of what answers at the board's prompt."""
    pins = "" if scl is None or sda is None else f"scl=machine.Pin({scl}),sda=machine.Pin({sda}),"
    return ast.literal_eval(board.run(_SCAN.replace("BUSES", "1" if pins else "2").replace("PINS", pins)).strip())


def proposed(found):
    """(section `sensors` of a configuration, remarks) for what a scan has found. An address that no driver knows is
    remarked upon; on two buses the first one of an address counts."""
    sensors, remarks, seen = {}, [], set()
    for bus, address, chip_id in found:
        if address not in KNOWN:
            remarks.append(f"something at 0x{address:02x} of bus {bus} that no driver is known for")
            continue
        driver, name, remark = KNOWN[address]
        if (address, driver) in seen:  # the default pins of both buses may be the same
            continue
        seen.add((address, driver))
        number = sum(other.rstrip("0123456789") == name for other in sensors) + 1
        options = {"driver": driver, "bus": bus, "address": address}
        if driver == "bme280" and chip_id == _BMP280:
            options["kind"] = "bmp280"
        sensors[name if number == 1 else f"{name}{number}"] = options
        if remark:
            remarks.append(f"0x{address:02x} of bus {bus}: {driver} is proposed; {remark}")
    return sensors, remarks
