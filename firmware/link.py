"""The link to the broker: Wi-Fi, then MQTT, then a session, and again. The only retry loop in the program."""

import asyncio

from backoff import delay_ms
from mqtt import LINK_ERRORS, speaking
from together import together, within

_CONNECT_S = 15  # name, TCP, TLS on a slow chip; WebSocket; CONNACK has its own deadline in the client
_CLOSE_S = 3  # a TLS goodbye to a dead peer must not hold up the next attempt
_GOODBYE_S = 5  # for the last words before a clean leave
_JOIN_S = 30  # above the board's own deadline for joining, which names its reason
_CLOCK_S = 20  # for the clock before a first TLS connection: four servers, each with its own deadline
_RESYNC_MS = 86_400_000  # the clock of an ESP32 drifts by some seconds a day
_RESYNC_SOON_MS = 60_000  # doubled each time: where there is no name server, every attempt blocks for seconds
_RESYNC_LATE_MS = 3_600_000
_WIFI_WINDOW_S = 2  # when only our Wi-Fi fell, the fleet is not in step: come back quickly
_MAX_POSTED = 13  # nine of a `report` in a trial at once, behind four lines of the log

_LEGAL = {  # state: what may follow
    "down": ("joining",), "joining": ("connecting", "down"), "connecting": ("online", "down"),
    "online": ("leaving", "down"), "leaving": ("down",),
}


class Link:
    """Keeps one session going. `take(topic, payload, retained)` gets what comes in; `birth()` gives the messages
    that open every session; readings come from `outbox`, and go into the words of `dialect`.
    """

    def __init__(self, board, uptime, outbox, take, birth):
        self._board, self._uptime, self._outbox = board, uptime, outbox
        self._take, self._birth = take, birth
        self._config = self._level = self.dialect = self._joined = self._online_ms = None
        self._leave, self._quit = asyncio.Event(), False
        self.posted, self._sent = [], []  # messages that wait; that the network has not yet, at QoS 1 the broker
        self._written = []  # QoS 0 readings that the network has not taken whole
        self.state = "down"
        self._attempt = self.sessions = self.dropped = 0  # dropped: posted messages that found no place
        self.obeys = self.fault = None  # the configuration of this session or attempt; why the last one ended
        self.promise_ms = 0  # by this uptime it will have moved; None while the session's own deadlines hold

    def build(self, config, dialect):
        """Obey a configuration from the next connection on."""
        self._config, self._level, self.dialect = config, config["mqtt"]["version"], dialect
        self._joined = config["wifi"] if self._joined is None else self._joined

    def post(self, message):
        """Send a message (topic, payload, retain, QoS) when there is a session; the oldest goes when too many wait."""
        if len(self.posted) >= _MAX_POSTED:
            self.posted.pop(0)
            self.dropped += 1
        self.posted.append(message)
        self._outbox.waiting.set()

    def _acknowledged(self, token):
        self._sent.remove(token) if token in self._sent else self._outbox.acknowledge(token)

    def _refused(self, token, error):
        """A broker of MQTT 5 does not want this, now or later: gone, and counted."""
        self._board.log("! link: " + _text(error))
        self._written = [record for record in self._written if record is not token]  # or it counts as sent as well
        if token is not True and token not in self._sent:
            return self._outbox.refused(token)
        self.dropped += 1
        self._sent = [message for message in self._sent if message is not token]

    def leave(self):
        """End the session with a proper goodbye; `run` then returns. An attempt to connect is finished first."""
        self._quit = True
        self.reconnect()

    def reconnect(self):
        """End the session with a proper goodbye and begin the next at once, with what `build` was given last."""
        self._attempt = 0
        self._leave.set()
        self._outbox.waiting.set()

    async def run(self):
        """Keep a session going until asked to leave. Never raises what a link can raise."""
        while not self._quit:
            self._leave.clear()
            self._online_ms = None
            try:
                await self._session()
            except LINK_ERRORS as error:
                self.fault = self._reason(error)
                self._board.log("! link: %s while %s" % (self.fault, self.state))
            self._to("down")
            if not self._leave.is_set():
                await together(self._pause(), self._leave.wait())

    def _to(self, state):
        """Change the state: legal or a bug, and in the log."""
        if state == self.state:
            return
        if state not in _LEGAL[self.state]:
            raise ValueError(self.state + " to " + state)
        self.state = state
        self.promise_ms = None if state == "online" else self._uptime.ms() + 90_000
        self._board.log("link: " + state)

    async def _pause(self):
        """Wait before the next attempt: wide when the broker hung up, narrow when our own Wi-Fi fell."""
        mqtt, cap_s = self._config["mqtt"], self._config["mqtt"]["reconnect_cap_s"]
        if self._online_ms is not None and self._uptime.ms() - self._online_ms > 1000 * cap_s:
            self._attempt = 0  # only a session that has lasted proves the broker well
        window_s = mqtt["reconnect_window_s"] if self._board.joined() else _WIFI_WINDOW_S
        wait = delay_ms(self._attempt, window_s, cap_s, self._board.random())
        self._attempt += 1
        self._board.log("link: next attempt in %d ms" % wait)
        self.promise_ms = self._uptime.ms() + wait + 30_000
        await self._board.sleep_ms(wait)

    async def _session(self):
        """One connection from nothing to its end; raises one of LINK_ERRORS, or returns after a clean leave."""
        self.obeys, mqtt = self._config, self._config["mqtt"]
        self._to("joining")
        if self._joined != self._config["wifi"] or not self._board.joined():
            await self._board.leave()  # staying where we are would prove nothing of other networks
            self._joined = self._config["wifi"]
            await within(_JOIN_S, self._board.join(self._joined))
        if mqtt["tls"] and self._board.time_s() is None:
            await self._ask_time()
        self._to("connecting")
        address = mqtt["host"], mqtt["port"]
        self._board.log("link: %s:%s as %s, level %d" % (address + (self.dialect.node_id, self._level)))
        stream = await within(_CONNECT_S, self._board.open_stream(*address, mqtt["tls"]))
        client = None
        try:
            if mqtt["path"] is not None:
                from mqtt_ws import upgrade
                stream = await within(_CONNECT_S, upgrade(stream, "%s:%d" % address, mqtt["path"]))
            client = speaking(self._level)(stream, self._take, self._acknowledged, mqtt["keepalive_s"])
            client.on_refused = self._refused
            await together(*client.parts(), self._serve(client, self.dialect), self._keep_time())
        finally:
            if client:
                self._outbox.end(client.unacknowledged() + self._written)
                self._written = []
                if self.state == "connecting" and mqtt["version"] == 5:
                    self._level ^= 1  # who speaks 4 alone may just hang up: 4 and 5 in turn
            await _close(stream)
            # Last, as it counts as online until here: diagnostics would be old by the next session.
            messages, self.posted, self._sent = self._sent + self.posted, [], []
            for message in messages:
                self.dropped += not message[3]
                if message[3] and not message[2]:  # what is retained the next birth tells as it is by then
                    self.post(message)

    async def _ask_time(self):
        """Set the clock if a server answers; else certificates are judged by the board's guess."""
        try:
            await within(_CLOCK_S, self._board.sync_time(self._config["time"]["servers"]))
        except LINK_ERRORS as error:
            self._board.log("! clock: %s" % _text(error))

    def _reason(self, error):
        """An error in words. By a guessed clock a good certificate may seem not yet valid."""
        text = _text(error)
        return "clock not set" if text.endswith("not yet valid") and self._board.time_s() is None else text

    async def _serve(self, client, dialect):
        """Introduce the node, then send what is ready until asked to leave."""
        mqtt = self._config["mqtt"]
        await client.connect(dialect.node_id, mqtt["user"], mqtt["password"], dialect.status("offline"))
        self._board.keep_address()  # a broker that has moved may leave something behind that takes connections
        granted = await client.subscribe(dialect.subscriptions)
        if max(granted, default=0) > 127:
            self._board.log("! link: the broker refuses a subscription: %s" % list(granted))
        self._to("online")
        self._online_ms = self._uptime.ms()
        self.sessions += 1
        for message in self._birth():
            await _send(client, *message)
        self._outbox.begin()
        while not self._leave.is_set():
            await self._outbox.waiting.wait()
            self._outbox.waiting.clear()
            while self.posted:
                message = self.posted.pop(0)
                self._sent.append(message)
                await _send(client, *message, token=message if message[3] else True)
                if not message[3]:
                    self._sent.remove(message)
            await self._send_live(client, dialect, self._config["telemetry"]["qos"])
            await self._send_backlog(client, dialect)
        self._to("leaving")
        await within(_GOODBYE_S, _goodbye(client, *dialect.status("offline")))

    async def _send_live(self, client, dialect, qos):
        """Send what is fresh, as fast as the window allows, few writes for many packets."""
        while True:
            await client.room()
            record = self._outbox.take_live()
            if record is None:
                break
            message = dialect.live(self._outbox.reading(record, False), qos)
            if not message[3]:
                self._written.append(record)  # first: to put it may fail
            client.put(*message, record)
        await client.drain()
        for record in self._written:  # QoS 0 knows no more than that it was written
            self._outbox.acknowledge(record)
        self._written = []

    async def _send_backlog(self, client, dialect):
        """Send one batch when it is due."""
        await client.room()  # from here to put nothing waits, so that no batch can get lost between
        token, readings = self._outbox.take_batch()
        if readings:
            client.put(*dialect.backlog(readings), False, 1, token)
            await client.drain()

    async def _keep_time(self):
        """Set the clock at once and then daily; a server that does not answer costs a minute, not the session."""
        soon = _RESYNC_SOON_MS
        while True:
            try:
                await self._board.sync_time(self._config["time"]["servers"])
                await self._board.sleep_ms(_RESYNC_MS)
            except LINK_ERRORS as error:
                self._board.log("! clock: %s" % _text(error))
                await self._board.sleep_ms(soon)
                soon = min(2 * soon, _RESYNC_LATE_MS)


async def _send(client, topic, payload, retain, qos, token=True):
    await client.drain()
    while not client.put(topic, payload, retain, qos, token):
        await client.room(qos)
    client.flush()


async def _goodbye(client, topic, payload, retain, qos):
    await client.publish(topic, payload, retain, qos)
    await client.disconnect()


async def _close(stream):
    stream.close()
    try:
        await within(_CLOSE_S, stream.wait_closed())
    except LINK_ERRORS:
        pass  # it is gone either way


def _text(error):
    """An error in words: MicroPython's TimeoutError has none, CPython's may be numbers."""
    return " ".join([str(word) for word in error.args]) or "no answer in time"
