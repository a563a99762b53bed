"""Serves simulated buses to a process that has a `tools.host.wire.Wire`; the frames are described there.

One end of `socket.socketpair()` goes to the node, which inherits its descriptor and is told the number; a
thread or a process of its own serves the other. It ends when the node does.
"""

LOST = 5  # EIO, for an OSError that has no number


def serve(buses, connection):
    """Answer requests until the other end closes. A chip's AssertionError, a driver's fault, ends it too."""
    desk = Desk(buses)
    with connection, connection.makefile("rb") as requests:
        try:
            while len(head := requests.read(6)) == 6:
                connection.sendall(_frame(desk, head, requests.read(head[4])))
        except (BrokenPipeError, ConnectionResetError):
            return  # the node was killed in the middle of a call


def _frame(desk, head, data):
    """The whole reply to a request, an OSError of the chip's as its number."""
    try:
        reply = desk.answer(head, data)
        return bytes((0, len(reply))) + reply
    except OSError as error:
        return bytes((error_number(error), 0))


def error_number(error):
    """An OSError's number as one byte."""
    number = error.args[0] if error.args else None
    return number if isinstance(number, int) and 0 < number < 256 else LOST


class Desk:
    """Turns a request into a call, and what comes back into bytes."""

    def __init__(self, buses):
        self._buses = buses
        self._changed = []

    def answer(self, head, data):
        """The reply's bytes to a head of six bytes and the data after it; OSError as the chip raises it."""
        letter, number, address, register, _, size = head
        call = CALLS.get(chr(letter))
        if call is None:
            raise ValueError(f"wire: unknown letter {letter}")
        buf = bytearray(size)
        reply = call(self, number, buf, data, address, register)
        return bytes(buf if reply is None else reply)

    def i2c_read(self, number, buf, data, address, register):
        self._buses.i2c(number).readfrom_into(address, buf)

    def i2c_read_register(self, number, buf, data, address, register):
        self._buses.i2c(number).readfrom_mem_into(address, register, buf)

    def i2c_write(self, number, buf, data, address, register):
        self._buses.i2c(number).writeto(address, data)

    def i2c_write_register(self, number, buf, data, address, register):
        self._buses.i2c(number).writeto_mem(address, register, data)

    def i2c_scan(self, number, *_):
        return self._buses.i2c(number).scan()

    def pin_value(self, number, buf, data, *_):
        if data:
            self._buses.output_pin(number).value(data[0])
            return data
        return [self._buses.input_pin(number).value()]

    def pin_interrupt(self, number, *_):
        self._buses.input_pin(number).irq(lambda _pin: self._changed.append(number))

    def poll(self, *_):
        self._buses.poll()
        changed, self._changed = self._changed, []
        return changed

    def adc(self, number, *_):
        return self._buses.adc(number).read_uv().to_bytes(4, "little")

    def onewire_reset(self, number, *_):
        return [self._buses.onewire(number).reset()]

    def onewire_write(self, number, buf, data, *_):
        self._buses.onewire(number).write(data)

    def onewire_read(self, number, buf, *_):
        self._buses.onewire(number).readinto(buf)

    def onewire_scan(self, number, *_):
        return b"".join(self._buses.onewire(number).scan())

    def dht(self, number, buf, *_):
        self._buses.dht(number).measure(buf)


CALLS = {
    "r": Desk.i2c_read,
    "R": Desk.i2c_read_register,
    "w": Desk.i2c_write,
    "W": Desk.i2c_write_register,
    "s": Desk.i2c_scan,
    "v": Desk.pin_value,
    "i": Desk.pin_interrupt,
    "p": Desk.poll,
    "a": Desk.adc,
    "0": Desk.onewire_reset,
    "1": Desk.onewire_write,
    "2": Desk.onewire_read,
    "3": Desk.onewire_scan,
    "d": Desk.dht,
}
