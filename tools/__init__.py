"""Host side of Mote: flash, deploy, steer, watch and simulate nodes."""

import sys

# By string alone: parts below this package run on MicroPython too, which has no os.path.
ROOT = __file__.replace("\\", "/").rpartition("tools/")[0].rstrip("/") or "."

# Modules of lib/ are imported by bare name, as on a board.
if ROOT + "/lib" not in sys.path:
    sys.path.insert(1, ROOT + "/lib")
