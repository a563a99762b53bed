"""How long a battery lasts: arithmetic on what nodes say of themselves.

Assumed currents, of the chip alone: awake 100 mA, all of the wake with the radio receiving (ESP32 Series Datasheet,
"RF Power-Consumption Specifications": receive 95 to 100 mA; it sends, at 180 to 240 mA, for milliseconds); asleep 10 uA
(same, "Power Consumption by Power Modes": deep sleep, RTC timer and RTC memory). Linked in the mode "lightsleep" 25 mA:
same table, modem sleep at 80 MHz, 20 to 31 mA; ESP-IDF Programming Guide, "Introduction to Low Power Mode in Wi-Fi
Scenarios", modem sleep with a lower frequency, measured: 21.9 mA, beacons included. A board's regulator and
USB chip take more than that asleep, often 1,000 times as much: measure yours. Of the capacity 85 % count, as cells age,
and give less in the cold.
"""

import collections

AWAKE_MA = 100
LINKED_MA = 25
ASLEEP_UA = 10
USABLE = 0.85

# Mean milliseconds of a wake and seconds from one to the next (None where the link is kept), mean current, days.
Estimate = collections.namedtuple("Estimate", "awake_ms period_s mean_ma days")


def estimate(capacity_mah, awake_ms, period_s, awake_ma=AWAKE_MA, asleep_ua=ASLEEP_UA):
    """The Estimate for a mean wake of `awake_ms` every `period_s`."""
    share = min(1, awake_ms / 1_000 / period_s)
    mean_ma = awake_ma * share + asleep_ua / 1_000 * (1 - share)
    return Estimate(awake_ms, period_s, mean_ma, _days(capacity_mah, mean_ma))


def linked(capacity_mah, asleep_ua=ASLEEP_UA):
    """The Estimate for a link that is kept in light sleep, on a board that takes `asleep_ua` when its chip sleeps."""
    mean_ma = LINKED_MA + max(0, asleep_ua - ASLEEP_UA) / 1_000
    return Estimate(None, None, mean_ma, _days(capacity_mah, mean_ma))


def _days(capacity_mah, mean_ma):
    return USABLE * capacity_mah / mean_ma / 24


def mode(config):
    """power.mode of a reported configuration, None when there is none."""
    whole = config.get("config") if isinstance(config.get("config"), dict) else {}
    return (whole.get("power") or {}).get("mode")


def of_node(capacity_mah, config, diagnostics, asleep_ua=ASLEEP_UA):
    """The Estimate of a node from its reported configuration and its diagnostics; None when it is not one that saves
    power, or sleeps and has not told of a wake yet."""
    if mode(config) == "lightsleep":
        return linked(capacity_mah, asleep_ua)
    awake_ms = diagnostics.get("awake_mean_ms")
    if mode(config) != "deepsleep" or not isinstance(awake_ms, int) or awake_ms < 1:
        return None
    whole = config["config"]
    common_s = (whole.get("telemetry") or {}).get("interval_s") or 60
    sensors = (whole.get("sensors") or {}).values()
    period_s = min([sensor.get("interval_s") or common_s for sensor in sensors] or [common_s])
    return estimate(capacity_mah, awake_ms, period_s, asleep_ua=asleep_ua)


def text(node, found, capacity_mah):
    """One line for people."""
    days = f"{found.days:,.0f}" if found.days >= 10 else f"{found.days:.1f}"
    how = f"link kept, {found.mean_ma:.0f} mA on average" if found.awake_ms is None else (
        f"awake {found.awake_ms:.0f} ms every {found.period_s} s, {1_000 * found.mean_ma:,.0f} uA on average")
    return f"{node}: {days} days on {capacity_mah:,} mAh ({how})"
