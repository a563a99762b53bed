"""`network` of a fake ESP32: one station among access points."""

_EVENT_MS = 80  # how late the news of a connection that we ended arrives
_ASSOC_LEAVE = 8
_NO_DHCP_MS = 400  # an association whose address is known


class AccessPoint:
    """`answers_ms` to an association and DHCP; `gives_address` False: a DHCP server that does not answer."""

    def __init__(self, ssid, rssi=-50, password=None, hidden=False, gives_address=True, answers_ms=2500):
        self.ssid = ssid.encode()
        self.bssid = bytes((2, 0, 0, 0, len(ssid), -rssi))
        self.rssi = rssi
        self.password = password
        self.hidden = hidden
        self.gives_address = gives_address
        self.answers_ms = answers_ms


class Network:
    """`network`"""

    STA_IF = 0
    STAT_IDLE = 1000
    STAT_CONNECTING = 1001
    STAT_GOT_IP = 1010

    def __init__(self, esp32):
        self._esp32 = esp32
        self._station = None

    def WLAN(self, interface):
        assert interface == Network.STA_IF
        self._station = self._station or Wlan(self._esp32)
        return self._station


class Wlan:
    """Strict: connecting twice, or with the driver's own retries on, or deaf to broadcasts, is a fault."""

    PM_NONE = 0
    PM_PERFORMANCE = 1
    PM_POWERSAVE = 2

    def __init__(self, esp32):
        self._esp32 = esp32
        self._clock = esp32.clock
        self._active = False
        self._reconnects = -1
        self._began_ms = None
        self._ended_ms = -_EVENT_MS
        self._spoilt = False
        self._password = None
        self._point = None
        self._fixed = None

    def active(self, *on):
        if on and not on[0] and self._active:
            self._esp32.radio_cycles += 1
            self._end()
        if on:
            self._active = bool(on[0])
        return self._active

    def _end(self):
        if self._began_ms is not None:
            self._ended_ms = self._clock.now_ms
        self._began_ms = None

    def config(self, **options):
        """Strict: each goes with esp_wifi_set_config, which fails without a station and while it connects."""
        if not self._active:
            raise OSError("Wifi Would Block")
        assert self.status() != Network.STAT_CONNECTING, "Wifi Internal State Error"
        for name in options:
            if name == "reconnects":
                self._reconnects = options[name]
            elif name == "pm":
                assert options[name] in (self.PM_NONE, self.PM_PERFORMANCE, self.PM_POWERSAVE)
                self._esp32.power_modes.append((options[name], self.isconnected()))
            else:
                raise ValueError("unknown config param")

    def scan(self):
        if not self._active:
            raise OSError("STA must be active")
        self._clock.now_ms += 2000  # it blocks
        return [
            (b"" if ap.hidden else ap.ssid, ap.bssid, 6, ap.rssi, 3 if ap.password else 0, ap.hidden)
            for ap in self._esp32.access_points
        ]

    def connect(self, ssid, key=None, *, bssid=None):
        if not self._active:
            raise OSError("Wifi Not Started")
        if self._began_ms is not None:
            raise OSError("Wifi Internal State Error")
        assert isinstance(ssid, str) and (key is None or isinstance(key, str))
        assert self._reconnects == 0, "the driver would retry by itself"
        modes = self._esp32.power_modes
        assert not modes or modes[-1][0] != self.PM_POWERSAVE, "DHCP answers would be missed"
        self._began_ms = self._clock.now_ms
        self._spoilt = self._began_ms - self._ended_ms < _EVENT_MS
        self._password = key
        self._point = None
        for ap in self._esp32.access_points:
            if ap.ssid == ssid.encode() and bssid in (None, ap.bssid):
                self._point = ap

    def status(self, *what):
        if what:
            assert what == ("rssi",)
            if not self.isconnected():
                raise OSError("Wifi Not Connected")
            return self._point.rssi
        if self._began_ms is None:
            return Network.STAT_IDLE
        passed_ms = self._clock.now_ms - self._began_ms
        if self._spoilt:
            return _ASSOC_LEAVE
        if passed_ms < 300:
            return Network.STAT_IDLE  # before the driver has begun
        return self._outcome(passed_ms)

    def _outcome(self, passed_ms):
        ap = self._point
        if ap is None:
            return 201 if passed_ms > 2000 else Network.STAT_CONNECTING
        if passed_ms < (_NO_DHCP_MS if self._fixed else ap.answers_ms):
            return Network.STAT_CONNECTING
        if ap.password != self._password:
            return 15 if ap.password else 211
        return Network.STAT_GOT_IP if ap.gives_address or self._fixed else Network.STAT_CONNECTING

    def isconnected(self):
        if self._point not in self._esp32.access_points:  # it went away
            self._point = None
        return self._began_ms is not None and not self._spoilt and self.status() == Network.STAT_GOT_IP

    def ifconfig(self, *wanted):
        if wanted:
            assert wanted[0] == "dhcp" or len(wanted[0]) == 4 and isinstance(wanted[0], tuple)
            self._fixed = None if wanted[0] == "dhcp" else wanted[0]
            return None
        if self._fixed and self.isconnected():
            return self._fixed
        return ("192.0.2.7" if self.isconnected() else "0.0.0.0", "255.255.255.0", "192.0.2.1", "192.0.2.1")
