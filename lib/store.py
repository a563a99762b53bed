"""Small files that are always whole: the content is the old one or the new one, whatever happens meanwhile.

Frame, little endian: magic "Mst", version (1 byte), length (4), CRC-32 of the data (4), then the data.
On littlefs this order survives a power cut at every flash operation; on FAT no order does.
"""

import binascii
import errno
import os
import struct

_HEADER = "<3sBII"
_HEADER_BYTES = 12
_MAGIC = b"Mst"
_VERSION = 1
_ENOSPC = 28  # which MicroPython's errno module does not name


class Store:
    """Files below `root`, a folder that exists. `corrupt` counts the contents that could not be used."""

    def __init__(self, root):
        self.root = root
        self.corrupt = 0

    def _path(self, name):
        return self.root + "/" + name

    def load(self, name):
        """The bytes last saved as `name`, or None when there are none or they are corrupt (counted)."""
        try:
            with open(self._path(name), "rb") as file:
                head = file.read(_HEADER_BYTES)
                data = file.read()
        except OSError as error:
            if error.args[0] != errno.ENOENT:
                self.corrupt += 1
            return None
        if not head:  # a file that was opened for its first content and never got it
            return None
        if len(head) == _HEADER_BYTES and head == self._header(data):
            return data
        self.corrupt += 1
        return None

    def save(self, name, data):
        """Replace the content of `name`: all or nothing. Raises OSError, and then the old content stands."""
        path = self._path(name)
        with open(path + ".new", "wb") as file:
            for part in (self._header(data), data):
                if file.write(part) != len(part):  # a full disk may take a part without complaining
                    raise OSError(_ENOSPC)
        os.rename(path + ".new", path)  # after the close, which writes; never a remove before it

    def _header(self, data):
        return struct.pack(_HEADER, _MAGIC, _VERSION, len(data), binascii.crc32(data))
