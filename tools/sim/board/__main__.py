"""`python -m tools.sim.board`: a virtual board to try the tools on, with MicroPython on it or, `--empty`, without.

It stands in reach of an access point `home`, password `correct horse`, with a BME280 and a BH1750 on its bus.
"""

import argparse
import os
import tempfile
import time

from tools.sim.board.board import VirtualBoard
from tools.sim.board.chips import CHIPS
from tools.sim.board.small_image import small

HOME = {"ssid": "home", "password": "correct horse", "rssi": -50}
SENSORS = {"air": {"driver": "bme280", "bus": 0, "address": 0x76}, "light": {"driver": "bh1750", "bus": 0}}


def main():
    parser = argparse.ArgumentParser(prog="python -m tools.sim.board", description=__doc__)
    parser.add_argument("--chip", choices=sorted(CHIPS), default="esp32")
    parser.add_argument("--empty", action="store_true",
                        help="nothing in its flash: `mote up --image FILE` changes that")
    parser.add_argument("--flash", metavar="FILE", help="its flash, kept between runs (default: a new one)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mote-board-") as folder:
        path = args.flash or os.path.join(folder, "flash")
        fresh = not os.path.exists(path)
        board = VirtualBoard(path, args.chip, access_points=[HOME], sensors=SENSORS)
        if fresh and not args.empty:
            board.flash.program(board.chip.boot_offset, small(args.chip))
        with board:
            print(f"{args.chip} at {board.rfc2217().url}, for ampy at {board.pty().url}; Ctrl-C takes it away\n"
                  f"MOTE_WIFI_PASSWORD='{HOME['password']}' mote up --port ... --wifi {HOME['ssid']} --broker ...",
                  flush=True)
            try:
                while True:
                    time.sleep(1)
            except KeyboardInterrupt:
                print()


if __name__ == "__main__":
    main()
