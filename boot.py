"""Runs first at every start of an ESP32. Imports nothing that an update can break: a board has to get past this.

Finishes an update whose last step a power cut broke off. Counts the start, and hands over to rescue after a few that
did not live long enough, or when the boot button is pressed in the first second after power came on. Rescue and the
count lie in /rescue, which no update over the air writes to.
"""

import gc
import os
import sys
import time

# What is frozen into the image comes first: looking for it on flash takes time at every import. Then, where MicroPython
# was built with ROMFS, the folders out of which it runs bytecode without a copy in RAM; then the root of the flash with
# firmware/ and main.py; the folders of a chosen release would stand before it.
ROM = tuple([folder for folder in sys.path if folder.startswith("/rom")])
NODE = (".frozen",) + ROM + ("", "/lib")
RESCUE = (".frozen", "/rescue") + ROM + ("",)  # its own copies first; of the node it wants the drivers
_PRESS_MS = 1_000  # pressed while power comes on it starts the chip's own loader, so it is looked at for a while after
_LOOK_MS = 20


def start():
    """Decide who runs. Returns when it is the node; whatever goes wrong here, the node gets its chance."""
    import machine

    cause = machine.reset_cause()
    if cause == machine.SOFT_RESET:  # somebody at the prompt, or mpremote
        return
    sys.path[:] = RESCUE
    try:
        if "state" not in os.listdir("/"):
            os.mkdir("/state")
        due = cause == machine.PWRON_RESET and pressed(machine.Pin)
        if cause != machine.DEEPSLEEP_RESET:  # a wake that fails ends in a reset, which then counts
            try:
                due = counted() or due
            except OSError as error:  # flash that takes nothing must not take the button, too
                sys.print_exception(error)
        if due:
            from board import Board
            from rescue import main

            main(Board())
    except Exception as error:  # the last line of defence, which shows it
        sys.print_exception(error)
    for name in ("store", "starts"):  # the node has its own
        sys.modules.pop(name, None)


def finish(moves="/update.txt"):
    """Finish what `mote deploy` began: once every file has arrived beside the one it replaces, it lists the moves here.
    Without that list nothing has been moved; with it all will be, before anything is imported. Also run by the tool."""
    if moves[1:] not in os.listdir("/"):
        return
    with open(moves) as lines:
        for line in lines:
            path = line[1:].strip()
            try:
                if line[0] == "-":
                    os.remove(path)
                else:
                    os.rename(path + ".new", path)
            except OSError as error:
                if error.args[0] != 2:  # ENOENT: it was moved before power went
                    raise
    os.remove(moves)


def counted():
    """Count this start; whether it is rescue's."""
    from starts import count
    from store import Store

    return count(Store("/state"))


def pressed(make):
    """Whether the boot button is pressed: GPIO 9 on the chips of the C and H lines, else GPIO 0; it pulls to ground."""
    line = sys.implementation._machine.split(" with ")[-1].replace("-", "")[5:6]  # of ESP32C3, of ESP32-PICO-D4
    pin = make(9 if line == "C" or line == "H" else 0, make.IN, make.PULL_UP)
    for _ in range(_PRESS_MS // _LOOK_MS):
        if not pin.value():
            return True
        time.sleep_ms(_LOOK_MS)
    return False


if __name__ == "__main__":
    # Collecting this often (bytes allocated) keeps the free heap in one piece, so that it need not grow into the memory
    # that Wi-Fi and TLS live on.
    gc.threshold(4_096)
    try:
        try:
            finish()
        except Exception as error:  # flash that is full or worn out: shown, and tried again at the next start
            sys.print_exception(error)
        start()
    finally:  # also when somebody at the prompt interrupts it
        sys.path[:] = NODE
