"""DS18B20 on a 1-Wire bus: temperature. Source: Maxim data sheet 19-7487, "Memory" and "CRC"."""


def crc8(data):
    """The 1-Wire checksum, x^8+x^5+x^4+1: 0 over a block with its checksum at the end."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x8C if crc & 1 else 0)
    return crc


def celsius(scratchpad):
    """°C from the nine bytes; ValueError for a wrong checksum, silence, or the value the chip wakes up with.

    Only byte 6 tells a true 85.0 °C from the power-on value: the chip wakes up with 0x0C, a true 85 makes
    it 0x10. (Some clones keep 0x0C: of those exactly 85.0 °C is lost.)
    """
    # Nine zeros, a bus held low, have a right checksum; byte 5 of a chip is always 0xFF.
    if crc8(scratchpad) or scratchpad[5] != 0xFF:
        raise ValueError("checksum")
    raw = scratchpad[1] << 8 | scratchpad[0]
    if raw == 0x0550 and scratchpad[6] == 0x0C:
        raise ValueError("power-on value")
    # Below 12 bits of resolution the lowest bits mean nothing.
    return ((raw ^ 0x8000) - 0x8000 & -(8 >> (scratchpad[4] >> 5 & 3))) / 16


class Driver:
    """Options: pin, rom (16 hex digits in the chip's order, 28 first; null: the only chip on the pin)."""

    NEEDS_PIN = True

    def __init__(self, board, options):
        self._board = board
        self._pin = options.get("pin")
        self._rom = options.get("rom")
        self.quantities = (("temperature", "m", "°C", 2, "temperature", -55, 125),)

    def start(self):
        """Convert T at 12 bits: 750 ms at most."""
        self._command(b"\x44")
        return 780

    def read(self):
        """(°C,); ValueError as celsius() says."""
        raw = bytearray(9)
        self._command(b"\xbe").readinto(raw)
        return (celsius(raw),)

    def _command(self, code):
        wire = self._board.onewire(self._pin)
        if not wire.reset():
            raise OSError(19)
        wire.write((b"\x55" + bytes.fromhex(self._rom) if self._rom else b"\xcc") + code)
        return wire
