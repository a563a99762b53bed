"""Slots in the memory that survives a reset and deep sleep, but no power cut: each framed by itself, so that one that
is broken spoils no other. Functions of a board with `rtc_read()` and `rtc_write(data)`; only lent.

Frame, little endian: length of the data (2 bytes), its CRC-32 (4), the data. A slot is (offset, bytes); all of them fit
into the 2,048 bytes that an ESP32 has.
"""

import binascii
import struct

BOOT = (0, 32)
RECORDER = (32, 1_004)
SLEEP = (1_036, 1_012)
_FRAME = "<HI"
_FRAME_BYTES = 6


def load(board, slot):
    """The bytes last saved in a slot; None when there are none, or they are broken."""
    data = board.rtc_read()
    at, room = slot
    if len(data) < at + _FRAME_BYTES:
        return None
    length, crc = struct.unpack_from(_FRAME, data, at)
    found = data[at + _FRAME_BYTES : at + _FRAME_BYTES + length]
    good = 0 < length <= room - _FRAME_BYTES and len(found) == length and binascii.crc32(found) == crc
    return found if good else None


def save(board, slot, data):
    """Replace the content of a slot; b"" clears it. Raises ValueError when it is too long."""
    at, room = slot
    if len(data) > room - _FRAME_BYTES:
        raise ValueError("longer than the slot")
    before = board.rtc_read()
    head, tail = before[:at], before[at + room :]
    before = None  # a kilobyte that is wanted again at once
    whole = bytearray(at + (room if tail else _FRAME_BYTES + len(data)) + len(tail))
    whole[: len(head)] = head
    struct.pack_into(_FRAME, whole, at, len(data), binascii.crc32(data))
    whole[at + _FRAME_BYTES : at + _FRAME_BYTES + len(data)] = data
    whole[at + room : at + room + len(tail)] = tail
    board.rtc_write(whole)
