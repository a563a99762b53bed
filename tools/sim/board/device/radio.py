"""`network` of the virtual board: a station among the access points of its options, on this computer's network."""

import time

_ANSWER_MS = 300  # an access point's, and DHCP's
IDLE, CONNECTING, GOT_IP, NO_NETWORK, WRONG_PASSWORD = 1000, 1001, 1010, 201, 15


class Network:
    """`network`"""

    STA_IF, AP_IF = 0, 1
    STAT_IDLE, STAT_CONNECTING, STAT_GOT_IP = IDLE, CONNECTING, GOT_IP

    def __init__(self, options):
        self._station = Wlan(options)

    def WLAN(self, interface=0):
        return self._station


class Wlan:
    """Connecting twice, or without being active, is an error, as on the port."""

    PM_NONE, PM_PERFORMANCE, PM_POWERSAVE = 0, 1, 2

    def __init__(self, options):
        self._points = options["access_points"]
        self._mac = bytes(options["mac"])
        self._active = False
        self._began = self._point = self._password = None

    def active(self, *on):
        if on:
            self._active = bool(on[0])
            if not on[0]:
                self._began = None
        return self._active

    def config(self, *what, **settings):
        return self._mac if what == ("mac",) else None

    def scan(self):
        if not self._active:
            raise OSError("STA must be active")
        return [(p["ssid"].encode(), bytes((2, 0, 0, 0, 0, n)), 6, p["rssi"], 3 if p["password"] else 0, False)
                for n, p in enumerate(self._points)]

    def connect(self, ssid, key=None, bssid=None):
        if not self._active:
            raise OSError("Wifi Not Started")
        if self._began is not None:
            raise OSError("Wifi Internal State Error")
        self._began = time.ticks_ms()
        self._password = key
        self._point = None
        for point in self._points:
            if point["ssid"] == ssid:
                self._point = point

    def status(self, *what):
        if what == ("rssi",):
            return self._point["rssi"]
        if self._began is None:
            return IDLE
        if time.ticks_diff(time.ticks_ms(), self._began) < _ANSWER_MS:
            return CONNECTING
        if self._point is None:
            return NO_NETWORK
        return GOT_IP if (self._point["password"] or None) == self._password else WRONG_PASSWORD

    def isconnected(self):
        return self._began is not None and self.status() == GOT_IP

    def ifconfig(self):
        return ("127.0.0.1" if self.isconnected() else "0.0.0.0", "255.0.0.0", "127.0.0.1", "127.0.0.1")

    def disconnect(self):
        self._began = None
