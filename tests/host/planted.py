"""Bugs planted in the shipped node, each of which the simulator has to find, and by which invariant.

A bug that no longer fits the node (its place is gone or takes other arguments; it ends in a TypeError, or the node does
because of it) would be found by nobody, or as a crash: it is Stale, and says so at once.

`python -m tests.host.planted` looks for every one in up to 50 seeds of 8 nodes for a day with all faults, and prints
how many it took.
"""

import asyncio
import contextlib
import functools
import inspect
import json
import struct
import sys
import time
import types
from unittest import mock

from tools.sim import flash  # isort: skip, it puts lib/ on the path

import lending
import mqtt
import mqtt_writer
import sntp
import uptime
from firmware import control, link, node, outbox, reported, slots
from firmware.dialects import mote
from firmware.drivers import sht3x, sht4x
from tools.sim.faults import KINDS
from tools.sim.run import Run, Setup

SEEDS = 50
_SLIPS = (TypeError, AttributeError, NameError)  # how code that was written for another node ends


class Stale(AssertionError):
    """A planted bug does not fit the node as it is today."""


class _Slip(SystemExit):
    """A planted bug slipped. Of this kind, as asyncio lets nothing else out of a task and out of its loop."""


def acknowledges_what_broke(self, tokens):
    """What a broken connection did not acknowledge counts as acknowledged."""
    for token in list(tokens):
        if isinstance(token, (bytes, list)):
            self.acknowledge(token)
    _end(self, [])


def counts_a_batch_as_one(self, token):
    """Eight readings of a batch are acknowledged as one."""
    if isinstance(token, tuple):
        return _acknowledge(self, token)
    self.flying -= len(token) if isinstance(token, list) else 1
    self.acknowledged += 1


def sends_everything_twice(self, topic, payload, retain=False, qos=0, token=True):
    """A retry that nobody asked for."""
    done = _put(self, topic, payload, retain, qos, token)
    if done and qos:
        _put(self, topic, payload, retain, qos, True)
    return done


def is_always_live(self, index, values):
    """Readings of an outage wait among the live ones."""
    online, self._online = self._online, True
    _add(self, index, values)
    self._online = online


def believes_any_time(reply, nonce):
    """An answer of SNTP is a time, whatever it says."""
    if len(reply) < 48:
        raise ValueError("not the answer")
    return struct.unpack(">I", reply[40:44])[0] - 2208988800


def chooses_any(found, shown_ms, floor_ms):
    """However far from what the clock shows."""
    return found


def has_no_checksum(data):
    return 0


def saves_in_place(self, name, data):
    """The old content goes before the new one is there."""
    with self.load.__globals__["open"](self._path(name), "wb") as file:
        file.write(self._header(data) + data)


def has_a_careless_save(self, name):
    """Its `store` is saves_in_place."""
    names = _bound(self, name)
    if name == "store":
        names.Store.save = _watched("saves in place", names.Store, "save", saves_in_place)
    return names


def has_unreadable_segments(self, name):
    """A start takes what earlier ones left on flash for rubbish, and sweeps it away."""
    names = _bound(self, name)
    if name == "segments":
        names.Segments.read = _watched("sweeps its flash", names.Segments, "read", sees_nothing)
    return names


def sees_nothing(self, number, skip=0, most=0):
    return None


def forgets_its_key(name):
    """A node with a key obeys whoever comes, signed or not."""
    module = _lend(name)
    if name == "signed":
        return types.SimpleNamespace(
            opened=lambda key, receiver, kind, message: message[65:] if message[64:65] == b"\n" else message)
    return module


def obeys_kept_commands(self, topic, payload, retained):
    return _route(self, topic, payload, False)


def shows_its_secrets(secrets, document, shown, path=()):
    return document


def keeps_far_too_much(box, ring, slots):
    return _resize(box, ring, 40 * slots)


def never_goes_to_flash(self):
    """However much waits, and however long."""


def retries_at_once(attempt, window_s, cap_s, random):
    return 100


def feeds_once(self, now):
    """The watchdog is started and forgotten."""
    feed, self._board.feed = self._board.feed, lambda: None
    try:
        return _tend(self, now)
    finally:
        self._board.feed = feed


async def leaves_its_siblings(*coroutines):
    """Whoever ran beside the first to end runs on."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    return done.pop().result()


def has_ticks_that_wrap(self):
    """Uptime is the board's ticks."""
    self._ms = self._board.ticks_ms()
    return self._ms


async def waits_for_ever(self):
    """A broker that falls silent is not noticed."""
    await asyncio.Event().wait()


def never_sends_its_backlog(self, now):
    return 5_000


def is_deaf_to_documents(self, now, kind, name, wide, payload):
    if kind != "config":
        _receive(self, now, kind, name, wide, payload)


def numbers_its_readings_anew(self, record, late):
    name, quantities, seq, when, values = _reading(self, record, late)
    return name, quantities, seq % 100, when, values


def publishes_to_a_wildcard(self, reading, qos):
    """A sensor may have any name."""
    topic, *rest = _live(self, reading, qos)
    return (topic + "/#", *rest)


def leaves_a_will_that_nobody_keeps(self, word):
    return self.top + "status", word, word == "online", 1


def says_offline_too_late(client, topic, payload, retain, qos):
    """The goodbye has no last word."""
    return client.disconnect()


def posts_without_a_bound(self, message):
    self.posted.extend([message] * 40)  # more than leaves at once
    self._outbox.waiting.set()


def reports_what_it_does_not_do(facts):
    """The report leaves the patch out."""
    empty = types.SimpleNamespace(files=types.SimpleNamespace(load=lambda name: None))
    return _pieces((empty, *facts[1:]))


_end, _add, _resize, _reading = outbox.Outbox.end, outbox.Outbox.add, slots.resize, outbox.Outbox.reading
_live = mote.Dialect.live
_put, _lend, _route, _receive = mqtt_writer.Writer.put, lending.lend, mote.Dialect.route, control.Control.receive
_acknowledge, _bound = outbox.Outbox.acknowledge, flash.Shelf.bound
_pieces, _tend = reported.pieces, node.Node._tend

# Name: (the invariants of which it may break the first, what is put where).
BUGS = {
    "acknowledges what broke": (("lost",), (outbox.Outbox, "end", acknowledges_what_broke)),
    "counts a batch as one": (("accounting",), (outbox.Outbox, "acknowledge", counts_a_batch_as_one)),
    "sends everything twice": (("duplicates",), (mqtt_writer.Writer, "put", sends_everything_twice)),
    "is always live": (("stale",), (outbox.Outbox, "add", is_always_live)),
    "believes any time": (("wrong-time",), (sntp, "parse", believes_any_time), (sntp, "choose", chooses_any)),
    "has no checksum": (("false-value",), (sht4x, "crc8", has_no_checksum), (sht3x, "crc8", has_no_checksum)),
    "saves in place": (("config",), (flash.Shelf, "bound", has_a_careless_save)),
    "sweeps its flash": (("lost",), (flash.Shelf, "bound", has_unreadable_segments)),
    "forgets its key": (("unsigned",), (lending, "lend", forgets_its_key)),
    "obeys kept commands": (("old-command",), (mote.Dialect, "route", obeys_kept_commands)),
    "shows its secrets": (("secret",), (reported, "_redacted", shows_its_secrets)),
    "keeps far too much": (("memory",), (slots, "resize", keeps_far_too_much),
                           (outbox.Outbox, "_spill", never_goes_to_flash)),
    "posts without a bound": (("memory",), (link.Link, "post", posts_without_a_bound)),
    "retries at once": (("storm",), (link, "delay_ms", retries_at_once)),
    "lets errors through": (("crash",), (link, "LINK_ERRORS", (asyncio.TimeoutError,))),
    "leaves its siblings": (("leak", "memory"), (link, "together", leaves_its_siblings)),
    "feeds its watchdog once": (("hang",), (node.Node, "_tend", feeds_once)),
    "has ticks that wrap": (("measures",), (uptime.Uptime, "ms", has_ticks_that_wrap)),
    "waits for ever": (("online",), (mqtt.Client, "watch", waits_for_ever)),
    "never sends its backlog": (("drained",), (outbox.Outbox, "turn", never_sends_its_backlog)),
    "is deaf to documents": (("settled",), (control.Control, "receive", is_deaf_to_documents)),
    "numbers its readings anew": (("ghost",), (outbox.Outbox, "reading", numbers_its_readings_anew)),
    "publishes to a wildcard": (("protocol",), (mote.Dialect, "live", publishes_to_a_wildcard)),
    "leaves a will that nobody keeps": (("truth",), (mote.Dialect, "status", leaves_a_will_that_nobody_keeps)),
    "says offline too late": (("truth",), (link, "_goodbye", says_offline_too_late)),
    "reports what it does not do": (("config", "settled"), (reported, "pieces", reports_what_it_does_not_do)),
}


@contextlib.contextmanager
def planted(name):
    """A node with this bug, in this process. Raises Stale when it does not fit."""
    with contextlib.ExitStack() as stack:
        for place, attribute, bug in BUGS[name][1:]:
            stack.enter_context(mock.patch.object(place, attribute, _watched(name, place, attribute, bug)))
        yield


def _watched(name, place, attribute, bug):
    """What is put at a place: the bug, which tells when it slips. Raises Stale where it does not fit."""
    where = f"{name!r}, planted at {getattr(place, '__qualname__', place.__name__)}.{attribute},"
    if not hasattr(place, attribute):
        raise Stale(f"{where} has no place there any more: find what it is called today")
    original = getattr(place, attribute)
    if not inspect.isfunction(bug):
        if type(bug) is not type(original):
            raise Stale(f"{where} puts a {type(bug).__name__} in the place of a {type(original).__name__}")
        return bug
    if not _same_parameters(bug, original):
        raise Stale(f"{where} takes {inspect.signature(bug)} where the node takes {inspect.signature(original)}")
    return _telling(where, bug)


def _same_parameters(bug, original):
    shown = [[(one.name, one.kind, one.default is one.empty) for one in inspect.signature(function).parameters.values()]
             for function in (bug, original)]
    return shown[0] == shown[1]


def _telling(where, bug):
    """`bug`, whose slips end the whole run."""
    if inspect.iscoroutinefunction(bug):
        @functools.wraps(bug)
        async def telling(*arguments, **named):
            try:
                return await bug(*arguments, **named)
            except _SLIPS as error:
                raise _Slip(f"{where} ends in {error!r}") from error
    else:
        @functools.wraps(bug)
        def telling(*arguments, **named):
            try:
                return bug(*arguments, **named)
            except _SLIPS as error:
                raise _Slip(f"{where} ends in {error!r}") from error
    return telling


def seeds_until_found(name, setup, seeds=SEEDS):
    """(how many seeds it took, the violation) to find a bug; None, and the others that were found, when it was not.
    Raises Stale when the bug does not fit."""
    others = set()
    with planted(name):
        for count in range(1, seeds + 1):
            for violation in _violations(name, setup._replace(seed=count)):
                if violation["invariant"] in BUGS[name][0]:
                    return count, violation
                others.add(violation["invariant"])
    return None, others


def _violations(name, setup):
    """Those of a run with this bug, which ends at the first that may be the bug's, or tells that the bug is stale."""
    try:
        found = Run(setup, until=(*BUGS[name][0], "crash")).go()["violations"]
    except _Slip as slip:
        raise Stale(str(slip)) from slip
    for violation in found:
        last = violation["text"].strip().rpartition("\n")[2]
        if violation["invariant"] == "crash" and last.partition(":")[0] in [slip.__name__ for slip in _SLIPS]:
            raise Stale(f"{name!r} makes the node slip:\n{violation['text']}")
    return found


def main():
    missed = 0
    for name in sys.argv[1:] or BUGS:
        began = time.monotonic()
        try:
            count, found = seeds_until_found(name, Setup(nodes=8, days=1, faults=tuple(KINDS)))
        except Stale as error:
            count, found = None, error
        missed += count is None
        told = f"seed {count:2}  {json.dumps(found)[:150]}" if count else f"NOT FOUND, but {found}"
        print(f"{name:32} {time.monotonic() - began:5.1f} s  {told}", flush=True)
    return missed > 0


if __name__ == "__main__":
    sys.exit(main())
