"""A first-in, first-out ring of records of one size, in one buffer that is allocated once.

Records begin with a number (four bytes, the highest first); only `insert` looks at it.
"""


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

    def insert(self, record):
        """Add a record where its number belongs; True when the oldest, perhaps this one, had to go for it."""
        if not self._count or record[:4] < self._get(0)[:4]:
            return self.push_front(record)
        full = self.push(record)
        at = self._count - 1
        while at and record[:4] < self._get(at - 1)[:4]:
            self._put(self._first + at, self._get(at - 1))
            at -= 1
        self._put(self._first + at, record)
        return full

    def pop(self):
        """Remove and return the oldest record as bytes. Raises IndexError when there is none."""
        if not self._count:
            raise IndexError("empty")
        record = self._get(0)
        self._first = (self._first + 1) % self.slots
        self._count -= 1
        return record

    def views(self, count):
        """The oldest `count` records where they lie, as one or two memoryviews that hold until the next change."""
        view, start = memoryview(self._buffer), self._first * self.size
        rest = self._first + count - self.slots
        if rest <= 0:
            return [view[start : start + count * self.size]]
        return [view[start:], view[: rest * self.size]]

    def _get(self, number):
        at = (self._first + number) % self.slots * self.size
        return bytes(memoryview(self._buffer)[at : at + self.size])

    def _put(self, slot, record):
        if len(record) != self.size:
            raise ValueError("record size")
        at = slot % self.slots * self.size
        self._buffer[at : at + self.size] = record
