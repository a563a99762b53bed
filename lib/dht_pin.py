"""A DHT at a pin of MicroPython's ESP32 port."""


class Dht:
    """A DHT's five raw bytes; `readinto` is `dht_readinto` of the port's module `dht`."""

    def __init__(self, pin, readinto):
        self._pin = pin
        self._readinto = readinto

    def measure(self, buf):
        self._readinto(self._pin, buf)
