"""docs/config.md: every key of the configuration, from the table that nodes obey."""

import os

from firmware import config
from tools import ROOT

PATH = os.path.join(ROOT, "docs", "config.md")

WHAT = {
    "schema": "the form of this file; unset: the first. A node reads older ones, too",
    "node.id": "what the node is called in topics; unset: chip family and the end of its MAC",
    "node.name": "what people call it; unset: its id",
    "node.area": "the room or place, which Home Assistant takes over",
    "node.groups": "groups whose commands it obeys, too",
    "wifi.*": "a network, by its name (SSID); the best signal among those in range is taken",
    "wifi.*.password": "its password; null for an open network",
    "mqtt.host": "name or address of the broker",
    "mqtt.port": "its port; 8883 is usual with TLS",
    "mqtt.path": "path of a WebSocket, where the broker is behind one; unset: plain TCP or TLS",
    "mqtt.user": "user name at the broker",
    "mqtt.password": "password at the broker",
    "mqtt.base": "first level of all topics",
    "mqtt.keepalive_s": "how long silence may last before both sides ask",
    "mqtt.version": "protocol level: 4 for 3.1.1; 5 for MQTT 5 (3.1.1 where a broker has no other)",
    "mqtt.tls.ca": "authority that signed the broker's certificate; having it means TLS",
    "mqtt.tls.cert": "file of the node's own certificate, where the broker asks for one",
    "mqtt.tls.key": "file of its private key",
    "mqtt.tls.server_name": "the name in the broker's certificate, when that is not the host",
    "mqtt.reconnect_window_s": "first pause after the broker hung up is random within this; 60 for a fleet",
    "mqtt.reconnect_cap_s": "no pause between attempts is longer",
    "telemetry.interval_s": "how often sensors are read that have no interval of their own",
    "telemetry.qos": "of readings: 1 until the broker has acknowledged, 0 until they are written",
    "telemetry.diagnostics_s": "how often the node tells of its health",
    "telemetry.log": "which lines of its log a node that never sleeps publishes as they come: none, those of faults "
                     "(they begin with `!`), or all",
    "sensors.*": "a sensor, by the name that it has in topics",
    "sensors.*.driver": "a file in firmware/drivers",
    "sensors.*.interval_s": "its own interval; unset: telemetry.interval_s",
    "sensors.*.bus": "I2C bus",
    "sensors.*.address": "I2C address, as a decimal number; unset: the chip's usual one",
    "sensors.*.pin": "GPIO, for sensors that are on a pin",
    "sensors.*.kind": "what it measures, for drivers that can do more than one",
    "sensors.*.pull": "`up` or `down`: resistor of a digital input",
    "sensors.*.invert": "turns the level of a digital input round",
    "sensors.*.low_mv": "millivolts that mean 0 %",
    "sensors.*.high_mv": "millivolts that mean 100 %",
    "sensors.*.divider": "what the voltage was divided by before the pin",
    "sensors.*.rom": "serial number of a 1-Wire chip, 16 hex digits, when there are several",
    "sensors.*.deadband": "report only what differs from the last report by at least so much, in the unit of the "
                          "quantity, any of them; 0: whatever differs; unset: every reading",
    "sensors.*.heartbeat_s": "with a deadband, a reading after this time even so; unset: 600",
    "sensors.*.keep": "which of its readings wait through an outage: `all`, only the `latest`, or `none`; unset: all",
    "outbox.ram_readings": "readings that wait in memory through an outage before they go to flash",
    "outbox.spill_after_s": "the longest that a reading waits in memory before it goes to flash",
    "outbox.flash_bytes": "flash for readings that wait, in blocks of 4,096; the oldest go first, and are counted; "
                          "0: none",
    "outbox.full": "what makes room on full flash: the `oldest` readings go, or `thin`: every other one of the oldest",
    "homeassistant.discovery": "whether the node announces itself to Home Assistant",
    "homeassistant.prefix": "first level of Home Assistant's discovery topics",
    "homeassistant.controls": "whether single keys may be set from its page",
    "config.key": "once set, only documents and factory resets signed with it are obeyed (SECURITY.md)",
    "config.trial_s": "how long a change of the connection may take to prove itself before it is taken back",
    "time.servers": "time servers; of a few answers the quickest counts",
    "power.mode": "`always`; `lightsleep`: a link for less power; `deepsleep`: none between readings (docs/power.md)",
    "power.send_every": "only each so many-th wake connects, and brings all readings since the last",
    "power.awake_s": "the longest that a wake may last",
    "power.awake_until": "until this time (Unix seconds) the node stays awake, whatever the mode says",
    "power.wake_pin": "GPIO whose change wakes it at once, on chips where that pin can; the resistor is yours",
    "board.led_pin": "GPIO of an LED that `identify` blinks",
    "board.scl_pin": "I2C clock; unset: the chip's default",
    "board.sda_pin": "I2C data; unset: the chip's default",
}

HEAD = """# Every key of a configuration

Written by `make keys` from the one table that nodes check and obey (`firmware/config.py`); a test holds it current.
`mote config validate FILE` checks a file by it. `null`, or leaving a key out, means its default.

What a change over MQTT does: *live* holds from the next reading on; *reconnects* says goodbye and connects again,
*restarts* starts anew;
*on trial* does that, and is taken back by itself unless the node proves within `config.trial_s` that it is still there:
it hears itself through the new connection; at another broker it also finds the document that sent it there; one that
sleeps finds it again in a later wake. `mote config set` sees to all of that.
Secrets are never reported. `*` stands for names of your choice.

| key | what it is | allowed | default | a change |
| --- | --- | --- | --- | --- |
"""


def allowed(line):
    """What may stand there, in words."""
    text = config.bounds(line) if line[1] != "names" else f"names of {line[2]} to {line[3]} bytes"
    return text.replace("|", "\\|")


def effect(flags):
    """What a change does."""
    words = "on trial" if "t" in flags else "reconnects" if "r" in flags else "restarts" if "s" in flags else "live"
    return words + (", secret" if "!" in flags else "")


def page():
    """The text of docs/config.md."""
    rows = []
    for line in config.rows():
        key, _, _, _, default, flags = line
        shown = "needed" if "+" in flags else "none" if default in ("null", "{}") else f"`{default}`"
        rows.append(f"| `{key}` | {WHAT[key]} | {allowed(line)} | {shown} | {effect(flags)} |\n")
    return HEAD + "".join(rows)


def main():
    with open(PATH, "w", encoding="utf-8") as file:
        file.write(page())


if __name__ == "__main__":
    main()
