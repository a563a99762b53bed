"""What empties a battery: `mote bench battery`. A sleeping node in the simulator for days with something that does not
come right: how often it tries, how long it is awake, and how long a battery lasts then.

The shipped firmware runs in virtual time, so that these are its waits: for an access point, a name, a broker. What the
chip itself takes for a start is added to each wake as START_MS. Nothing of it was measured on a board.
"""

import asyncio
import collections
import json

import rejoin
import wifi
from tools import battery
from tools.sim import hardware, radio
from tools.sim.broker import Broker
from tools.sim.mote import Mote
from tools.sim.place import Place
from tools.sim.undisturbed import undisturbed

CAPACITY_MAH = 2_600
PERIOD_S = 300
START_MS = 200  # assumed: the interpreter starts, code loads, a sensor measures
SCAN_MS = 2_000  # blocks (lib/wifi.py), so that virtual time does not have it
QUICK_US = 300_000  # an access point that is known, with the address of the last time (lib/rejoin.py)
HANDSHAKE_S = 1.5  # assumed, of a TLS handshake that ends with a certificate that is refused
HEALTHY_S = 7_200
DAYS = 4
DAY_S = 86_400
_BATCHES_S = 600  # from one revision of an operator to the next
_SENSOR = {"air": {"driver": "sht4x"}}
_SSID, _PASSWORD = "attic", "correct horse 47"

# Of the last day: wakes, wakes with the radio on, seconds awake; `longest_ms` of any wake; `days` that a battery lasts.
Row = collections.namedtuple("Row", "wakes tries awake_s longest_ms days")


class Radio(radio.Wlan):
    """As lib/rejoin.py wants it, too; counts what blocks."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.used = self._fixed = False
        self.blocked_ms = 0

    def active(self, *on):
        self.used = self.used or on == (True,)
        return super().active(*on)

    def config(self, *, reconnects, pm=None):
        super().config(reconnects=reconnects, pm=pm)

    def ifconfig(self, *fixed):
        if not fixed:
            return super().ifconfig()
        self._fixed = fixed[0] != "dhcp"

    def scan(self):
        self.blocked_ms += SCAN_MS
        return super().scan()

    def _outcome(self, passed_us):
        if self._fixed and self._point:
            passed_us += self._point.answers_us - QUICK_US
        return super()._outcome(passed_us)


class Board(hardware.Board):
    """Joins and finds its broker as firmware/board.py does, by what it knows from the last time."""

    _waking = True
    _tried = None

    async def join(self, networks):
        wlan = self._hardware.wlan
        hints, self.hints, self._waking = self.hints if self._waking else None, None, False
        if hints is None or not await rejoin.rejoin(wlan, networks, self, hints):
            found = await wifi.join(wlan, networks, self)
            hints = [*found, wlan.ifconfig(), self.clock_ms() // 1000, {}]
        self.hints = hints

    def _resolves(self):
        if self._hardware.dns == "silent":
            self._hardware.wlan.blocked_ms += 1000 * hardware.DNS_TIMEOUT_S
        return super()._resolves()

    async def open_stream(self, host, port, tls):
        known, self._tried = self.hints[5] if self.hints else {}, host
        if known.pop(host, None):
            stream = await self._hardware.world.network.connect(self._hardware.path, host, port)
        else:
            stream = await super().open_stream(host, port, tls)
        if getattr(self._hardware, "stranger", False):
            await asyncio.sleep(HANDSHAKE_S)
            raise OSError("TLS: the certificate is not one of this authority")
        return stream

    def keep_address(self):
        self.hints[5][self._tried] = self._tried


class Life(Mote):
    """A node, and when each of its wakes was over: (seconds, milliseconds awake, whether the radio was on)."""

    board_of = Board

    def __init__(self, place):
        config = {"schema": 1, "node": {"id": "hive"}, "wifi": {_SSID: {"password": _PASSWORD}},
                  "mqtt": {"host": "broker"}, "telemetry": {"interval_s": PERIOD_S}, "sensors": _SENSOR,
                  "time": {"servers": ["time-a"]}, "power": {"mode": "deepsleep"}}
        self.point = radio.AccessPoint(_SSID, _PASSWORD)
        node = hardware.Hardware(place, "hive", 1, [self.point], json.dumps(config).encode())
        node.wlan = Radio(place.loop, node.path, [self.point])
        self.place = place
        self.wakes = []
        self._began_us = 0
        super().__init__(node, self, _SENSOR, 1)

    def began(self, mote, node, board):
        self._began_us = self.place.loop.now_us
        self.hardware.wlan.used, self.hardware.wlan.blocked_ms = False, 0

    def ended(self, mote, why):
        now_us, wlan = self.place.loop.now_us, self.hardware.wlan
        awake_ms = (now_us - self._began_us) // 1000 + wlan.blocked_ms + START_MS
        self.wakes.append((now_us / 1e6, awake_ms, wlan.used))

    def crashed(self, mote, text):
        raise AssertionError(text)

    def stuck(self, mote, text):
        raise AssertionError(text)

    def cut(self, why, dark_s=0, within=False):
        raise AssertionError(why)


def _nothing(life, broker):
    """All is well."""


def _off(knob, value=False):
    return lambda life, broker: setattr(life.point, knob, value)


def _desired(broker, revision, patch):
    document = {"revision": revision, "patch": patch}
    broker.publish("mote/hive/config/set", json.dumps(document).encode(), 1, True)


def _operator(life, broker, revision=1):
    """A program that sends another configuration all the time."""
    _desired(broker, revision, {"node": {"name": f"Hive {revision}"}})
    life.place.loop.after_us(_BATCHES_S * 1_000_000, _operator, life, broker, revision + 1)


def _silent_host(life, broker):
    broker.stop()
    life.place.network.silence("broker")


def _time(life, broker):
    life.place.time_servers["time-a"].silent = True


def _never(life, broker):
    """No time server has ever answered: the node begins anew."""
    _time(life, broker)
    life.hardware.rtc, life.hardware.memory = None, b""


FAULTS = {
    "nothing is wrong": _nothing,
    "the access point is gone": _off("there"),
    "wrong Wi-Fi password": _off("password", "another"),
    "Wi-Fi gives no address": _off("gives_address"),
    "no name server answers": lambda life, broker: setattr(life.hardware, "dns", "silent"),
    "the broker's computer is off": _silent_host,
    "the broker's port is closed": lambda life, broker: broker.stop(),
    "the broker takes connections, says nothing": lambda life, broker: broker.freeze(),
    "the broker refuses the login": lambda life, broker: setattr(broker, "refuses", 5),
    "the broker acknowledges nothing": lambda life, broker: setattr(broker, "deaf", True),
    "the broker's certificate is wrong": lambda life, broker: setattr(life.hardware, "stranger", True),
    "no time server answers any more": _time,
    "no time server has ever answered": _never,
    "a configuration that is rolled back": lambda life, broker: _desired(broker, 1, {"mqtt": {"port": 2}}),
    "a new configuration each ten minutes": _operator,
}


def measure(progress, names=tuple(FAULTS), days=DAYS):
    """{fault: Row} of the last day of so many with it."""
    rows = {}
    for name in names:
        progress(name)
        with undisturbed():
            rows[name] = _row(_lived(FAULTS[name], days), days)
    return rows


def _lived(begin, days):
    place = Place(1)
    place.network.names["broker"] = "broker"
    broker = Broker(place.network)
    life = Life(place)

    async def main():
        task = place.loop.create_task(life.live())
        await asyncio.sleep(HEALTHY_S)
        begin(life, broker)
        await asyncio.sleep(days * DAY_S)
        life.stop()
        task.cancel()

    place.loop.run(main())
    return life.wakes


def _row(wakes, days):
    last = [wake for wake in wakes if wake[0] > HEALTHY_S + (days - 1) * DAY_S]
    awake_ms = sum(wake[1] for wake in last)
    longest_ms = max(wake[1] for wake in wakes if wake[0] > HEALTHY_S)
    days = battery.estimate(CAPACITY_MAH, awake_ms / len(last), DAY_S / len(last)).days
    return Row(len(last), sum(wake[2] for wake in last), awake_ms / 1000, longest_ms, days)


def table(rows):
    """The rows for people."""
    head = f"days on {CAPACITY_MAH:,}"
    lines = [f"battery: a wake each {PERIOD_S} s for {DAYS} days, in the simulator; of the last day",
             f"  {'':44}{'radio on':>9}{'awake':>9}{'longest wake':>14}{head:>16} mAh"]
    for name, row in rows.items():
        lines.append(f"  {name:44}{row.tries:>7} x{row.awake_s:>7.0f} s{row.longest_ms / 1000:>12.1f} s"
                     f"{row.days:>16,.0f}")
    lines.append(f"  Assumed: {START_MS} ms of each wake for the start of the chip, {battery.AWAKE_MA} mA awake, 2.5 s "
                 "for DHCP once an hour.")
    return "\n".join(lines)
