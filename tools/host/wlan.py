"""A model of Wi-Fi for a computer that plays a board: the WLAN object of MicroPython's ESP32 port, as lib/wifi.py
uses it, among access points that let in whoever knows the password. The radio switched off, nothing passes.
"""

_IDLE, _GOT_ADDRESS, _NO_NETWORK, _WRONG_PASSWORD = 1000, 1010, 201, 202


class Wlan:
    """`points` maps each SSID in reach to its password, None for an open one."""

    PM_PERFORMANCE = 1

    def __init__(self, points):
        self._points = points
        self._active = False
        self._status = _IDLE

    def active(self, on):
        self._active = on
        self._status = _IDLE

    def config(self, reconnects, pm):
        """It never tries again by itself, and takes no power."""

    def scan(self):
        """(SSID, BSSID, channel, signal, security, hidden) of each, as the port has it."""
        return [(ssid.encode(), b"\x02" * 6, 1, -50, 3 if self._points[ssid] else 0, False) for ssid in self._points]

    def connect(self, ssid, password=None, bssid=None):
        if ssid not in self._points:
            self._status = _NO_NETWORK
        else:
            self._status = _GOT_ADDRESS if self._points[ssid] == password else _WRONG_PASSWORD

    def status(self):
        return self._status

    def isconnected(self):
        return self._active and self._status == _GOT_ADDRESS
