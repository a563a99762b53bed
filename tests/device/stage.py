"""A board and a broker that are not there, in a time that passes only when a test lets it."""

import asyncio
import json

import flash
from scripted import CONNACK, PINGRESP, Stream, packet, packets, puback, publish, two

_YEAR_2000_S = 946_684_800
_YEAR_2026_S = 1_767_225_600
_PERIOD_MS = 1 << 30  # an ESP32's ticks wrap here, and begin below it, so that every test meets the wrap
_QUIET = 20  # turns of the loop in which nothing moves: then nobody has anything to do
_turn = asyncio.sleep  # the real one, found here while a stage has taken its place


class Files:
    """A store in memory. `content` is what is there; with `fails` set, saving raises it. `root` is a real folder."""

    def __init__(self):
        self.content = {}
        self.fails = None
        self._root = None

    @property
    def root(self):
        self._root = self._root or flash.folder()
        return self._root

    def load(self, name):
        return self.content.get(name)

    def save(self, name, data):
        if self.fails:
            raise self.fails
        assert isinstance(data, bytes)
        self.content[name] = data


class Flag:
    """As a board's: `wait` clears it."""

    def __init__(self):
        self._event = asyncio.Event()
        self.set = self._event.set

    async def wait(self):
        await self._event.wait()
        self._event.clear()


class Led:
    """An output pin that remembers what it showed, and when."""

    def __init__(self, board, number):
        self.number = number
        self.shown = []
        self._board = board

    def value(self, level):
        self.shown.append((self._board.now_ms, level))


class Board:
    """`config`: its config.json, as bytes or to be made from an object. Knobs: all that has no underscore.

    `network`: whether Wi-Fi is there, `joins`: the networks it was asked to join, each time; `join_fails`,
    `open_fails`: errors; `hangs`: joining and opening never end. `unix_s`: the time at power-on, or None.
    """

    family = "fake"
    chips = "simulated"
    default_id = "fake-a1b2c3"
    mac = "a1:b2:c3:a1:b2:c3"
    interpreter = "Python 3"
    model = "Board of a test"
    reset_cause = "power-on"
    woken_by_pin = False
    first_ticks = _PERIOD_MS - 1500

    def __init__(self, config=None):
        self.config = config if isinstance(config, bytes) else json.dumps(config).encode()
        self.files = Files()
        self.said = []
        self.chance = 0.5
        self.unix_s = 1_800_000_000
        self.guessed_s = _YEAR_2000_S  # what its clock shows at power-on when nobody has told it
        self.now_ms = 0
        self.moves = 0
        self.leds = []
        self.fed_ms = []
        self.network = True
        self.joins = []
        self.saves_power = []
        self.join_fails = self.open_fails = self.sync_fails = None
        self.hangs = False
        self.opened = []
        self.kept_addresses = 0  # how often a stream was said to lead to a broker
        self.syncs = []
        self.free = 50_000
        self.rtc = b""
        self.woken_ms = 0
        self.hints = None
        self.clock_refused = 0
        self.drift = 0, 0
        self.log = self.said.append
        self._sleepers = []
        self._count = 0

    def ticks_ms(self):
        return (self.now_ms + self.first_ticks) % _PERIOD_MS

    def ticks_diff(self, a, b):
        return (a - b + _PERIOD_MS // 2) % _PERIOD_MS - _PERIOD_MS // 2

    def ticks_add(self, a, ms):
        return (a + ms) % _PERIOD_MS

    async def sleep_ms(self, ms):
        assert ms >= 0
        self.moves += 1
        self._count += 1
        sleeper = (self.now_ms + ms, self._count, asyncio.Event())
        self._sleepers.append(sleeper)
        try:
            await sleeper[2].wait()
        finally:
            if sleeper in self._sleepers:
                self._sleepers.remove(sleeper)
            self.moves += 1

    def time_s(self):
        return None if self.unix_s is None else self.unix_s + self.now_ms // 1000

    def clock_ms(self):
        return 1000 * (self.unix_s or self.guessed_s) + self.now_ms

    def guess_time(self):
        if self.unix_s is None and self.guessed_s == _YEAR_2000_S:
            self.guessed_s = _YEAR_2026_S - self.now_ms // 1000

    def awake_ms(self):
        return self.now_ms - self.woken_ms

    def rtc_read(self):
        return self.rtc

    def rtc_write(self, data):
        assert len(data) <= 2_048
        self.rtc = bytes(data)

    async def sync_time(self, servers):
        self.moves += 1
        self.syncs.append(servers)
        if self.sync_fails:
            raise self.sync_fails
        if self.unix_s is None:
            self.unix_s = 1_800_000_000

    def random(self):
        return self.chance

    def flag(self):
        return Flag()

    def output_pin(self, number):
        self.leds.append(Led(self, number))
        return self.leds[-1]

    def nothing(self, *_):
        """What a bus or a pin says when nothing is there."""
        raise OSError(19)

    i2c = input_pin = adc = onewire = dht = nothing

    async def join(self, networks):
        self.moves += 1
        self.joins.append(networks)
        if self.hangs:
            await asyncio.Event().wait()
        if self.join_fails:
            raise self.join_fails
        self.network = True

    def save_power(self, wanted):
        self.saves_power.append(wanted)

    def joined(self):
        return self.network

    async def leave(self):
        self.network = False

    def address(self):
        return "192.0.2.7"

    def rssi(self):
        return -60

    async def open_stream(self, host, port, tls):
        self.moves += 1
        self.opened.append((self.now_ms, host, port, tls))
        if self.hangs:
            await asyncio.Event().wait()
        if tls is not None:
            self.guess_time()  # certificates are judged by it
        if self.open_fails:
            raise self.open_fails
        return self.broker.accept(self)

    def keep_address(self):
        self.kept_addresses += 1

    def feed(self):
        self.fed_ms.append(self.now_ms)

    def memory(self):
        return self.free, None, None

    def read_config(self):
        return self.config

    async def settle(self):
        """Let every task come to where it waits for time to pass."""
        quiet = 0
        while quiet < _QUIET:
            before = self.moves
            await _turn(0)
            quiet = quiet + 1 if self.moves == before else 0

    async def pass_ms(self, ms):
        """Let so much time pass, one sleeper after the other."""
        end_ms = self.now_ms + ms
        await self.settle()
        while True:
            due = [sleeper for sleeper in self._sleepers if sleeper[0] <= end_ms]
            if not due:
                break
            first = sorted(due, key=lambda sleeper: sleeper[:2])[0]
            self._sleepers.remove(first)
            self.now_ms = max(self.now_ms, first[0])
            first[2].set()
            await self.settle()
        self.now_ms = end_ms


class Message:
    """A PUBLISH that came to the broker; `properties` are the bytes of MQTT 5's."""

    def __init__(self, topic, payload, retain, qos, number, properties=b""):
        self.topic = topic
        self.payload = payload
        self.retain = retain
        self.qos = qos
        self.number = number
        self.properties = properties

    def json(self):
        return json.loads(str(self.payload, "utf-8"))


class Line(Stream):
    """One connection, seen from both ends. `hello` is the CONNECT taken apart, `messages` what was published,
    `goodbye` whether DISCONNECT came, `owed` packet ids that were not acknowledged; `events` has the order of
    things: topics, and SUBSCRIBE, PUBACK, DISCONNECT.
    """

    def __init__(self, broker, board):
        super().__init__()
        self.hello = self.level = None
        self.filters = []
        self.events = []
        self.messages = []
        self.owed = []
        self.pings = 0
        self.pinged_ms = []
        self.goodbye = self.closed = False
        self.breaks_at = None  # the write that raises, counted from now
        self._broker = broker
        self._board = board
        self._rest = b""

    def write(self, buf, size=None):
        assert not self.closed, "written after the close"
        self._board.moves += 1
        if self.breaks_at is not None:
            self.breaks_at -= 1
            self.broken = self.broken or self.breaks_at < 0
        super().write(buf, size)
        found, self._rest = packets(self._rest + self.writes.pop())
        for first, body in found:
            assert not self.goodbye, "a packet after DISCONNECT"
            self._answer(first, body)

    def read(self, buf):
        count = super().read(buf)
        self._board.moves += count is not None
        return count

    def close(self):
        self.closed = True

    async def wait_closed(self):
        self._board.moves += 1
        if self._broker.slow_close:
            await asyncio.Event().wait()

    def hang_up(self, error=0):
        """The broker closes the connection, or the network breaks it."""
        self.end(error)

    def deliver(self, topic, payload=b"", qos=1, retain=False):
        """The broker publishes to the node; a retained message at QoS 1 as brokers do."""
        data = payload.encode() if isinstance(payload, str) else payload
        self.say(publish(topic, self._none() + data, qos, 7, retain))

    def acknowledge(self, count=1000):
        """Send the PUBACKs that are owed, the oldest first."""
        while self.owed and count:
            self.say(puback(self.owed.pop(0)))
            count -= 1

    def on(self, topic):
        """The messages on a topic, the oldest first."""
        return [message for message in self.messages if message.topic == topic]

    def _none(self):
        """No properties, which only MQTT 5 says."""
        return b"\0" if self.level == 5 else b""

    def _split(self, data):
        """Properties, which only MQTT 5 has, and what follows."""
        end = 1 + data[0] if self.level == 5 else 0
        return data[1:end], data[end:]

    def _answer(self, first, body):
        broker = self._broker
        if first == 0x10:
            self.level = body[6]
            if self.level > broker.newest:
                self.hang_up() if broker.hangs_up else self.say(CONNACK[:3] + b"\x01")
                return
            self.hello = _hello(body, self._split)
            if broker.code is not None:
                self.say(packet(0x20, b"\0", bytes((broker.code,)), broker.properties or self._none()))
        elif self.level > broker.newest:
            return  # it does not listen any more
        elif first == 0x82:
            self.events.append("SUBSCRIBE")
            self.filters = _filters(self._split(body[2:])[1])
            grants = [broker.refusal if name in broker.refused else qos for name, qos in self.filters]
            if broker.grants:
                self.say(packet(0x90, body[:2], self._none(), bytes(grants)))
            wanted = [name for name, _ in self.filters if name in broker.kept]
            if broker.kept_late:
                asyncio.create_task(self._deliver_later(wanted))
            else:
                self._deliver_kept(wanted)
        elif first >> 4 == 3:
            self._take(first, body)
        elif first == 0xC0:
            self.pings += 1
            self.pinged_ms.append(self._board.now_ms)
            if broker.pongs:
                self.say(PINGRESP)
        elif first == 0xE0:
            self.goodbye = True
            self.events.append("DISCONNECT")
        else:
            assert first == 0x40, "packet %02x" % first
            self.events.append("PUBACK")

    def _deliver_kept(self, wanted):
        for name in wanted:
            self.deliver(name, self._broker.kept[name], dict(self.filters)[name], True)

    async def _deliver_later(self, wanted):
        await self._board.sleep_ms(50)
        self._deliver_kept(wanted)

    def _take(self, first, body):
        qos = first >> 1 & 3
        topic, rest = _field(body)
        number = rest[0] << 8 | rest[1] if qos else 0
        properties, payload = self._split(rest[2 if qos else 0 :])
        message = Message(str(topic, "utf-8"), payload, bool(first & 1), qos, number, properties)
        self.messages.append(message)
        self.events.append(message.topic)
        if qos:
            if message.topic == self._broker.denies:
                return self.say(packet(0x40, two(number), b"\x87"))
            self.owed.append(number)
            if self._broker.acknowledges:
                self.acknowledge()
        if self._broker.echoes and (message.topic, 1) in self.filters:
            self.deliver(message.topic, message.payload)


class Broker:
    """Takes every connection; `lines` are all of them. `code`: of CONNACK, None for silence; `refused`: filters."""

    def __init__(self):
        self.lines = []
        self.code = 0
        self.properties = b""  # of MQTT 5's CONNACK, with their length
        self.newest, self.hangs_up = 4, True  # the highest protocol level, and what it does when asked for a higher one
        self.refused, self.refusal = (), 128  # MQTT 5 has more codes of refusal
        self.denies = None  # a topic on which MQTT 5 lets nobody publish
        self.grants = True  # whether SUBACK comes
        self.acknowledges = True
        self.pongs = True
        self.echoes = True  # whether what is published on a topic that is subscribed comes back
        self.slow_close = False
        self.kept = {}  # topic: payload, retained before the node came
        self.kept_late = False  # whether that is sent after the answers to what follows a SUBSCRIBE

    def accept(self, board):
        self.lines.append(Line(self, board))
        return self.lines[-1]

    @property
    def line(self):
        """The newest connection."""
        return self.lines[-1]


class Stage:
    """`async with Stage(config) as stage:` has `board`, `broker`, and the board's clock in the place of asyncio's.

    `start(coroutine)` runs it beside the test until the stage ends; what it raises, `pass_ms` raises.
    """

    def __init__(self, config=None):
        self.board = Board(config)
        self.broker = self.board.broker = Broker()
        self.result = None
        self.ended = False
        self._error = None
        self._tasks = []

    async def __aenter__(self):
        asyncio.sleep = self._sleep
        return self

    async def __aexit__(self, *error):
        asyncio.sleep = _turn
        self.broker.slow_close = False
        for task in self._tasks:
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                pass  # ours

    def start(self, coroutine):
        self._tasks = [task for task in self._tasks if not task.done()]
        self._tasks.append(asyncio.create_task(self._run(coroutine)))

    async def pass_ms(self, ms):
        await self.board.pass_ms(ms)
        if self._error:
            error, self._error = self._error, None
            raise error

    async def _run(self, coroutine):
        try:
            self.result = await coroutine
        except Exception as error:
            self._error = error
        self.ended = True

    async def _sleep(self, seconds):
        if seconds:
            await self.board.sleep_ms(int(seconds * 1000 + 0.999))
        else:
            await _turn(0)


def _field(data):
    end = 2 + (data[0] << 8 | data[1])
    assert len(data) >= end
    return data[2:end], data[end:]


def _hello(body, split):
    """CONNECT as a dict: id, keepalive_s, clean, will (topic, payload, retain, QoS) or None, user, password."""
    assert body[:6] == b"\x00\x04MQTT"
    flags = body[7]
    found = {"keepalive_s": body[8] << 8 | body[9], "clean": bool(flags & 2), "will": None}
    name, rest = _field(split(body[10:])[1])
    found["id"] = str(name, "utf-8")
    if flags & 4:
        topic, rest = _field(split(rest)[1])
        word, rest = _field(rest)
        found["will"] = (str(topic, "utf-8"), word, bool(flags & 32), flags >> 3 & 3)
    for bit, key in ((128, "user"), (64, "password")):
        found[key] = None
        if flags & bit:
            value, rest = _field(rest)
            found[key] = str(value, "utf-8")
    assert not rest
    return found


def _filters(data):
    found = []
    while data:
        name, data = _field(data)
        found.append((str(name, "utf-8"), data[0]))
        data = data[1:]
    return found
