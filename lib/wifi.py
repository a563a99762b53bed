"""Joining a Wi-Fi network with the WLAN object of MicroPython's ESP32 port. Loaded only while it is needed."""

LIMIT_MS = 20_000  # a scan, an association and DHCP take 3 to 8 s
LOOK_MS = 100
SETTLE_MS = 100  # events of a connection that ended arrive late; before they have, the next one seems to end
UNDER_WAY = (1000, 1001)  # idle, before the driver has begun; connecting
REASONS = {  # by the status that an attempt ends with; 15: the 4-way handshake got no further
    None: "no address in time",
    15: "wrong password",
    201: "no such network",
    202: "wrong password",
    204: "wrong password",
}


async def join(wlan, networks, board):
    """Join the strongest of `networks` {"ssid": {"password": str or None}} that lets us in.

    The scan blocks for 2 s. Returns (SSID, BSSID in hex, channel), the last two None for one that hides. Raises OSError
    with a reason, after 20 s at most; then the radio is off.
    `board` has ticks_ms, ticks_diff and sleep_ms.
    """
    try:
        wlan.active(True)
        wlan.config(reconnects=0, pm=wlan.PM_PERFORMANCE)  # or the driver is a second retry loop, or deaf to DHCP
        problem = OSError("no network is configured")
        choice = strongest(wlan.scan(), networks)
        for ssid, bssid, channel in choice:
            wlan.connect(ssid, networks[ssid].get("password"), bssid=bssid)
            status = await _outcome(wlan, board, LIMIT_MS // len(choice))
            if wlan.isconnected():
                return ssid, bssid and bssid.hex(), channel
            problem = OSError("%s: %s" % (ssid, REASONS.get(status, "Wi-Fi status %s" % status)))
        raise problem
    except RuntimeError as error:  # what the driver says where it has no number of errno
        raise OSError(str(error))
    finally:
        if not wlan.isconnected():
            wlan.active(False)


async def _outcome(wlan, board, limit_ms):
    """Wait for an address. Without one: restart the radio; the last status, None when time ran out."""
    began = board.ticks_ms()
    while not wlan.isconnected():
        status = wlan.status()
        late = board.ticks_diff(board.ticks_ms(), began) > limit_ms
        if late or status not in UNDER_WAY:
            wlan.active(False)
            await board.sleep_ms(SETTLE_MS)
            wlan.active(True)
            return None if late else status
        await board.sleep_ms(LOOK_MS)


def strongest(scan, networks):
    """[(SSID, BSSID, channel)] of the networks in reach, best signal first."""
    known = {ssid.encode(): ssid for ssid in networks}
    scan.sort(key=lambda entry: -entry[3])
    found = [(known.pop(entry[0]), entry[1], entry[2]) for entry in scan if entry[0] in known]
    return found or [(ssid, None, None) for ssid in networks]  # those that hide, perhaps
