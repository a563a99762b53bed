"""The sensors of a sleeping node: which are read in this wake, and their readings."""

import binascii

from lending import load

_SLOW_MS = 5_000  # no sensor measures this long: all have been read
_ALL_DAY_S = 86_400


class Senses:
    """What the configuration makes of this wake. `period_s`: between two wakes, the shortest interval of a sensor;
    `sensors`: (name, quantities), by the index that readings have; `announced`: (name, quantities, interval in seconds)
    of those that work."""

    def __init__(self, board, config, kept):
        self._board = board
        self._kept = kept
        self.sensors = []
        self.announced = []
        self._due = []
        common_s = config["telemetry"]["interval_s"]
        options = config["sensors"]
        self.period_s = min([options[name].get("interval_s") or common_s for name in options] or [common_s])
        marks = []
        for name in sorted(options):
            self._add(name, options[name], options[name].get("interval_s") or common_s)
            marks.append("%s %s %s" % (name, options[name]["driver"], options[name].get("kind")))
        self._forget_others(binascii.crc32("\n".join(marks).encode()))

    def _add(self, name, options, interval_s):
        quantities = ()
        try:
            driver = load("firmware.drivers." + options["driver"]).Driver(self._board, options)
            quantities = driver.quantities
            self.announced.append((name, quantities, interval_s))
            every = max(1, round(interval_s / self.period_s))  # wakes
            if (self._kept.wakes - 1) % every == 0 or self._board.woken_by_pin:
                self._due.append((driver, len(self.sensors), _ALL_DAY_S))
        except (ImportError, OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            self._board.log("sensor %s: %s %s" % (name, type(error).__name__, error))
        self.sensors.append((name, quantities))

    def _forget_others(self, mark):
        """Readings of a list of sensors that is no more have lost their names: they are dropped, and counted."""
        kept = self._kept
        if kept.sensors != mark:
            kept.dropped += len(kept.readings)
            kept.readings = []
            kept.sensors = mark

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
        return kept.readings[before:]
