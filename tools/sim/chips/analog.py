"""What hangs at an analog input: a voltage, a capacitive soil probe, or a battery, behind a divider."""

FULL_SCALE_UV = 3300000


class Chip:
    """`fault`: None, "missing" (no such input), or "shorted" (0 V)."""

    BUS = "adc"

    def __init__(self, world, options, clock_ms):
        self.fault = None
        self._world = world
        self._options = options
        self._quantity = {"soil": "moisture", "battery": "battery"}.get(options.get("kind"), "voltage")

    def read_uv(self):
        """Microvolts at the pin, within what the converter can tell."""
        if self.fault == "missing":
            raise OSError(19)
        if self.fault == "shorted":
            return 0
        uv = self._source_mv() * 1000 / (self._options.get("divider") or 1)
        return min(max(int(uv + 0.5), 0), FULL_SCALE_UV)

    def _source_mv(self):
        value = self._world(self._quantity)
        if self._quantity == "voltage":
            return value * 1000
        points = []
        defaults = (2800, 1200) if self._quantity == "moisture" else (3300, 4200)
        for key, default in zip(("low_mv", "high_mv"), defaults):
            given = self._options.get(key)
            points.append(default if given is None else given)
        return points[0] + (points[1] - points[0]) * value / 100
