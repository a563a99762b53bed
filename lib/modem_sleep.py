"""A Wi-Fi link that is kept with less power, with `machine` and the WLAN object of MicroPython's ESP32 port. Only lent.

What an official image can do: `machine.lightsleep()` stops the radio, so that the access point and with it the broker
are lost, and the light sleep that wakes for beacons by itself is not compiled in (ports/esp32/boards/sdkconfig.base has
CONFIG_PM_ENABLE, but not FREERTOS_USE_TICKLESS_IDLE; machine.freq sets light_sleep_enable false). What is left: the
radio sleeps through beacons (PM_POWERSAVE: hears each third one, where PM_PERFORMANCE, the default, hears all that
announce broadcasts), and the CPU goes at the lowest frequency at which the radio works.
"""

SLOW_HZ = 80_000_000  # ESP-FAQ, "Power Consumption Verification": at least 80 MHz for the radio


def other(machine, wlan, full_hz):
    """Begin to save power when `full_hz` is None, else end it; `wlan` is None while it is not joined. Returns the CPU's
    frequency to go back to, None when it was gone back to."""
    saves = full_hz is None
    now_hz = machine.freq()
    machine.freq(min(SLOW_HZ, now_hz) if saves else full_hz)
    if wlan:
        doze(wlan, saves)
    return now_hz if saves else None


def doze(wlan, wanted):
    """Let the radio sleep for longer, or not; only while it is joined, as DHCP wants to hear broadcasts."""
    wlan.config(pm=wlan.PM_POWERSAVE if wanted else wlan.PM_PERFORMANCE)
