"""What tells one chip from another in the ROM loader's protocol. Addresses come from esptool's own tables."""

from collections import namedtuple

from esptool.targets import CHIP_DEFS

Chip = namedtuple("Chip", "name security_info model boot_offset banner")
Chip.__doc__ = """One kind of chip: esptool's name; the answer to GET_SECURITY_INFO (None: its ROM has none);
`model` as MicroPython calls it; where its ROM looks for the second bootloader; how its ROM greets."""

_XTAL_DIVIDER_40_MHZ = 347  # UART clock divider that autobaud finds at 115200 baud with a 40 MHz crystal
_FLASH_KIND = 0x40EF  # Winbond W25Q; the third byte is the logarithm of the size


def _security_info(name, chip_id):
    """Flags, count, seven key purposes, chip id, version of the interface: little endian. ESP32 does not know the
    command, the answer of ESP32-S2 ends before its id."""
    begin, end = bytes(12), chip_id.to_bytes(4, "little") + bytes(4)
    return {"esp32": None, "esp32s2": begin}.get(name, begin + end)


def _chip(name, model, banner):
    rom = CHIP_DEFS[name]
    return Chip(name, _security_info(name, rom.IMAGE_CHIP_ID), model, rom.BOOTLOADER_FLASH_OFFSET, banner)


CHIPS = {
    "esp32": _chip("esp32", "Generic ESP32 module with ESP32", "ets Jul 29 2019 12:21:46"),
    "esp32s2": _chip("esp32s2", "Generic ESP32S2 module with ESP32S2", "ESP-ROM:esp32s2-rc4-20191025"),
    "esp32s3": _chip("esp32s3", "Generic ESP32S3 module with ESP32S3", "ESP-ROM:esp32s3-20210327"),
    "esp32c3": _chip("esp32c3", "ESP32C3 module with ESP32C3", "ESP-ROM:esp32c3-api1-20210207"),
    "esp32c6": _chip("esp32c6", "ESP32C6 module with ESP32C6", "ESP-ROM:esp32c6-20220919"),
}


class Registers:
    """The registers that esptool looks at; all others are 0."""

    def __init__(self, chip, mac, flash_bytes):
        self._rom = CHIP_DEFS[chip.name]
        self._flash_id = _FLASH_KIND | (flash_bytes.bit_length() - 1) << 16
        self._values = {self._rom.UART_CLKDIV_REG: _XTAL_DIVIDER_40_MHZ}
        if self._rom.USES_MAGIC_VALUE:
            self._values[self._rom.CHIP_DETECT_MAGIC_REG_ADDR] = self._rom.MAGIC_VALUE
        low, high = int.from_bytes(mac[2:], "big"), int.from_bytes(mac[:2], "big")
        first = getattr(self._rom, "MAC_EFUSE_REG", None) or self._rom.EFUSE_RD_REG_BASE + 4
        self._values[first] = low
        self._values[first + 4] = high

    def read(self, address):
        return self._values.get(address, 0)

    def write(self, address, value, mask):
        """A write; the SPI controller's command register carries out what USR2 holds: read the flash's id."""
        rom = self._rom
        self._values[address] = self.read(address) & ~mask | value & mask
        if address == rom.SPI_REG_BASE and value & 1 << 18:
            command = self.read(rom.SPI_REG_BASE + rom.SPI_USR2_OFFS) & 0xFF
            self._values[rom.SPI_REG_BASE + rom.SPI_W0_OFFS] = self._flash_id if command == 0x9F else 0
            self._values[address] = 0
