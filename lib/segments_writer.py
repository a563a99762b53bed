"""Writes the queue of records that lib/segments.py reads, where its format is described. Needed seldom: apart from it.

`segments` is a Segments; everything may raise OSError.
"""

import os
import struct

_BLOCK_BYTES = 4_096
_HEAD = ">2sBBIH"
_HEAD_BYTES = 10
_FRAME = ">HIII"
_FRAME_BYTES = 14
_CRC_BYTES = 4
_MAGIC = b"Mq"
_VERSION = 1
_ENOSPC = 28  # which MicroPython's errno module does not name


def room(segments, size, tag, text):
    """How many records of `size` bytes one more frame can hold, and whether it goes into the last segment."""
    last = segments.read(segments.numbers[-1]) if segments.numbers else None
    if last and (last.size, last.tag, last.text) == (size, tag, text):
        path = segments.path(segments.numbers[-1])
        most = (_BLOCK_BYTES - last.end - _FRAME_BYTES - _CRC_BYTES) // size
        if most > 0 and os.stat(path)[6] == last.end:
            return most, True
    return (_BLOCK_BYTES - _HEAD_BYTES - 2 * _CRC_BYTES - len(text) - _FRAME_BYTES) // size, False


def append(segments, last, size, tag, text, notes, pieces, above=0):
    """Add a frame, to the `last` segment or to a new one numbered above `above`; its records are in `pieces`.

    It is all there or not at all: a new segment whose first frame does not fit is gone again, as it would pass for one
    that can make room. Raises OSError, ENOSPC when there is no room.
    """
    head = struct.pack(_HEAD, _MAGIC, _VERSION, size, tag, len(text))
    parts = [] if last else [segments.sealed(head, (text,)), text]
    frame = struct.pack(_FRAME, sum([len(piece) for piece in pieces]) // size, *notes)
    parts.append(segments.sealed(frame, pieces))
    number = segments.numbers[-1] if last else max(segments.numbers[-1:] + [above]) + 1
    try:
        with open(segments.path(number), "ab") as file:
            for part in parts + pieces:
                if file.write(part) != len(part):  # a full disk may take a part without complaining
                    raise OSError(_ENOSPC)
    except OSError as error:
        if not last:
            _discard(segments.path(number))
        raise error
    if not last:
        segments.numbers.append(number)


def _discard(path):
    """Delete a file that may not be there; if that fails, too, the next boot finds it empty or damaged."""
    try:
        os.remove(path)
    except OSError:
        pass  # what failed before it is what counts


def rewrite(segments, number, into, pieces):
    """Write a segment of one frame, with the head and the last notes of the Segment `into`, beside segment
    `number`, which `replace` then replaces. `pieces()` yields records, each time the same."""
    count = sum([1 for _ in pieces()])
    head = struct.pack(_HEAD, _MAGIC, _VERSION, into.size, into.tag, len(into.text))
    with open(segments.path(number) + ".new", "wb") as file:
        file.write(segments.sealed(head, (into.text,)) + into.text)
        file.write(segments.sealed(struct.pack(_FRAME, count, *into.notes), pieces()))
        for part in pieces():
            if file.write(part) != len(part):
                raise OSError(_ENOSPC)


def replace(segments, number):
    """Put what `rewrite` wrote in the place of segment `number`, all at once."""
    os.rename(segments.path(number) + ".new", segments.path(number))


def rewritten(segments, number):
    """Whether there is something that `rewrite` wrote and nobody has put in its place."""
    return "q%d.new" % number in os.listdir(segments.root)


def full(segments, limit_bytes):
    """Whether one more segment would take more than `limit_bytes` of flash."""
    return _BLOCK_BYTES * (len(segments.numbers) + 1) > limit_bytes
