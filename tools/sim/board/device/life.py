"""What the virtual board's MicroPython runs first: it becomes an ESP32, as far as Python can tell.

Options come as JSON in MOTE_BOARD. The flash is mounted as the ESP32 port's own _boot.py does it, then boot.py and
main.py run, then the process goes on to the prompt. What has to outlive the process is told over the descriptor
`control`, a word and a value each line.
"""

import json
import os
import sys
import time
import vfs

import chip
import nor
import radio

_CORRUPTED = """The filesystem appears to be corrupted. If you had important data there, you
may want to make a flash snapshot to try to recover it. Otherwise, perform
factory reprogramming of MicroPython firmware (completely erase flash, followed
by firmware programming).
"""
_FIRST_BOOT_PY = """# This file is executed on every boot (including wake-boot from deepsleep)
#import esp
#esp.osdebug(None)
#import webrepl
#webrepl.start()
"""


class Implementation:
    """`sys.implementation`; the real one is a tuple and prints as such."""

    name = "micropython"
    _build = "VIRTUAL"
    _thread = "unsafe"

    def __init__(self, options):
        self.version = tuple(options["version"]) + ("",)
        self._machine = options["model"]
        self._mpy = options["mpy"]


class System:
    """`sys` of another machine; all that is not said here is this one's."""

    platform = "esp32"

    def __init__(self, implementation, version, real):
        self.implementation = implementation
        self.version = version
        self._real = real

    def __getattr__(self, name):
        return getattr(self._real, name)


def become(options):
    """Mount the flash and put the port's own modules in place; returns what does a soft reset."""
    control = open(options["control"], "wb", 0)

    def tell(kind, value=""):
        control.write(("%s %s\n" % (kind, value)).encode())

    sys.path.append(options["root"])
    from tools.host.wire import Wire

    device = nor.Partition(options["flash"], options["vfs_offset"], options["vfs_bytes"], tell, options["journal"])
    wire = Wire(options["wire"])
    vfs.umount("/")
    mount(device)
    sys.modules.clear()
    sys.modules["machine"] = chip.machine(options, wire, tell)
    sys.modules["network"] = radio.Network(options)
    sys.modules["esp32"] = chip.esp32()
    sys.modules["onewire"] = chip.onewire(wire)
    sys.modules["dht"] = chip.dht(wire)
    sys.modules["sys"] = System(Implementation(options), "3.4.0; " + options["banner"].split("; ")[0], sys)
    sys.path[:] = ["", ".frozen", "/lib"]
    tell("up")
    return lambda: chip.end(tell, "soft", "")


def mount(device):
    """As the port's _boot.py and inisetup.py: what is there, else, where all is erased, a new littlefs."""
    for kind in (vfs.VfsLfs2, vfs.VfsFat):
        try:
            vfs.mount(kind(device), "/")
            return
        except OSError:
            continue
    if not device.is_erased():
        while True:
            print(_CORRUPTED)
            time.sleep(3)
    vfs.VfsLfs2.mkfs(device)
    vfs.mount(vfs.VfsLfs2(device), "/")
    with open("boot.py", "w") as file:
        file.write(_FIRST_BOOT_PY)


def run(name, names):
    """Run a file as the port does; True unless it was interrupted or failed, which is shown."""
    try:
        with open(name) as file:
            text = file.read()
    except OSError:
        return
    try:
        exec(compile(text, name, "exec"), names)
    except SystemExit:
        raise
    except BaseException as error:
        sys.print_exception(error)


def main(names):
    """Live in `names`, the globals of the programs and of the prompt."""
    options = json.loads(os.getenv("MOTE_BOARD"))
    end = become(options)
    names.pop("life")
    try:
        run("boot.py", names)
        if not options["raw"]:
            run("main.py", names)
    except SystemExit:  # this port would go to the prompt
        end()
