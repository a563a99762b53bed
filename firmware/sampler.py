"""Reads each sensor at its own period and hands readings on. The configuration names the drivers; no list of them."""

_IDLE_MS = 60_000
_SOON_MS = 10_000
_SETTLE_MS = 1_000  # a chip whose driver is replaced finishes its measurement first: the longest takes 0.75 s


class Probe:
    """One sensor: its driver, its period, and when it is due (milliseconds of uptime)."""

    def __init__(self, driver, wake, rest_ms):
        self.driver = driver
        self._wake = wake
        self.rest_ms = rest_ms  # not before: another driver of the chip may have left it measuring
        self.index = 0
        self.interval_ms = 0
        self.due_ms = rest_ms
        self.begun_ms = 0
        self.started = False

    def notify(self):
        """A reading is due at once. Runs in an interrupt: only assigns."""
        if not self.started:
            self.due_ms = self.rest_ms
        self._wake()


class Sampler:
    """`take(index, values)` is called with each reading; `rejected` counts by cause what never became one, `unchanged`
    what drivers had nothing new to say of (see firmware/quiet.py).

    `clock()` is the uptime in milliseconds; `wake()` is called from an interrupt when a driver wants a turn at once.
    """

    def __init__(self, clock, take, wake):
        self._clock = clock
        self._take = take
        self._wake = wake
        self._probes = []
        self.rejected = {"missing": 0, "bad": 0, "range": 0}
        self.unchanged = 0
        self.again_ms = 0  # all are sampled once more at this uptime, but for those whose turn comes soon; 0: not again

    def build(self, drivers, now):
        """Replace the probes: `drivers` is a list of (driver, index, interval in seconds)."""
        busy = [probe for probe in self._probes if probe.started or probe.rest_ms > now]
        old = {id(probe.driver): probe for probe in self._probes}
        self._probes = []
        for driver, index, interval_s in drivers:
            probe = old.get(id(driver)) or Probe(driver, self._wake, now + _SETTLE_MS if busy else 0)
            probe.index = index
            probe.interval_ms = 1000 * interval_s
            driver.notify = probe.notify
            self._probes.append(probe)

    def sample(self, later=0):
        """Make every sensor due now, with something new or not; one that is due by itself up to `later` (milliseconds
        of uptime) is left to it."""
        for probe in self._probes:
            getattr(probe.driver, "speak", int)()
            if not probe.started and probe.due_ms > later:
                probe.due_ms = probe.rest_ms

    def turn(self, now):
        """Do what is due at `now` (milliseconds of uptime); returns milliseconds until the next is."""
        wait = _IDLE_MS
        if self.again_ms:
            wait = self.again_ms - now
            if wait <= 0:
                self.again_ms = 0
                self.sample(now + _SOON_MS)
        for probe in self._probes:
            if now >= probe.due_ms:
                self._step(probe, now)
            wait = min(wait, probe.due_ms - now)
        return wait

    def _step(self, probe, now):
        """Start a measurement, or fetch the one that was started; set when the probe is due next."""
        try:
            if not probe.started:
                wait = probe.driver.start()
                probe.started = True
                late = now - probe.due_ms
                # Keeps its beat, and skips what it missed.
                probe.begun_ms = probe.due_ms if late < probe.interval_ms else now
                probe.due_ms = self._clock() + wait  # not from `now`: to start may have taken a while
                if wait:
                    return
            probe.started = False
            probe.due_ms = max(now, probe.begun_ms + probe.interval_ms)
            values = probe.driver.read()
        except (OSError, ValueError, TypeError) as error:  # TypeError: a pin that the configuration left out
            self.rejected["missing" if isinstance(error, OSError) else "bad"] += 1
            probe.started = False
            probe.due_ms = now + probe.interval_ms
            return
        if values is None:
            self.unchanged += 1
            return
        values = self._believable(probe.driver.quantities, values)
        if values:
            self._take(probe.index, values)

    def _believable(self, quantities, values):
        """Values with None for what the quantity cannot be; None when nothing is left (NaN is never in range)."""
        good = []
        some = False
        for value, quantity in zip(values, quantities):
            if value is not None and not quantity[5] <= value <= quantity[6]:
                self.rejected["range"] += 1
                value = None
            some = some or value is not None
            good.append(value)
        return good if some else None
