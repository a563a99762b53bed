"""A queue of records on flash, in files that are one erase block long: whole frames, whatever happens meanwhile. This
reads it; segments_writer.py writes it.

A file `q<number>` is a segment: a head, then frames. Big endian. Head: "Mq", version (1 byte), bytes of a record (1),
tag (4), length of a text (2), CRC-32 of these and the text (4), the text. Frame: count of records (2), three notes
(4 each), CRC-32 of these and the records (4), the records. A frame is appended with one open and one close, which on
littlefs is all or nothing (it never writes into a block that holds something); elsewhere the CRC finds half a frame,
and nothing is ever added behind one.
"""

import binascii
import errno
import os
import struct

BLOCK_BYTES = 4_096  # what NOR flash erases at once, and the smallest file that is not inside littlefs' metadata
_HEAD = ">2sBBIH"
_HEAD_BYTES = 10
_FRAME = ">HIII"
_FRAME_BYTES = 14
_CRC_BYTES = 4
_MAGIC = b"Mq"
_VERSION = 1
_CHUNK = 8  # records read at once: memory, not speed
_GONE = (errno.ENOENT, errno.EIO, 84)  # 84: littlefs' own word for a damaged block


class Segment:
    """What is in a segment: `size` bytes a record, `tag`, `text`, `notes` of the last frame, `total` records, `end` of
    the last good frame in bytes, and the `records` that were asked for."""

    def __init__(self, size, tag, text, end):
        self.size = size
        self.tag = tag
        self.text = text
        self.end = end
        self.notes = (0, 0, 0)
        self.total = 0
        self.records = []


class Segments:
    """The segments in folder `root`; `numbers` are theirs, the oldest first. Everything may raise OSError."""

    def __init__(self, root):
        self.root = root
        names = [name[1:] for name in os.listdir(root) if name[0] == "q" and name[1:].isdigit()]
        self.numbers = sorted([int(name) for name in names])

    def path(self, number):
        """The file of a segment."""
        return "%s/q%d" % (self.root, number)

    @staticmethod
    def sealed(head, pieces):
        """A head with the CRC-32 of itself and of what follows it."""
        crc = binascii.crc32(head)
        for piece in pieces:
            crc = binascii.crc32(piece, crc)
        return head + struct.pack(">I", crc)

    def remove(self, number):
        """Delete a segment."""
        os.remove(self.path(number))
        self.numbers.remove(number)

    def read(self, number, skip=0, most=0):
        """The Segment, with up to `most` of its records after the first `skip`; None when it cannot be read.

        What stands behind a damaged frame is not believed.
        """
        try:
            with open(self.path(number), "rb") as file:
                head = file.read(_HEAD_BYTES + _CRC_BYTES)
                if len(head) < _HEAD_BYTES + _CRC_BYTES:
                    return None  # opened for its first frame, which never came
                magic, version, size, tag, length = struct.unpack(_HEAD, head[:_HEAD_BYTES])
                text = file.read(length)
                if magic != _MAGIC or version != _VERSION or self.sealed(head[:_HEAD_BYTES], (text,)) != head:
                    return None
                segment = Segment(size, tag, text, len(head) + length)
                while _frame(file, segment, skip, most):
                    pass
                return segment
        except OSError as error:
            if error.args[0] not in _GONE:
                raise
            return None


def _frame(file, segment, skip, most):
    """Take the next frame into `segment`; False when there is no good one."""
    frame = file.read(_FRAME_BYTES + _CRC_BYTES)
    if len(frame) < _FRAME_BYTES + _CRC_BYTES:
        return False
    count = struct.unpack(_FRAME, frame[:_FRAME_BYTES])[0]
    size, found = segment.size, []
    chunk = bytearray(_CHUNK * size)
    crc = binascii.crc32(frame[:_FRAME_BYTES])
    for at in range(0, count, _CHUNK):
        part = memoryview(chunk)[: min(_CHUNK, count - at) * size]
        if file.readinto(part) != len(part):
            return False
        crc = binascii.crc32(part, crc)
        for index in range(len(part) // size):
            if skip <= segment.total + at + index < skip + most:
                found.append(bytes(part[index * size : index * size + size]))
    if crc != struct.unpack(">I", frame[_FRAME_BYTES:])[0]:
        return False
    segment.notes = struct.unpack(_FRAME, frame[:_FRAME_BYTES])[1:]
    segment.total += count
    segment.end += len(frame) + count * size
    segment.records += found
    return True
