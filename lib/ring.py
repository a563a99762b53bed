"""A first-in, first-out ring of records of one size, in one buffer that is allocated once."""


class Ring:
    """Holds up to `slots` records of `size` bytes. Adding to a full one drops the oldest and says so."""

    def __init__(self, slots, size):
        self.slots = slots
        self.size = size
        self._buffer = bytearray(slots * size)
        self._first = 0
        self._count = 0

    def __len__(self):
        return self._count

    def push(self, record):
        """Add the newest record; True when the oldest had to go for it. Raises ValueError for another size."""
        self._put(self._first + self._count, record)
        full = self._count == self.slots
        if full:
            self._first = (self._first + 1) % self.slots
        else:
            self._count += 1
        return full

    def push_front(self, record):
        """Give back the oldest record; True when there was no place for it, and it is the one dropped."""
        if self._count == self.slots:
            return True
        self._put(self._first - 1, record)
        self._first = (self._first - 1) % self.slots
        self._count += 1
        return False

    def pop(self):
        """Remove and return the oldest record as bytes. Raises IndexError when there is none."""
        if not self._count:
            raise IndexError("empty")
        at = self._first * self.size
        self._first = (self._first + 1) % self.slots
        self._count -= 1
        return bytes(memoryview(self._buffer)[at : at + self.size])

    def _put(self, slot, record):
        if len(record) != self.size:
            raise ValueError("record size")
        at = slot % self.slots * self.size
        self._buffer[at : at + self.size] = record
