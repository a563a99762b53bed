"""Buses and pins of another process, over one descriptor, so that a small heap need not hold their chips.

A request is six bytes: letter, number of the bus or pin, I2C address, register, how many bytes follow, how
many are wanted; then those that follow. The reply is two bytes, error number (0: none) and count, then that
many bytes. Every call waits for its reply. Interrupts are fetched: while a pin has a handler, somebody calls
`poll()` every 20 to 100 ms. The other end, with the table of letters, is tools/sim/wire_server.py.
"""

# The letters, as numbers: the heap keeps every short text for good.
_SCAN = 0x73
_WRITE = 0x77
_READ = 0x72
_WRITE_REGISTER = 0x57
_READ_REGISTER = 0x52
_VALUE = 0x76
_INTERRUPT = 0x69
_POLL = 0x70
_ADC = 0x61
_DHT = 0x64
_RESET_1W = 0x30
_WRITE_1W = 0x31
_READ_1W = 0x32
_SCAN_1W = 0x33


class Wire:
    """`descriptor`: an inherited socket. Everything raises what the chip would: OSError."""

    def __init__(self, descriptor):
        self._file = open(descriptor, "r+b", 0)
        self.handlers = {}

    def onewire(self, number):
        return _OneWire(self, number)

    def input_pin(self, number, pull=None):
        return _Port(self, number)

    i2c = output_pin = adc = dht = input_pin

    def poll(self):
        """Call the handlers of the pins that changed since the last time."""
        if self.handlers:
            for number in self.ask(_POLL, 0):
                self.handlers[number](_Port(self, number))

    def ask(self, letter, number, data=b"", size=0, address=0, register=0):
        """Send a request, wait, and return the reply's bytes."""
        self._file.write(bytes((letter, number, address, register, len(data), size)) + data)
        status, count = self._read(2)
        if status:
            raise OSError(status)
        return self._read(count)

    def _read(self, size):
        data = b""
        while len(data) < size:
            more = self._file.read(size - len(data))
            if not more:
                raise OSError(5)  # the other process is gone
            data += more
        return data


class _Port:
    """A bus or pin of any kind but 1-Wire: one class costs less heap than one for each."""

    def __init__(self, wire, number):
        self._ask = wire.ask
        self._handlers = wire.handlers
        self._number = number

    def scan(self):
        return list(self._ask(_SCAN, self._number))

    def writeto(self, address, buf):
        self._ask(_WRITE, self._number, buf, 0, address)

    def readfrom_into(self, address, buf):
        buf[:] = self._ask(_READ, self._number, b"", len(buf), address)

    def writeto_mem(self, address, register, buf):
        self._ask(_WRITE_REGISTER, self._number, buf, 0, address, register)

    def readfrom_mem_into(self, address, register, buf):
        buf[:] = self._ask(_READ_REGISTER, self._number, b"", len(buf), address, register)

    def value(self, *level):
        return self._ask(_VALUE, self._number, bytes(level))[0]

    def irq(self, handler):
        self._ask(_INTERRUPT, self._number)
        self._handlers[self._number] = handler

    def read_uv(self):
        return int.from_bytes(self._ask(_ADC, self._number), "little")

    def measure(self, buf):
        buf[:] = self._ask(_DHT, self._number, b"", 5)


class _OneWire(_Port):
    def reset(self):
        return self._ask(_RESET_1W, self._number) != b"\0"

    def write(self, buf):
        self._ask(_WRITE_1W, self._number, buf)

    def readinto(self, buf):
        buf[:] = self._ask(_READ_1W, self._number, b"", len(buf))

    def scan(self):
        roms = self._ask(_SCAN_1W, self._number)
        return [roms[at : at + 8] for at in range(0, len(roms), 8)]
