"""How long a battery lasts: arithmetic on what a sleeping node says of its wakes.

Assumed currents, of the chip alone: awake 100 mA, all of the wake with the radio receiving (ESP32 Series Datasheet,
"RF Power-Consumption Specifications": receive 95 to 100 mA; it sends, at 180 to 240 mA, for milliseconds); asleep 10 uA
(same, "Power Consumption by Power Modes": deep sleep, RTC timer and RTC memory). A board's regulator and
USB chip take more than that asleep, often 1,000 times as much: measure yours. Of the capacity 85 % count, as cells age,
and give less in the cold.
"""

import collections

AWAKE_MA = 100
ASLEEP_UA = 10
USABLE = 0.85

# Mean milliseconds of a wake, seconds from one to the next, mean current, days.
Estimate = collections.namedtuple("Estimate", "awake_ms period_s mean_ma days")


def estimate(capacity_mah, awake_ms, period_s, awake_ma=AWAKE_MA, asleep_ua=ASLEEP_UA):
    """The Estimate for a mean wake of `awake_ms` every `period_s`."""
    share = min(1, awake_ms / 1_000 / period_s)
    mean_ma = awake_ma * share + asleep_ua / 1_000 * (1 - share)
    return Estimate(awake_ms, period_s, mean_ma, USABLE * capacity_mah / mean_ma / 24)


def sleeps(config):
    """Whether a reported configuration is one of a node that sleeps."""
    whole = config.get("config") if isinstance(config.get("config"), dict) else {}
    return (whole.get("power") or {}).get("mode") == "deepsleep"


def of_node(capacity_mah, config, diagnostics, asleep_ua=ASLEEP_UA):
    """The Estimate of a node from its reported configuration and its diagnostics; None when it is not one that sleeps,
    or has not told of a wake yet."""
    awake_ms = diagnostics.get("awake_mean_ms")
    if not sleeps(config) or not isinstance(awake_ms, int) or awake_ms < 1:
        return None
    whole = config["config"]
    common_s = (whole.get("telemetry") or {}).get("interval_s") or 60
    sensors = (whole.get("sensors") or {}).values()
    period_s = min([sensor.get("interval_s") or common_s for sensor in sensors] or [common_s])
    return estimate(capacity_mah, awake_ms, period_s, asleep_ua=asleep_ua)


def text(node, found, capacity_mah):
    """One line for people."""
    return (f"{node}: {found.days:,.0f} days on {capacity_mah:,} mAh (awake {found.awake_ms:.0f} ms every "
            f"{found.period_s} s, {1_000 * found.mean_ma:,.0f} uA on average)")
