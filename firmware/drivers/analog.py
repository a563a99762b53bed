"""A voltage at an analog input: as it is, as soil moisture, or as the charge of a battery."""


class Driver:
    """Options: pin, kind ("voltage" | "soil" | "battery"), divider (source voltage / pin voltage, 1),
    low_mv and high_mv: the source's millivolts at 0 % and at 100 % (soil 2800, 1200; battery 3300, 4200).
    """

    NEEDS_PIN = True
    KINDS = ("voltage", "soil", "battery")

    def __init__(self, board, options):
        self._board = board
        self._pin = options.get("pin")
        self._divider = options.get("divider") or 1
        self._kind = options.get("kind")
        low_mv, high_mv = (2800, 1200) if self._kind == "soil" else (3300, 4200)
        self._low_mv = _either(options.get("low_mv"), low_mv)
        self._high_mv = _either(options.get("high_mv"), high_mv)
        # Full scale of the ESP32's converter, and a little over.
        volts = ("voltage", "m", "V", 3, "voltage", 0, 3.6 * self._divider)
        if self._kind == "soil":
            self.quantities = (("moisture", "m", "%", 1, "moisture", 0, 100),)
        elif self._kind == "battery":
            self.quantities = (("battery", "m", "%", 0, "battery", 0, 100), volts)
        else:
            self.quantities = (volts,)

    def start(self):
        """Nothing to wait for; ValueError when the two points of the calibration are one."""
        if self._low_mv == self._high_mv:
            raise ValueError("low_mv is high_mv")
        self._adc = self._board.adc(self._pin)
        return 0

    def read(self):
        """(V,), (% moisture,) or (% charge, V): the mean of eight conversions, since an ESP32's are noisy."""
        total_uv = 0
        for _ in range(8):
            total_uv += self._adc.read_uv()
        volts = total_uv * self._divider / 8e6
        percent = (volts * 1000 - self._low_mv) * 100 / (self._high_mv - self._low_mv)
        # A little beyond its calibration a sensor is at the end of its scale; far beyond, it is not there.
        if -10 < percent < 110:
            percent = min(max(percent, 0), 100)
        if self._kind == "battery":
            return percent, volts
        return (percent if self._kind == "soil" else volts,)


def _either(value, default):
    return default if value is None else value
