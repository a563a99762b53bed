"""A DS18B20 at byte level (Maxim DS18B20 data sheet 19-7487), with external power."""

from tools.sim.checksum import maxim

POWER_ON = b"\x50\x05\x4b\x46\x7f\xff\x0c\x10"  # 85 °C; a measurement makes byte 6 0x10 - (byte 0 & 15)
CONVERT_MS = (93.75, 187.5, 375, 750)  # longest case, by resolution


class Chip:
    """`rom`: its eight bytes. `fault`: None, "crc", "power-on" (it browns out whenever it measures), or
    "missing" or "stuck" (both seen by the bus)."""

    BUS = "onewire"

    def __init__(self, world, options, clock_ms):
        self.fault = None
        self._world = world
        self._clock_ms = clock_ms
        if options.get("rom"):
            self.rom = bytes.fromhex(options["rom"])
        else:
            serial = b"\x28" + bytes((options.get("pin") or 0,)) + b"mote\0"
            self.rom = serial + bytes((maxim(serial),))
        assert maxim(self.rom) == 0, "ds18b20: wrong checksum in rom " + self.rom.hex()
        self.power_on()

    def power_on(self):
        """85 °C in the scratchpad, and deaf until the bus is reset."""
        self._scratchpad = bytearray(POWER_ON)
        self._ready_ms = None
        self._listen = self._deaf
        self._out = None

    def reset(self):
        """The master's reset pulse: a ROM command follows. A conversion goes on."""
        self._listen = self._rom_command
        self._out = None

    def write(self, byte):
        """One byte from the master."""
        self._settle()
        self._listen(byte)

    def read(self):
        """One byte of read slots: 0xFF when it has nothing to say, 0 while it converts."""
        self._settle()
        if self._out:
            byte, self._out = self._out[0], self._out[1:]
            return byte
        return 0 if self._ready_ms is not None and self._out is not None else 0xFF

    def _deaf(self, byte):
        """Another chip is meant, or nothing may follow."""

    def _done(self, byte):
        raise AssertionError("ds18b20: 0x%02x without a reset" % byte)

    def _rom_command(self, byte):
        if byte == 0x55:
            self._match = b""
            self._listen = self._rom_byte
        elif byte == 0xCC:
            self._listen = self._function
        else:
            raise AssertionError("ds18b20: ROM command 0x%02x" % byte)

    def _rom_byte(self, byte):
        self._match += bytes((byte,))
        if len(self._match) == 8:
            self._listen = self._function if self._match == self.rom else self._deaf

    def _function(self, byte):
        self._listen = self._done
        if byte == 0x44:
            self._ready_ms = self._clock_ms() + CONVERT_MS[self._scratchpad[4] >> 5 & 3]
            self._out = b""
        elif byte == 0xBE:
            frame = bytes(self._scratchpad)
            self._out = frame + bytes((maxim(frame) ^ (self.fault == "crc"),))
        elif byte == 0x4E:
            self._left = 3
            self._listen = self._scratchpad_byte
        else:
            raise AssertionError("ds18b20: function command 0x%02x" % byte)

    def _scratchpad_byte(self, byte):
        """TH, TL and configuration, of which only the resolution can be set."""
        index = 5 - self._left
        self._scratchpad[index] = byte if index < 4 else byte & 0x60 | 0x1F
        self._left -= 1
        if not self._left:
            self._listen = self._done

    def _settle(self):
        if self._ready_ms is None or self._clock_ms() < self._ready_ms:
            return
        self._ready_ms = None
        if self.fault == "power-on":
            self._scratchpad = bytearray(POWER_ON)
            return
        raw = int((self._world("temperature") * 16 + 0.5) // 1)
        # Below 12 bits the lowest bits are undefined: here they are ones.
        raw = (raw | (8 >> (self._scratchpad[4] >> 5 & 3)) - 1) & 0xFFFF
        self._scratchpad[0] = raw & 0xFF
        self._scratchpad[1] = raw >> 8
        self._scratchpad[6] = 0x10 - (raw & 15)
