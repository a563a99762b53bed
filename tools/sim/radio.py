"""Wi-Fi: the WLAN object of MicroPython's ESP32 port among simulated access points, for lib/wifi.py unchanged."""

_EVENT_US = 80_000  # how late the news of a connection that we ended arrives
_IDLE, _CONNECTING, _GOT_IP = 1000, 1001, 1010
_NO_AP, _HANDSHAKE, _WRONG_PASSWORD, _ASSOC_LEAVE = 201, 15, 211, 8
_STARTS_US = 300_000  # before the driver has begun
_SEARCH_US = 2_000_000


class AccessPoint:
    """Knobs: `there`, `password` (what it wants), `answers_us` (to an association), `gives_address`."""

    def __init__(self, ssid, password, rssi=-60):
        self.ssid = ssid
        self.bssid = bytes((2, 0, 0, 0, len(ssid), -rssi))
        self.password = password
        self.rssi = rssi
        self.there = True
        self.answers_us = 2_500_000
        self.gives_address = True


class Wlan:
    """A station. `path` goes down with it. Strict: connecting twice, or with the driver's own retries on, is a fault.
    Knob: `lies`, it says that it is connected when nothing passes.
    """

    PM_PERFORMANCE = 1

    def __init__(self, loop, path, points):
        self._loop = loop
        self._path = path
        self._points = points
        self._active = False
        self._reconnects = -1
        self._began_us = None
        self._ended_us = -_EVENT_US
        self._spoilt = False
        self._password = None
        self._point = None

    def power_off(self):
        """As it is after a reset."""
        self.active(False)
        self._reconnects = -1

    def active(self, *on):
        """Switch the radio; whether it is on."""
        if on and not on[0] and self._active:
            self._end()
        if on:
            self._active = bool(on[0])
        return self._active

    def _end(self):
        if self._began_us is not None:
            self._ended_us = self._loop.now_us
            self._path.vanish()
        self._began_us = None

    def config(self, *, reconnects, pm):
        """Only these options are modelled; the second makes no difference here."""
        self._reconnects = reconnects

    def scan(self):
        """The access points in reach; on a board this blocks for 2 s, in which late news arrives."""
        if not self._active:
            raise OSError("STA must be active")
        self._ended_us -= _EVENT_US
        return [(ap.ssid.encode(), ap.bssid, 6, ap.rssi, 3 if ap.password else 0, False)
                for ap in self._points if ap.there]

    def connect(self, ssid, key=None, *, bssid=None):
        """Begin to join; status() tells what becomes of it."""
        if not self._active:
            raise OSError("Wifi Not Started")
        if self._began_us is not None:
            raise OSError("Wifi Internal State Error")
        assert isinstance(ssid, str) and (key is None or isinstance(key, str))
        assert self._reconnects == 0, "the driver would retry by itself"
        self._began_us = self._loop.now_us
        self._spoilt = self._began_us - self._ended_us < _EVENT_US
        self._password = key
        self._point = None
        for ap in self._points:
            if ap.there and ap.ssid == ssid and bssid in (None, ap.bssid):
                self._point = ap

    def status(self, *what):
        """A number of the port, or the signal's strength in dBm."""
        if what:
            assert what == ("rssi",)
            if not self.isconnected():
                raise OSError("Wifi Not Connected")
            return self._point.rssi
        if self._began_us is None:
            return _IDLE
        if self._spoilt:
            return _ASSOC_LEAVE
        passed_us = self._loop.now_us - self._began_us
        if passed_us < _STARTS_US:
            return _IDLE
        return self._outcome(passed_us)

    def _outcome(self, passed_us):
        ap = self._point
        if ap is None:
            return _NO_AP if passed_us > _SEARCH_US else _CONNECTING
        if passed_us < ap.answers_us:
            return _CONNECTING
        if ap.password != self._password:
            return _HANDSHAKE if ap.password else _WRONG_PASSWORD
        return _GOT_IP if ap.gives_address else _CONNECTING

    def isconnected(self):
        """Whether there is an address."""
        if self._began_us is None or self._spoilt:
            return False
        if self._point is not None and not self._point.there:
            self._point = None
        return self.status() == _GOT_IP

    def dropped(self):
        """The access point threw us out, or is gone: the driver does not come back by itself."""
        self._end()

    def ifconfig(self):
        """(address, mask, gateway, name server)"""
        return ("192.0.2.7" if self.isconnected() else "0.0.0.0", "255.255.255.0", "192.0.2.1", "192.0.2.1")
