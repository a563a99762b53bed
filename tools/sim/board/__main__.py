"""`python -m tools.sim.board`: a virtual board to try the tools on, with MicroPython on it or, `--empty`, without.

It stands in reach of an access point `home`, password `correct horse`, with a BME280 and a BH1750 on its bus.
"""

import argparse
import os
import sys
import tempfile
import time

from tools.sim.board.board import VirtualBoard
from tools.sim.board.chips import CHIPS
from tools.sim.board.small_image import small

HOME = {"ssid": "home", "password": "correct horse", "rssi": -50}
SENSORS = {"air": {"driver": "bme280", "bus": 0, "address": 0x76}, "light": {"driver": "bh1750", "bus": 0}}

_WELCOME = """\
A virtual {chip} is at {url} (for ampy at {pty}); Ctrl-C takes it away. In other terminals:

  {mote} broker
  MOTE_WIFI_PASSWORD='{password}' {mote} up --port {url} --image {image} \\
    --wifi {ssid} --broker localhost --name Greenhouse

The image is one for virtual boards; without --image mote fetches MicroPython's newest release."""


def main():
    parser = argparse.ArgumentParser(prog="python -m tools.sim.board", description=__doc__)
    parser.add_argument("--chip", choices=sorted(CHIPS), default="esp32")
    parser.add_argument("--empty", action="store_true",
                        help="nothing in its flash: `mote up --image FILE` changes that")
    parser.add_argument("--flash", metavar="FILE", help="its flash, kept between runs (default: a new one)")
    args = parser.parse_args()
    mote = os.path.relpath(os.path.join(os.path.dirname(sys.executable), "mote"))
    with tempfile.TemporaryDirectory(prefix="mote-board-") as folder:
        path = args.flash or os.path.join(folder, "flash")
        fresh = not os.path.exists(path)
        board = VirtualBoard(path, args.chip, access_points=[HOME], sensors=SENSORS)
        image = os.path.join(folder, args.chip + ".bin")
        with open(image, "wb") as file:
            file.write(small(args.chip))
        if fresh and not args.empty:
            board.flash.program(board.chip.boot_offset, small(args.chip))
        with board:
            print(_WELCOME.format(chip=args.chip, url=board.rfc2217().url.partition("?")[0], pty=board.pty().url,
                                  image=image, mote=mote, **HOME), flush=True)
            try:
                while True:
                    time.sleep(1)
            except KeyboardInterrupt:
                print()


if __name__ == "__main__":
    main()
