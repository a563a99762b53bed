"""The sensors of a traced node, in a process of their own: `trace_server.py DESCRIPTOR FILE`.

An analog input gives 1 microvolt, then 2, then 3: each reading of the driver another value, in the order in which they
are taken, whatever sensor takes it. Before a value is given it is in FILE, four bytes each: that is the truth, whatever
becomes of the node.
"""

import os
import struct
import sys

CONVERSIONS = 8  # of the driver, for one reading


def serve(connection, trace):
    """Answer requests for conversions (see tools/host/wire.py) until the node has gone."""
    number = os.fstat(trace).st_size // 4
    left = 0
    while True:
        head = connection.read(6)
        if len(head) < 6:
            return
        assert chr(head[0]) == "a" and head[4] == 0, head
        if not left:
            number, left = number + 1, CONVERSIONS
            os.write(trace, struct.pack("<I", number))
        left -= 1
        connection.write(bytes((0, 4)) + number.to_bytes(4, "little"))


if __name__ == "__main__":
    try:
        serve(open(int(sys.argv[1]), "r+b", 0), os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT))
    except (BrokenPipeError, ConnectionResetError):
        pass  # the node was killed in the middle of a reading
