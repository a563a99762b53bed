"""The node over TLS to a real Mosquitto: it connects to the right server alone, says why not to another, comes back
when that was repaired, and never says a word in plain."""

import os
import pathlib
import pwd
import time

import pytest

from tests.host.certificates import Authority

from . import audit, brokers
from .tap import Tap

pytestmark = pytest.mark.parametrize("engine", ["mosquitto"], indirect=True)

START_LIMIT_S = 30
TRY_LIMIT_S = 20  # an attempt, and the longest pause before it; MicroPython's RSA on a busy machine takes its time
HERE = "127.0.0.1"
HEAP = ("--heap", "144k")  # TLS itself takes 5 KB of it; documents that hold certificates want the rest
ENDED = "the server ended the TLS handshake"
REFUSED = (ENDED, "TLS refused by the server")  # which of the two is a race between an alert and a reset


class Bench:
    """A broker that shows any number of certificates, each on a port of its own, and a tap before one of them."""

    def __init__(self, world):
        self.broker = world.broker
        self.folder = pathlib.Path(world.folder)
        self.authority = Authority(self.folder, "ours")
        self.other = Authority(self.folder, "other")
        self.ports = {}
        self._user = f"user {pwd.getpwuid(os.geteuid()).pw_name}\n"  # else root becomes one who cannot read the keys

    def show(self, **pairs):
        """Start the broker anew with a TLS listener for each name = (certificate, key[, more lines])."""
        self.broker.more = self._user
        for name, (certificate, key, *more) in pairs.items():
            port = self.ports.setdefault(name, brokers.free_port())
            self.broker.more += f"listener {port} {HERE}\ncertfile {certificate}\nkeyfile {key}\n" + "".join(more)
        self.broker.kill()
        self.broker.start()

    def tls(self, **keys):
        return {"ca": self.authority.pem, **keys}


def wait_log(node, words, since, times=1):
    """Wait until the log says one of `words` so often, after its first `since` characters; returns its new length."""
    words = (words,) if isinstance(words, str) else words
    deadline = time.monotonic() + TRY_LIMIT_S
    while sum(node.log()[since:].count(f"link: {word}") for word in words) < times:
        assert time.monotonic() < deadline, f"the log does not say {words}: {node.log()[since:][-600:]}"
        time.sleep(0.05)
    return len(node.log())


def is_back(world, node, since, limit_s=TRY_LIMIT_S):
    """Wait until the node reports; what was counted meanwhile adds up at the end of every test."""
    world.auditor.wait_message(node.topic("telemetry/air"), limit_s, since)


def certificates(bench):
    """name -> (certificate, key, ...) of every kind; those that begin with "good" are."""
    ours, other = bench.authority, bench.other
    rsa = Authority(bench.folder, "rsa", rsa_bits=2048, above=ours)
    chain = Authority(bench.folder, "chain", rsa_bits=2048, above=rsa)
    names = [HERE] + [f"broker-{number}.of.a.long.chain.example" for number in range(210)]
    return {
        "good_rsa": rsa.issue("good_rsa", [HERE]),
        "good_8_kb": chain.issue("good_8_kb", names),
        "wrong_name": ours.issue("wrong_name", ["localhost", "127.0.0.2"]),
        "self_signed": ours.self_signed("self_signed", [HERE]),
        "wrong_ca": other.issue("wrong_ca", [HERE]),
        "expired": ours.issue("expired", [HERE], from_days=-9, to_days=-2),
        "future": ours.issue("future", [HERE], from_days=2, to_days=9),
        "strict": (*ours.issue("strict", [HERE]), f"cafile {ours.pem}\nrequire_certificate true\n"),
    }


REASONS = {
    "wrong_name": "wrong name", "self_signed": "unknown CA", "wrong_ca": "unknown CA", "expired": "certificate expired",
    "future": "certificate not yet valid", "strict": REFUSED}


def test_node_connects_to_the_right_server_alone(world):
    """One node meets every kind of server at one address, tries each at least twice, and then finds it repaired."""
    bench = Bench(world)
    shown = certificates(bench)
    assert len(pathlib.Path(shown["good_8_kb"][0]).read_bytes()) * 3 / 4 > 8_000
    bench.show(**shown)
    with Tap(bench.ports["wrong_name"]) as tap:
        node = world.start_node(tap.port, HEAP, mqtt={"tls": bench.tls()})
        at = 0
        for name, reason in REASONS.items():
            tap.target = bench.ports[name]
            at = wait_log(node, reason, at, times=2)
        for target, reason in ((world.broker.port, ENDED), (None, "no TLS there")):
            tap.target = target
            at = wait_log(node, reason, at, times=2)
        assert not world.auditor.since(0, node.topic("status")), "it has been online"
        tap.target = bench.ports["good_rsa"]
        is_back(world, node, 0)
        tap.target = bench.ports["good_8_kb"]
        since = time.monotonic()
        tap.cut()
        is_back(world, node, since)
        tap.target = bench.ports["expired"]
        tap.cut()
        wait_log(node, "certificate expired", len(node.log()))
        since = time.monotonic()
        bench.show(**{**shown, "expired": bench.authority.issue("repaired", [HERE])})
        is_back(world, node, since)
        assert audit.wait_complete(world.auditor, node.id, TRY_LIMIT_S, since)["reconnects"] == 2
        assert not tap.plain(), "something that is no TLS was sent"
        assert len(tap.sent) >= 2 * len(REASONS) + 6


def test_client_certificates(world):
    """The broker takes only who shows a certificate of its authority: mqtt.tls.cert and key, changed over MQTT too."""
    bench = Bench(world)
    bench.show(strict=certificates(bench)["strict"])
    good, again = (dict(zip(("cert", "key"), bench.authority.issue(name), strict=True)) for name in ("good", "again"))
    wrong = dict(zip(("cert", "key"), bench.other.issue("wrong"), strict=True))
    with Tap(bench.ports["strict"]) as tap:
        stranger = world.start_node(tap.port, HEAP, node={"id": "stranger"}, mqtt={"tls": bench.tls(**wrong)})
        node = world.start_node(tap.port, HEAP, mqtt={"tls": bench.tls(**good)})
        is_back(world, node, 0, START_LIMIT_S)
        obey(world, node, 1, {"mqtt": {"tls": again}})
        wait_log(stranger, REFUSED, 0, times=2)
        assert not world.auditor.since(0, stranger.topic("status"))
        assert not tap.plain()


def test_server_that_wants_a_name_gets_it(world):
    """A stand-in for brokers in the cloud, which tell their customers apart by the name in the handshake (SNI)."""
    authority = Authority(pathlib.Path(world.folder), "ours")
    with Tap(world.broker.port, front=authority.issue("cloud", ["localhost"])) as tap:
        node = world.start_node(tap.port, HEAP, mqtt={"host": "localhost", "tls": {"ca": authority.pem}})
        is_back(world, node, 0, START_LIMIT_S)
        assert set(tap.names) == {"localhost"}


def obey(world, node, revision, patch):
    """Send a patch; wait until it is reported as applied and readings come on the new connection."""
    since = world.auditor.publish(node.topic("config/set"), {"revision": revision, "patch": patch})
    report = world.auditor.wait_json(node.topic("config"), TRY_LIMIT_S, since, lambda found: found["state"] != "trial")
    assert (report["revision"], report["state"]) == (revision, "applied"), report
    world.auditor.wait_message(node.topic("info"), TRY_LIMIT_S, since)
    is_back(world, node, time.monotonic())


def test_authority_is_rotated_over_mqtt(world):
    """Both authorities are trusted, inline, while the broker moves from one to the other; then the old one no more."""
    bench = Bench(world)
    old, new = bench.authority, bench.other
    bench.show(broker=old.issue("old", [HERE]))
    with Tap(bench.ports["broker"]) as tap:
        node = world.start_node(tap.port, HEAP, mqtt={"tls": bench.tls()})
        is_back(world, node, 0, START_LIMIT_S)
        obey(world, node, 1, {"mqtt": {"tls": {"ca": [old.inline(), new.inline()]}}})
        bench.show(broker=new.issue("new", [HERE]))
        is_back(world, node, time.monotonic())
        obey(world, node, 2, {"mqtt": {"tls": {"ca": new.inline()}}})
        at = len(node.log())
        bench.show(broker=old.issue("old-again", [HERE]))
        wait_log(node, "unknown CA", at)
        bench.show(broker=new.issue("new-again", [HERE]))
        is_back(world, node, time.monotonic())
        assert not tap.plain()
