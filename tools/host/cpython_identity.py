"""Who this computer is, found out by CPython, so that the node's heap on MicroPython need not hold the search."""

import os
import sys

from store import Store


def identity(state):
    """What HostBoard takes as "mac" and "model"; `state` is the folder where a made-up address is kept."""
    return {"mac": _mac(Store(state)), "model": _first_line("/proc/device-tree/model") or sys.platform}


def _first_line(path):
    try:
        with open(path) as file:
            return file.read().strip("\0\n")
    except OSError:
        return None


def _mac(files):
    """The first network card's address; where there is none, one drawn at random and kept."""
    try:
        cards = sorted(os.listdir("/sys/class/net"))
    except OSError:
        cards = []
    for card in cards:
        mac = _first_line(f"/sys/class/net/{card}/address")
        if mac and len(mac) == 17 and mac != "00:00:00:00:00:00":
            return mac
    raw = files.load("mac") or b"\x02" + os.urandom(5)  # 2: administered locally
    files.save("mac", raw)
    return raw.hex(":")
