"""Joining the Wi-Fi network of the last time again, without a scan and without asking for an address.

A scan blocks for 2 s and DHCP takes up to 2 more: most of what a node on a battery is awake for. Only lent.
"""

LIMIT_MS = 3_000  # an access point in reach lets in within 0.3 s
LOOK_MS = 20
LEASE_S = 3_600  # the port does not say how long a lease is: the shortest that routers usually give


async def rejoin(wlan, networks, board, hints):
    """Whether the network of `hints` (SSID, BSSID in hex, channel, ifconfig, since when in seconds of board.clock_ms,
    ...) let us in; if not, the radio is off and everything is as before. `networks` is as in lib/wifi.py.
    """
    ssid, bssid, channel, lease, since_s = hints[:5]
    fixed = 0 <= board.clock_ms() // 1000 - since_s < LEASE_S
    if ssid not in networks or not bssid:
        return False
    try:
        wlan.active(True)
        wlan.config(reconnects=0)  # or the driver is a second retry loop
        if fixed:
            wlan.ifconfig(tuple(lease))
        _connect(wlan, ssid, networks[ssid].get("password"), bytes.fromhex(bssid), channel)
        began = board.ticks_ms()
        while not wlan.isconnected() and board.ticks_diff(board.ticks_ms(), began) < LIMIT_MS:
            await board.sleep_ms(LOOK_MS)
        if wlan.isconnected():
            if board.clock_ms() // 1000 - since_s >= LEASE_S:
                hints[3], hints[4] = wlan.ifconfig(), board.clock_ms() // 1000
            return True
    except (OSError, RuntimeError) as error:  # the second is the driver's, where it has no number of errno
        board.log("! Wi-Fi: %s" % error)
    finally:
        if not wlan.isconnected():
            if fixed:  # else asking for an address is under way, and must not be begun twice
                wlan.ifconfig("dhcp")
            wlan.active(False)
    return False


def _connect(wlan, ssid, password, bssid, channel):
    """Connect to one access point, on its channel where the port can be told: else it looks through all of them."""
    try:
        wlan.connect(ssid, password, bssid=bssid, channel=channel)
    except TypeError:
        wlan.connect(ssid, password, bssid=bssid)
