"""No client: packets made by hand, no error handling. What the interpreter and the link allow."""

import socket

from load import CLIENT, PAYLOAD, READINGS, STATUS, TOPIC

LOOP = False
CONNECT = b"\x10\x11\x00\x04MQTT\x04\x02\x00\x3c\x00\x05" + CLIENT.encode()
QOS0 = b"\x30\x6f\x00\x09" + TOPIC + PAYLOAD
QOS1 = b"\x32\x71\x00\x09" + TOPIC + b"\x00\x01" + PAYLOAD
RETAINED = b"\x33\x13\x00\x09" + STATUS + b"\x00\x06sleeping"
ID_AT = 13  # in QOS1
DISCONNECT = b"\xe0\x00"
PUBACK_BYTES = CONNACK_BYTES = 4
BLOCK = 64  # messages of one write


class Bench:
    callback = awaited = None  # nothing waits for a message of its own

    def __init__(self, host, port):
        self._address = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)[0][-1]
        self._id = 0

    def _open(self, first):
        self._sock = socket.socket()
        self._sock.connect(self._address)
        self._sock.setsockopt(6, 1, 1)  # TCP, NODELAY
        self._sock.write(first)

    async def connect(self):
        self._open(CONNECT)
        self._sock.read(CONNACK_BYTES)

    async def disconnect(self):
        self._sock.write(DISCONNECT)
        self._sock.close()

    async def publish0(self, count):
        write = self._sock.write
        for _ in range(count):
            write(QOS0)

    async def publish1(self, count, until_ms):
        """All at once: acknowledgements of a few thousand fit into what TCP keeps."""
        size = len(QOS1)
        block = bytearray(QOS1 * min(BLOCK, count))
        left = count
        while left:
            number = min(left, BLOCK)
            for at in range(ID_AT, number * size, size):
                self._id = self._id % 65_535 + 1
                block[at] = self._id >> 8
                block[at + 1] = self._id & 255
            self._sock.write(memoryview(block)[: number * size])
            left -= number
        self._sock.read(count * PUBACK_BYTES)
        return count

    async def wake(self):
        readings = bytearray(QOS1 * READINGS)
        for number in range(READINGS):
            readings[number * len(QOS1) + ID_AT + 1] = number + 1
        self._open(CONNECT + readings + RETAINED)
        self._sock.read(CONNACK_BYTES + (READINGS + 1) * PUBACK_BYTES)
        await self.disconnect()
