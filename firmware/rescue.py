"""The recovery node: blocking, on umqtt.simple; it runs when the real one has ended early a few times in a row.

It says `rescue`, tells the last traceback, and obeys a new configuration, `restart` and `factory-reset`. On a board it
lies in the folder /rescue with copies of all that it needs, which no update writes to: what broke the node cannot break
this.
"""

import asyncio
import json

RETRY_MS = 900_000  # then the node gets another start: what broke it may have passed
SOON_MS = 90_000  # when it was the supply that ended the last start: most of them will be well
_JOIN_S = 30  # above the board's own deadline for joining, which names its reason
_CLOCK_S = 20  # four time servers, each with a deadline of its own
_PING_MS = 20_000
_SILENT_MS = 65_000  # three pings without an answer
_KEEPALIVE_S = 60
_PAUSE_MS = 5_000  # between attempts
_MAX_WAITING = 4


class Rescue:
    """`fetch(name)` gives the modules that lie beside this one: config, desired, trial, starts, signature, signed,
    blocking, mqtt_ws; `simple` is umqtt's."""

    def __init__(self, board, fetch, simple):
        self._board = board
        self._fetch = fetch
        self._simple = simple
        self._settings = fetch("desired").Settings()
        self._began_ms = board.ticks_ms()
        self._waiting = []
        self._client = self._wire = self._top = None
        self._ends = self._failed = False
        self._retry_ms = RETRY_MS

    def run(self):
        """Be there for orders, and in the end let the node start again. Raises what the board's reset raises, and
        ConfigError when not even config.json can be read."""
        board, starts = self._board, self._fetch("starts")
        board.log("rescue: %s" % starts.crash(board.files))
        if board.reset_cause == "power-on" and starts.early(board.files) > starts.LIMIT:  # and not by the button
            self._retry_ms = SOON_MS
        self._desired("load")
        if self._settings.trial:  # what was on trial when the node ended for the last time is no way to the broker
            self._fetch("trial").roll_back(
                self._fetch("desired"), board, self._fetch("config"), self._settings, "the node could not live with it")
        turn = 0
        while not self._over():
            configs = self._configs()
            try:
                self._serve(configs[turn % len(configs)])
            except Exception as error:  # umqtt raises anything at a bad packet; the next attempt is all that matters
                self._failed = True
                board.log("rescue: %s %s" % (type(error).__name__, error))
            finally:
                self._leave()
            turn += 1
            self._pause()
        board.reset()

    def _over(self):
        """Whether the node is to start: asked for, or it is time to try."""
        if not self._ends and self._board.ticks_diff(self._board.ticks_ms(), self._began_ms) > self._retry_ms:
            self._fetch("starts").once_more(self._board.files)
            self._ends = True
        return self._ends

    def _desired(self, verb, *arguments):
        return getattr(self._fetch("desired"), verb)(self._board, self._fetch("config"), self._settings, *arguments)

    def _configs(self):
        """Whole configurations to connect with: the last one that was well, and what is stored now."""
        table, board = self._fetch("config"), self._board
        good = self._fetch("starts").proven(board, table, self._settings.spare)
        found = [self._settings.effective]
        if good is not None:
            found.insert(0, table.filled(table.merge(self._fetch("desired").provisioned(board, table)[0], good)))
        return found

    def _serve(self, config):
        """One session, until it breaks or the node is to start. Raises whatever breaks it."""
        board, mqtt = self._board, config["mqtt"]
        board.feed()
        asyncio.run(asyncio.wait_for(self._join(config["wifi"]), _JOIN_S))
        if mqtt["tls"] and board.time_s() is None:
            self._set_clock(config["time"]["servers"])
        name = config["node"]["id"] or board.default_id
        self._top = mqtt["base"] + "/" + name + "/"
        self._wire = self._simple.socket = self._fetch("blocking").Wire(board, mqtt, self._fetch("mqtt_ws").upgrade)
        client = self._simple.MQTTClient(  # which counts the letters of a text, and brokers count bytes
            name.encode(), mqtt["host"], mqtt["port"], mqtt["user"] and mqtt["user"].encode(),
            (mqtt["password"] or "").encode(), keepalive=_KEEPALIVE_S)
        client.set_last_will((self._top + "status").encode(), b"offline", True, 1)
        client.set_callback(self._take)
        client.connect()
        self._client = client
        for name in ("config/set", "command/+"):
            client.subscribe((self._top + name).encode(), 1)
        self._say("status", "rescue", True)
        self._say("info", json.dumps(self._about(config)), True)
        self._say_report()  # on which `mote config set` builds
        board.log("rescue: listening at " + self._top)
        self._listen()

    async def _join(self, networks):
        """Be in one of the networks: anew after a failure, since an association may be dead, or that of another
        configuration."""
        if self._failed:
            await self._board.leave()
        if not self._board.joined():
            await self._board.join(networks)
        self._failed = False

    def _set_clock(self, servers):
        """Certificates are judged by it; where nobody tells the time, by what the board knows to be past."""
        try:
            asyncio.run(asyncio.wait_for(self._board.sync_time(servers), _CLOCK_S))
        except (OSError, asyncio.TimeoutError) as error:
            self._board.log("rescue: no time: %s" % error)

    def _listen(self):
        board, pinged = self._board, self._board.ticks_ms()
        while not self._over():
            board.feed()
            self._client.check_msg()
            while self._waiting and not self._ends:
                self._obey(*self._waiting.pop(0))
            now = board.ticks_ms()
            if board.ticks_diff(now, pinged) > _PING_MS:
                self._client.ping()
                pinged = now
            if board.ticks_diff(now, self._wire.heard_ms) > _SILENT_MS:
                raise OSError("the broker is silent")

    def _leave(self):
        """Say that nobody is here, if that can still be said."""
        try:
            if self._client:
                # At QoS 0: the answer might be looked for in a megabyte of what is no packet.
                self._client.publish((self._top + "status").encode(), b"offline", True, 0)
                self._client.disconnect()
        except (OSError, ValueError, AssertionError, IndexError, TypeError, asyncio.TimeoutError) as error:
            self._board.log("rescue: goodbye: %s" % error)
        self._client = None
        if self._wire:
            self._wire.close()
        self._waiting = []

    def _pause(self):
        """Wait a little before the next attempt."""
        self._board.feed()
        if not self._ends:
            asyncio.run(self._sleep(_PAUSE_MS))

    async def _sleep(self, ms):
        await self._board.sleep_ms(ms)

    def _say(self, topic, payload, retain=False):
        self._client.publish((self._top + topic).encode(), payload.encode(), retain, 1)

    def _about(self, config):
        board = self._board
        return {
            "name": config["node"]["name"],
            "board": board.model,
            "interpreter": board.interpreter,
            "mac": board.mac,
            "reset_cause": board.reset_cause,
            "revision": self._settings.revision,
            "rescue": self._fetch("starts").crash(board.files),
        }

    def _take(self, topic, payload):
        """umqtt's callback; obeyed once the acknowledgement is out, so that a restart cannot loop."""
        topic = str(topic, "utf-8")
        if len(self._waiting) < _MAX_WAITING and topic.startswith(self._top):
            self._waiting.append((topic[len(self._top) :], payload, self._wire.head & 1))

    def _obey(self, topic, payload, retained):
        if topic == "config/set" and payload:
            self._configure(payload)
        elif topic.startswith("command/") and not retained:
            self._command(topic[8:], payload)

    def _configure(self, payload):
        """Obey a document as the node does; what follows is a start with it, on trial."""
        before = self._settings.report
        try:
            effect = self._desired("obey", payload)
        except (MemoryError, SyntaxError, ValueError, TypeError, AttributeError) as error:  # of a driver's file, too
            effect = None
            self._fetch("desired").refused(self._board, self._settings, error)
        if effect:
            self._try_out()
        elif self._settings.report is not before:
            self._say_report()

    def _say_report(self):
        settings = self._settings
        facts = self._board, settings.revision, settings.report, settings.effective
        self._say("config", "".join(self._fetch("reported").pieces(facts)), True)

    def _try_out(self):
        """Leave what is stored on trial from the next start on, over the last configuration that was well."""
        board, desired, starts = self._board, self._fetch("desired"), self._fetch("starts")
        document = desired.stored(board)
        good = starts.proven(board, self._fetch("config"), self._settings.spare)
        document["old"] = document.get("old") or {} if good is None else good
        document["first"] = True
        desired.store(board, document)
        retained = self._fetch("retained")
        retained.save(board, retained.SLEEP, b"")  # whatever a sleeping node kept may be what it fails at
        starts.survived(board.files)
        self._ends = True

    def _command(self, verb, payload):
        fields = {"id": None, "verb": verb[:32], "ok": False}
        try:
            if self._settings.effective["config"]["key"] is not None:
                payload = self._fetch("signature").opened(
                    self._fetch("signed"), self._board, self._settings, verb, payload, True)
            if payload[:1] == b"{":
                fields["id"] = json.loads(str(payload, "utf-8")).get("id")
            if verb == "restart":
                self._fetch("starts").once_more(self._board.files)
            elif verb == "factory-reset":
                self._fetch("trial").forget(self._fetch("desired"), self._board, None, None)
                self._fetch("starts").survived(self._board.files)
            else:
                raise ValueError("this is the rescue node, allowed: factory-reset restart")
            fields["ok"] = self._ends = True
        except (ValueError, OSError) as error:
            fields["error"] = str(error)
        self._say("reply", json.dumps(fields))


def main(board):
    """Be the recovery node on this board."""
    from umqtt import simple

    Rescue(board, __import__, simple).run()
