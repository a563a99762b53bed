"""Everything that can go wrong, each by its name, and the schedule of it that a seed makes.

A fault is begun by a function of the run (see tools.sim.run.Run), the node that it meets (None: all) and a number
below 1 for its details; what that returns undoes it, None when there is nothing to undo.
"""

import random
from collections import namedtuple

from tools.sim import operator

_BLOCK_BYTES = 9  # of a DS18B20's scratchpad, with its checksum

Kind = namedtuple("Kind", "scope per_day shortest_s longest_s begin")
Fault = namedtuple("Fault", "number kind node at_s lasts_s chance")


# The broker

def _broker_restart(run, mote, chance):
    run.broker.forgets = chance < 0.5
    run.broker.stop()
    return run.broker.start


def _broker_frozen(run, mote, chance):
    run.broker.freeze()
    return run.broker.thaw


def _broker_refuses(run, mote, chance):
    run.broker.refuses = (3, 5, 4)[int(chance * 3)]
    for other in run.motes:
        other.hardware.path.reset()
    return lambda: setattr(run.broker, "refuses", 0)


def _broker_deaf(run, mote, chance):
    run.broker.deaf = True
    return lambda: setattr(run.broker, "deaf", False)


def _garbage(run, mote, chance):
    """The broker, or who claims to be it, sends what is no MQTT."""
    session = run.broker.sessions.get(mote.name)
    if session:
        rng = random.Random(chance)
        noise = (b"\xff\xff\xff\xff\xff", b"\x30\x02\x00\x09", b"\x40\x02\x00\x00", b"\x00\x00",
                 b"HTTP/1.1 400 \r\n\r\n", bytes(int(rng.random() * 256) for _ in range(40)), b"\x32\x04\x00\x01a\x00")
        session.peer.send(noise[int(rng.random() * len(noise))])


def _huge(run, mote, chance):
    """A PUBLISH of 200 KB, which no node has room for."""
    session = run.broker.sessions.get(mote.name)
    if session:
        session.deliver(f"mote/{mote.name}/command/identify", b"x" * 200_000, 0, False)


def _stranger(run, mote, chance):
    """Somebody connects under the node's name."""
    run.stranger(mote)


# The way

def _reset(run, mote, chance):
    mote.hardware.path.reset()


def _half_open(run, mote, chance):
    mote.hardware.path.forget()


def _blocked(run, mote, chance):
    mote.hardware.path.block()
    return mote.hardware.path.open


def _slow(run, mote, chance):
    path = mote.hardware.path
    before, path.latency_us = path.latency_us, 300_000 + int(chance * 1_700_000)
    return lambda: setattr(path, "latency_us", before)


def _wifi_gone(run, mote, chance):
    point = mote.hardware.points[0]
    point.there = False
    mote.hardware.wlan.dropped()
    return lambda: setattr(point, "there", True)


def _wifi_password(run, mote, chance):
    point = mote.hardware.points[0]
    before, point.password = point.password, "another one"
    mote.hardware.wlan.dropped()
    return lambda: setattr(point, "password", before)


def _wifi_slow(run, mote, chance):
    point = mote.hardware.points[0]
    before, point.answers_us = point.answers_us, 8_000_000 + int(chance * 20_000_000)
    mote.hardware.wlan.dropped()
    return lambda: setattr(point, "answers_us", before)


def _no_address(run, mote, chance):
    point = mote.hardware.points[0]
    point.gives_address = False
    mote.hardware.wlan.dropped()
    return lambda: setattr(point, "gives_address", True)


def _dns(answer):
    def begin(run, mote, chance):
        mote.hardware.dns = answer
        mote.hardware.path.reset()
        return lambda: setattr(mote.hardware, "dns", "ok")

    return begin


def _dns_lies(run, mote, chance):
    """A captive portal that answers HTTP, a host that is off, or one where nothing listens."""
    path = mote.hardware.path
    path.names["broker"] = ("portal", "switched-off", "nobody")[int(chance * 3)]
    path.reset()
    return lambda: path.names.clear()


# Time

def _ntp_silent(run, mote, chance):
    for server in run.place.time_servers.values():
        server.silent = True
    return lambda: [setattr(server, "silent", False) for server in run.place.time_servers.values()]


def _ntp_lies(run, mote, chance):
    """Lies that a client can see: years that cannot be, no time, an answer to another question."""
    servers = list(run.place.time_servers.values())
    lie = int(chance * 4)
    for server in servers:
        server.lie_s = (-30 * 365 * 86_400, 90 * 365 * 86_400, 0, 0)[lie]
        server.stratum = 0 if lie == 2 else 2
        server.forged = lie == 3
    return lambda: [server.__init__() for server in servers]


# The board

def _power_cut(run, mote, chance):
    mote.cut("power-on", dark_s=1 + chance * 600)


def _brownout(run, mote, chance):
    """The supply breaks down again and again, some seconds after each start."""
    for number in range(2 + int(chance * 5)):
        run.loop.after_us(int((4 + chance * 9) * number * 1e6), mote.cut, "power-on", 0.5)


def _flash_cut(run, mote, chance):
    """The power goes within one of the next flash operations, which a new configuration brings about."""
    mote.off_s = 1 + chance * 60
    mote.hardware.flash.cut_at = int(chance * 1000) % 5
    run.operator.change(mote, chance)
    return lambda: setattr(mote.hardware.flash, "cut_at", None)


def _flash_full(run, mote, chance):
    mote.hardware.flash.full = True
    run.operator.change(mote, chance)
    return lambda: setattr(mote.hardware.flash, "full", False)


def _flash_worn(run, mote, chance):
    mote.hardware.flash.worn = True
    run.operator.change(mote, chance)
    return lambda: setattr(mote.hardware.flash, "worn", False)


def _hang(run, mote, chance):
    """The processor stands still until the watchdog bites."""
    mote.cut("watchdog", dark_s=120)


def _chips(fault):
    def begin(run, mote, chance):
        chips = sorted(mote.hardware.buses.chips)
        chip = mote.hardware.buses.chips[chips[int(chance * len(chips))]]
        chip.fault = fault
        return lambda: setattr(chip, "fault", None)

    return begin


def _chip_flips(run, mote, chance):
    """Now and then a bit of what a chip with a checksum says is another one on the wire: one in a block, as of four the
    checksum of a DS18B20 may be right by chance."""
    rng = random.Random(chance)
    undo = []
    for chip in mote.hardware.buses.chips.values():
        if type(chip).__module__.rpartition(".")[2] in ("sht3x", "sht4x", "ds18b20", "dht22"):
            undo.append(_flipping(chip, rng))
    return lambda: [put_back() for put_back in undo]


def _flipping(chip, rng):
    def flipped(data):
        bit = int(rng.random() * 8 * len(data))
        data = bytearray(data)
        data[bit // 8] ^= 1 << bit % 8
        return bytes(data)

    if chip.BUS == "dht":
        measure = chip.measure

        def noisy(buf):
            measure(buf)
            buf[:] = flipped(buf)

        chip.measure = noisy
        return lambda: delattr(chip, "measure")
    read, quiet = chip.read, 0  # bytes that stay as they are

    def noisy_byte():
        nonlocal quiet
        byte, quiet = read(), quiet - 1
        if quiet >= 0 or rng.random() >= 0.2:
            return byte
        quiet = _BLOCK_BYTES
        return flipped(bytes((byte,)))[0]

    chip.read = (lambda size: flipped(read(size))) if chip.BUS == "i2c" else noisy_byte
    return lambda: delattr(chip, "read")


def _chip_browns_out(run, mote, chance):
    """A BH1750 that measures is spared: it would answer 0, and nothing that it says tells that from the dark."""
    for chip in mote.hardware.buses.chips.values():
        if not getattr(chip, "measuring", bool)():
            getattr(chip, "power_on", int)()


KINDS = {
    "broker-restart": Kind("all", 4, 1, 1_200, _broker_restart),
    "broker-frozen": Kind("all", 2, 5, 600, _broker_frozen),
    "broker-refuses": Kind("all", 1, 10, 600, _broker_refuses),
    "broker-deaf": Kind("all", 2, 5, 120, _broker_deaf),
    "garbage": Kind("node", 2, 0, 0, _garbage),
    "huge": Kind("node", 0.5, 0, 0, _huge),
    "stranger": Kind("node", 0.5, 0, 0, _stranger),
    "reset": Kind("node", 3, 0, 0, _reset),
    "half-open": Kind("node", 2, 0, 0, _half_open),
    "blocked": Kind("node", 3, 5, 3_600, _blocked),
    "slow": Kind("node", 2, 30, 1_800, _slow),
    "wifi-gone": Kind("node", 2, 5, 3_600, _wifi_gone),
    "wifi-password": Kind("node", 0.5, 10, 900, _wifi_password),
    "wifi-slow": Kind("node", 0.5, 30, 900, _wifi_slow),
    "no-address": Kind("node", 0.5, 30, 900, _no_address),
    "dns-fails": Kind("node", 0.7, 10, 900, _dns("fails")),
    "dns-silent": Kind("node", 0.7, 10, 900, _dns("silent")),
    "dns-lies": Kind("node", 1, 10, 900, _dns_lies),
    "ntp-silent": Kind("all", 1, 600, 20_000, _ntp_silent),
    "ntp-lies": Kind("all", 1, 600, 20_000, _ntp_lies),
    "power-cut": Kind("node", 2, 0, 0, _power_cut),
    "brownout": Kind("node", 0.5, 0, 0, _brownout),
    "flash-cut": Kind("node", 2, 30, 60, _flash_cut),
    "flash-full": Kind("node", 0.5, 60, 3_600, _flash_full),
    "flash-worn": Kind("node", 0.5, 60, 3_600, _flash_worn),
    "hang": Kind("node", 0.5, 0, 0, _hang),
    "sensor-missing": Kind("node", 1, 30, 7_200, _chips("missing")),
    "sensor-stuck": Kind("node", 0.5, 30, 3_600, _chips("stuck")),
    "sensor-noise": Kind("node", 0.5, 30, 3_600, _chips("crc")),
    "sensor-flips": Kind("node", 1, 600, 7_200, _chip_flips),
    "sensor-85": Kind("node", 0.5, 300, 7_200, _chips("power-on")),
    "sensor-power": Kind("node", 1, 0, 0, _chip_browns_out),
    "config": Kind("node", 2, 0, 0, operator.change_any),
    "commands": Kind("node", 2, 0, 0, operator.command),
    "flood": Kind("node", 0.5, 0, 0, operator.flood),
}


def schedule(seed, names, windows, nodes):
    """The faults of a run, in the order of their times: `windows` are the (first, last) seconds in which faults may be,
    `nodes` how many there are. The faults of one kind at one node are independent of all others, so that a run with
    fewer kinds or nodes has the same ones.
    """
    found = []
    for kind in names:
        for node in range(nodes) if KINDS[kind].scope == "node" else (None,):
            rng = random.Random(f"{seed}/{kind}/{node}")
            for first_s, last_s in windows:
                found += _of_window(rng, kind, node, first_s, last_s)
    found.sort(key=lambda fault: (fault[2], fault[0], -1 if fault[1] is None else fault[1]))
    return [Fault(number, *fault) for number, fault in enumerate(found)]


def _of_window(rng, kind, node, first_s, last_s):
    """(kind, node, at, lasts, chance) of each: at random distances, never over one another."""
    row = KINDS[kind]
    at_s = first_s
    while True:
        at_s += rng.expovariate(row.per_day / 86_400)
        lasts_s = row.shortest_s * (row.longest_s / row.shortest_s) ** rng.random() if row.longest_s else 0
        chance = rng.random()
        if at_s + lasts_s >= last_s:
            return
        yield kind, node, round(at_s, 3), round(lasts_s, 3), chance
        at_s += lasts_s
