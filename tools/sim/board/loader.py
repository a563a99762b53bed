"""The other end of esptool: the ROM loader's serial protocol, and the flasher stub's once one was started.

Source: Espressif, "Serial Protocol" in the documentation of esptool. A packet is framed by SLIP (RFC 1055):
direction, command, length (2), checksum or value (4), data; all little endian.
"""

import functools
import hashlib
import operator
import struct
import zlib

from tools.sim.board.flash import SECTOR_BYTES

_END = b"\xc0"
_SEED = 0xEF  # of the checksum over the data of a block

OK = 0
INVALID, FAILED, CHECKSUM, READ_LENGTH, INFLATE = 0x05, 0x06, 0x07, 0x09, 0x0B


def slip(data):
    """A frame."""
    escaped = data.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc")
    return b"\xc0" + escaped + b"\xc0"


class Loader:
    """From a reset in download mode to the next reset. `send(bytes)` is the line, `run()` boots what is flashed;
    `baud(rate)` hears of a new speed.

    `faults` collects what was said to it that a running program should have been told.
    """

    def __init__(self, chip, registers, flash, send, run, baud):
        self._chip = chip
        self._registers = registers
        self._flash = flash
        self._send = send
        self._run = run
        self._baud = baud
        self.stub = False
        self.faults = []
        self._frame = None
        self._stray = b""
        self._write = None  # the write under way
        self._reading = None

    def feed(self, data):
        """Bytes from the host."""
        pieces = data.split(_END)
        for number, piece in enumerate(pieces):
            if number:  # there was a border before it
                frame, self._frame = self._frame, b""
                if frame:
                    self._frame = None
                    self._receive(frame.replace(b"\xdb\xdc", b"\xc0").replace(b"\xdb\xdd", b"\xdb"))
            if self._frame is None:
                self._note_stray(piece)
            else:
                self._frame += piece

    def _note_stray(self, data):
        self._stray = self._stray[-1:] + data
        if b"\r\x03" in self._stray:
            self.faults.append("somebody looked for a prompt in the loader: the reset is missing")

    def _receive(self, frame):
        if self._reading is not None:
            return self._read_on(frame)
        if len(frame) < 8 or frame[0] != 0:
            return None
        command, length, checksum = struct.unpack("<xBHI", frame[:8])
        data = frame[8:]
        handler = _COMMANDS.get(command)
        if len(data) != length or handler is None or (handler in _STUB_ONLY and not self.stub):
            return self._answer(command, INVALID)
        if command in _BLOCKS and _sum(data[16:]) != checksum & 0xFF:
            return self._answer(command, CHECKSUM)
        result = handler(self, data)
        if result is None:
            return None
        status, value, body = result if isinstance(result, tuple) else (result, 0, b"")
        return self._answer(command, status, value, body)

    def _answer(self, command, status, value=0, body=b""):
        tail = bytes((1, status)) if status else bytes(2)
        if not self.stub:
            tail += bytes(2)
        body += tail
        self._send(slip(struct.pack("<BBHI", 1, command, len(body), value) + body))

    def _sync(self, data):
        if data != b"\x07\x07\x12\x20" + b"U" * 32:
            return INVALID
        for _ in range(7):
            self._answer(0x08, OK, 0 if self.stub else 0x20120707)
        return OK, 0 if self.stub else 0x20120707, b""

    def _read_register(self, data):
        return OK, self._registers.read(int.from_bytes(data[:4], "little")), b""

    def _write_register(self, data):
        self._registers.write(*struct.unpack("<III", data[:12]))
        return OK

    def _security(self, data):
        return INVALID if self._chip.security_info is None else (OK, 0, self._chip.security_info)

    def _ok(self, data):
        return OK

    def _mem_end(self, data):
        stays, entry = struct.unpack("<II", data[:8])
        self._answer(0x06, OK)
        if not stays and entry:
            self.stub = True
            self._send(slip(b"OHAI"))

    def _change_baud(self, data):
        new, _ = struct.unpack("<II", data[:8])
        self._answer(0x0F, OK)
        self._baud(new)

    def _flash_begin(self, data):
        return self._begin(data, None)

    def _defl_begin(self, data):
        return self._begin(data, zlib.decompressobj())

    def _begin(self, data, inflate):
        size, blocks, block, offset = struct.unpack("<IIII", data[:16])
        if size and (offset % SECTOR_BYTES or offset + size > self._flash.size_bytes):
            return FAILED
        self._write = Write(self._flash, offset, size, blocks, block, inflate)
        if not self.stub:  # the stub erases as it goes
            self._write.erase_all()
        return OK

    def _data(self, data):
        length, sequence = struct.unpack("<II", data[:8])
        if self._write is None or len(data) - 16 != length:
            return READ_LENGTH
        return self._write.take(sequence, data[16:])

    def _end(self, data):
        self._write = None
        if int.from_bytes(data[:4], "little") == 0:
            self._answer(0x04, OK)
            self._run()
            return None
        return OK

    def _md5(self, data):
        offset, size = struct.unpack("<II", data[:8])
        digest = hashlib.md5(self._flash.read(offset, size))
        return OK, 0, digest.digest() if self.stub else digest.hexdigest().encode()

    def _erase_flash(self, data):
        self._flash.erase(0, self._flash.size_bytes)
        return OK

    def _erase_region(self, data):
        offset, size = struct.unpack("<II", data[:8])
        if offset % SECTOR_BYTES or size % SECTOR_BYTES:
            return FAILED
        self._flash.erase(offset, size)
        return OK

    def _read_flash(self, data):
        offset, size, block, window = struct.unpack("<IIII", data[:16])
        self._answer(0xD2, OK)
        content = self._flash.read(offset, size)
        self._reading = [content[at:at + block] for at in range(0, len(content), block)], len(content), content
        self._send(b"".join(map(slip, self._reading[0][:window])))
        self._reading = self._reading[0][window:], *self._reading[1:]

    def _read_on(self, frame):
        """An acknowledgement: how many bytes have arrived."""
        blocks, total, content = self._reading
        if int.from_bytes(frame[:4], "little") >= total:
            self._reading = None
            self._send(slip(hashlib.md5(content).digest()))
        elif blocks:
            self._send(slip(blocks[0]))
            self._reading = blocks[1:], total, content

    def _run_user_code(self, data):
        self._run()


class Write:
    """One write under way: blocks in sequence, inflated where they are compressed, erased ahead by the stub."""

    def __init__(self, flash, offset, size, blocks, block_bytes, inflate):
        self._flash = flash
        self._at = self._erased = offset
        self._end = offset + size
        self._blocks = blocks
        self._block_bytes = block_bytes
        self._inflate = inflate
        self._next = 0

    def erase_all(self):
        self._erase_to(self._end)

    def take(self, sequence, block):
        """Program a block; returns a status."""
        if sequence != self._next or sequence >= self._blocks or len(block) > self._block_bytes:
            return FAILED
        self._next += 1
        if self._inflate:
            try:
                block = self._inflate.decompress(block)
            except zlib.error:
                return INFLATE
        self._erase_to(min(self._at + len(block), self._end))
        self._flash.program(self._at, block)
        self._at += len(block)
        return OK

    def _erase_to(self, end):
        if end > self._erased:
            length = -(-(end - self._erased) // SECTOR_BYTES) * SECTOR_BYTES
            self._flash.erase(self._erased, length)
            self._erased += length


def _sum(data):
    return functools.reduce(operator.xor, data, _SEED)


_COMMANDS = {
    0x02: Loader._flash_begin, 0x03: Loader._data, 0x04: Loader._end,
    0x05: Loader._ok, 0x06: Loader._mem_end, 0x07: Loader._ok,
    0x08: Loader._sync, 0x09: Loader._write_register, 0x0A: Loader._read_register,
    0x0B: Loader._ok, 0x0D: Loader._ok, 0x0F: Loader._change_baud,
    0x10: Loader._defl_begin, 0x11: Loader._data, 0x12: Loader._end, 0x13: Loader._md5, 0x14: Loader._security,
    0xD0: Loader._erase_flash, 0xD1: Loader._erase_region, 0xD2: Loader._read_flash, 0xD3: Loader._run_user_code,
}
_STUB_ONLY = (Loader._erase_flash, Loader._erase_region, Loader._read_flash, Loader._run_user_code)
_BLOCKS = (0x03, 0x07, 0x11)
