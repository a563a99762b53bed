"""The sensors of a sleeping node: which are read in this wake, and their readings."""

import binascii

from lending import load

_SLOW_MS = 5_000  # no sensor measures this long: all have been read
_ALL_DAY_S = 86_400


class Senses:
    """What the configuration makes of this wake. `period_s`: between two wakes, the shortest interval of a sensor;
    `sensors`: (name, quantities), by the index that readings have; `announced`: (name, quantities, the longest time in
    seconds between two readings) of those that work; `silence_s`: how long all of them may have nothing new to say;
    `quiet`: they have nothing now. `fetch` loads what is seldom needed."""

    def __init__(self, board, config, kept, fetch):
        self._board = board
        self._fetch = fetch
        self._kept = kept
        self.sensors = []
        self.announced = []
        self._due = []
        self._said = []  # (index, driver with a deadband, what it has said as it was restored)
        self.quiet = False
        common_s = config["telemetry"]["interval_s"]
        self._options = options = config["sensors"]
        self.period_s = min([options[name].get("interval_s") or common_s for name in options] or [common_s])
        marks = []
        for name in sorted(options):
            self._add(name, options[name], options[name].get("interval_s") or common_s)
            marks.append("%s %s %s" % (name, options[name]["driver"], options[name].get("kind")))
        silence_s = min([longest_s for _, _, longest_s in self.announced] or [self.period_s])
        self.silence_s = (silence_s + self.period_s - 1) // self.period_s * self.period_s
        self._forget_others(binascii.crc32("\n".join(marks).encode()))

    def _add(self, name, options, interval_s):
        quantities = ()
        try:
            driver, longest_s = self._driver(options, interval_s)
            quantities = driver.quantities
            self.announced.append((name, quantities, longest_s))
            every = max(1, round(interval_s / self.period_s))  # wakes
            if (self._kept.wakes - 1) % every == 0 or self._board.woken_by_pin:
                self._due.append((driver, len(self.sensors), _ALL_DAY_S))
        except (ImportError, OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            self._board.log("! sensor %s: %s %s" % (name, type(error).__name__, error))
        self.sensors.append((name, quantities))

    def _driver(self, options, interval_s):
        """The driver, behind a firmware.quiet.Quiet that goes on where the last wake ended when it has a deadband; and
        the longest time in seconds between two readings."""
        if options.get("deadband") is None:
            return load("firmware.drivers." + options["driver"]).Driver(self._board, options), interval_s
        slots, index = self._fetch("firmware.slots"), len(self.sensors)
        driver = slots.driver(load, self._board, options, self._fetch, self._board.clock_ms)
        if hasattr(driver, "said"):
            if index in self._kept.said and not self._board.woken_by_pin:
                values, at_s = self._kept.said[index]
                driver.said = values, 1000 * at_s - 100 * self.period_s  # a wake may be a little early
            self._said.append((index, driver, driver.said))
        return driver, slots.silence_s(options, interval_s)

    def _forget_others(self, mark):
        """Readings of a list of sensors that is no more have lost their names: they are dropped, and counted."""
        kept = self._kept
        if kept.sensors != mark:
            kept.dropped += len(kept.readings)
            kept.readings = []
            kept.said = {}
            kept.sensors = mark

    def shed(self):
        """In an outage: drop, and count, what is not to wait for its end."""
        if self._kept.fails:
            self._kept.shed([self._options[name].get("keep") or "all" for name, _ in self.sensors])

    async def measure(self, make_sampler, clock):
        """Read each sensor that is due once, with a firmware.sampler.Sampler; returns the readings."""
        board, kept = self._board, self._kept

        def take(index, values):
            kept.add(index, values, board.time_s(), board.clock_ms() // 1000)

        before, wait = len(kept.readings), 0
        sampler = make_sampler(clock, take, board.flag().set)
        sampler.build(self._due, clock())
        while wait < _SLOW_MS:
            await board.sleep_ms(wait)
            wait = max(0, sampler.turn(clock()))
        for cause in sampler.rejected:
            setattr(kept, cause, getattr(kept, cause) + sampler.rejected[cause])
        for index, driver, restored in self._said:
            if driver.said is not restored:
                kept.said[index] = driver.said[0], driver.said[1] // 1000
        kept.unchanged += sampler.unchanged
        self.quiet = 0 < len(self._due) == sampler.unchanged
        return kept.readings[before:]
