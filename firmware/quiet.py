"""Report by exception: a driver that speaks only when there is something new. Loaded where a sensor has a deadband."""

_HEARTBEAT_S = 600  # unless the configuration says another
_ROUNDING = 1.000001  # 20.3 - 20.1 is less than 0.2


class Quiet:
    """Stands before `driver`: `read` gives None while every value is nearer to the last reported one than `deadband`
    (0: while all are the same), but not for longer than `heartbeat_s`. `clock()` is milliseconds that go on. `said` is
    (what was last reported, when by `clock`), None when the next reading passes, whatever it is."""

    def __init__(self, driver, deadband, heartbeat_s, clock):
        self.quantities = driver.quantities
        self.start = driver.start
        self._driver = driver
        self._deadband = deadband
        self._heartbeat_ms = 1000 * (heartbeat_s or _HEARTBEAT_S)
        self._clock = clock
        self.said = None

    @property
    def notify(self):
        """Where the driver reports that something happened."""
        return self._driver.notify

    @notify.setter
    def notify(self, notify):
        self._driver.notify = notify

    def speak(self):
        """Let the next reading pass, whatever it is."""
        self.said = None

    def read(self):
        """The driver's values, or None. Raises what the driver does."""
        values = self._driver.read()
        now = self._clock()
        if self.said and 0 <= now - self.said[1] < self._heartbeat_ms and not self._differs(values, self.said[0]):
            return None
        self.said = values, now
        return values

    def _differs(self, values, reported):
        for value, said in zip(values, reported):
            if value is None or said is None:
                if value is not said:
                    return True
            elif value != said and not abs(value - said) * _ROUNDING < self._deadband:  # NaN differs, too
                return True
        return False
