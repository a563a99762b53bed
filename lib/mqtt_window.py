"""Which QoS 1 publishes are in flight: packet ids, their tokens, and how long each has waited. No I/O, no clock."""


class Window:
    """At most `size` at once. Acknowledgements come in order (MQTT 3.1.1, 4.6), so that packet n waits in slot
    n % size, and a slot that is still taken means that all are."""

    def __init__(self, size):
        self._tokens = [None] * size
        self._ids = [0] * size
        self._ages = [0] * size
        self.next_id = 1

    def take_id(self):
        """The next packet id, which is never zero (2.3.1)."""
        number = self.next_id
        self.next_id = number % 65_535 + 1
        return number

    def full(self):
        """Whether `begin` has to wait."""
        return self._tokens[self.next_id % len(self._tokens)] is not None

    def begin(self, token):
        """Let `token` wait for its acknowledgement; returns its packet id."""
        number = self.take_id()
        slot = number % len(self._tokens)
        self._tokens[slot] = token
        self._ids[slot] = number
        self._ages[slot] = 0
        return number

    def waits(self, number):
        """Whether packet `number` is in flight."""
        slot = number % len(self._tokens)
        return self._tokens[slot] is not None and self._ids[slot] == number

    def end(self, number):
        """Free packet `number`, which waits; returns its token."""
        slot = number % len(self._tokens)
        token, self._tokens[slot] = self._tokens[slot], None
        return token

    def age(self):
        """Count one more tick for each that waits; returns the highest count."""
        oldest = 0
        for slot in range(len(self._tokens)):
            if self._tokens[slot] is not None:
                self._ages[slot] += 1
                oldest = max(oldest, self._ages[slot])
        return oldest

    def tokens(self):
        """The tokens that wait, in the order in which they began."""
        order = sorted([((number - self.next_id) % 65_535, slot) for slot, number in enumerate(self._ids)])
        return [self._tokens[slot] for _, slot in order if self._tokens[slot] is not None]
