"""The power fails at every operation of the flash, before, during and after it, under the shipped code on the real
littlefs: what was reported as done stands, and everything else is whole, old or new. MOTE_SOAK=1 for a long life.
"""

import json
import os


import flash
from firmware import boots, config, desired, signature, starts, trial
from minitest import equal
from stage import Board
from store import Store

SEED = 20_261_124
SAVES = 1_000 if os.getenv("MOTE_SOAK") else 44
TORN = (0, 5, 10)  # tenths of the operation that still happen
BASE = {"mqtt": {"host": "broker.test", "password": "base-secret"}, "config": {"key": "0f" * 32}}
FILES = ("config", "boot", "starts", "good", "base", "crash", "n")


class Signed:
    """lib/signed.py to whom everything is signed: signing is not what is tested here."""

    @staticmethod
    def looks_signed(message):
        return True

    @staticmethod
    def opened(key, receiver, kind, message):
        return message


class Noted:
    """A store of `kind`, and in `asked` what it was asked to keep: the truth that its files are held against."""

    def __init__(self, kind):
        self._store = kind(flash.ROOT)
        self.load = self._store.load
        self.asked = {}

    def save(self, name, data):
        self.asked[name] = data
        self._store.save(name, data)


def settings(on):
    found = desired.Settings()
    desired.load(on, config, found)
    return found


def obey(on, draw):
    """A configuration that cannot strand: applied once it is stored."""
    held = settings(on)
    patch = {"node": {"name": "x" * (1 + draw(60))}, "wifi": {}}
    for number in range(draw(9)):
        patch["wifi"]["network-%d" % number] = {"password": "%016d" % draw(99_999)}
    if not draw(4):
        patch["mqtt"] = {"host": "another-%d.test" % draw(1000)}
    document = {"revision": held.revision + 1, "patch": patch}
    return desired.obey(on, config, held, json.dumps(document).encode()) is not None


def confirm(on, draw):
    held = settings(on)
    if held.trial:
        trial.confirm(desired, on, config, held)
    return not held.trial


def roll_back(on, draw):
    held = settings(on)
    if held.trial:
        trial.roll_back(desired, on, config, held, "no answer in time")
    return False  # what it reports is what the next start does again, if this one could not store it


def bump(on, draw):
    boots.next_boot(on)
    return False


def count(on, draw):
    starts.count(on.files)
    return True


def prove(on, draw):
    starts.prove(on, desired.stored(on)["patch"])
    return False


def remember(on, draw):
    try:
        raise OSError("x" * draw(900))
    except OSError as error:
        starts.remember(on.files, error)
    return False


def order(on, draw):
    last = int(on.files.load("n") or 0)
    held = settings(on)
    held.effective = {"config": {"key": BASE["config"]["key"]}, "node": {"id": None}}
    signature.opened(Signed, on, held, "factory-reset", json.dumps({"n": last + 1 + draw(1000)}).encode(), True)
    return True


LIFE = (count, bump, obey, confirm, order, obey, roll_back, prove, remember, obey, confirm)  # a start, over and over


def contents(image):
    """File -> content of an image after a start; a file that is damaged is a failure."""
    with flash.mounted(flash.Flash(image)):
        files = Store(flash.ROOT)
        found = {name: files.load(name) for name in FILES}
        equal(files.corrupt, 0, "damaged files:")
        return found


def act(kind, step, image, number, cut_at, torn):
    """Run a step with a cut; returns (image, whether power failed, whether it reported to be done, what was to be
    kept)."""
    device = flash.Flash(bytearray(image), cut_at, torn)
    on = Board({"mqtt": BASE["mqtt"]})
    on.random = lambda: 0.5
    done = False
    with flash.mounted(device):
        on.files = Noted(kind)
        try:
            done = step(on, random_numbers(number))
        except (OSError, desired.ConfigError):
            assert device.dead, "it failed, and the power had not"
    return device.image, device.dead, done, on.files.asked


def random_numbers(number):
    """A function that draws below a bound, the same for the same number."""
    state = [number * 2_654_435_761 % 2**32]

    def draw(below):
        state[0] = (state[0] * 1_103_515_245 + 12_345) % 2**31
        return (state[0] >> 8) % below

    return draw


def live(kind, steps, first=1):
    """So many steps of a life on a flash that ages, with a cut at every operation of each; returns (cuts, how many of
    them left a file that is neither old nor new, or old after the new one was reported)."""
    image, cuts, lost = flash.formatted(), 0, 0
    for number in range(first, first + steps):
        step = LIFE[number % len(LIFE)]
        before = contents(image)
        whole, _, _, asked = act(kind, step, image, number, None, 0)
        for torn in TORN:
            cut_at, failed = 0, True
            while failed:
                cut, failed, done, _ = act(kind, step, image, number, cut_at, torn)
                found = contents(cut)
                for name in FILES:
                    new = asked.get(name, before[name])
                    lost += found[name] != new and (done or not failed or found[name] != before[name])
                cut_at += 1
                cuts += 1
        image = whole
    return cuts, lost


def test_what_was_reported_stands_and_everything_is_whole():
    print("seed", SEED)
    cuts, lost = live(Store, SAVES, SEED % 1000)
    print("%d saves, %d cuts" % (SAVES, cuts))
    assert cuts > 10 * SAVES, cuts
    equal(lost, 0)


def test_a_flash_that_met_every_cut_takes_the_next_save():
    image = flash.formatted()
    for number in range(1, 12):
        image = act(Store, LIFE[number % len(LIFE)], image, number, None, 0)[0]
    cut_at, failed = 0, True
    while failed:
        cut, failed = act(Store, obey, image, 5, cut_at, 5)[:2]
        again, dead, done, _ = act(Store, obey, cut, 6, None, 0)
        assert done and not dead
        contents(again)
        cut_at += 1


class RemovesFirst(Store):
    def save(self, name, data):
        path = self._path(name)
        with open(path + ".new", "wb") as file:
            file.write(self._header(data) + data)
        if name in os.listdir(self.root):
            os.remove(path)
        os.rename(path + ".new", path)


class RenamesBeforeClose(Store):
    def save(self, name, data):
        path = self._path(name)
        with open(path + ".new", "wb") as file:
            file.write(self._header(data) + data)
            os.rename(path + ".new", path)


class FlushesMidway(Store):
    def save(self, name, data):
        with open(self._path(name), "wb") as file:
            file.write(self._header(data))
            file.flush()
            file.write(data)


def test_the_classic_mistakes_are_found():
    for mistake in (RemovesFirst, RenamesBeforeClose, FlushesMidway):
        try:
            lost = live(mistake, len(LIFE))[1]
        except AssertionError as damaged:
            assert "damaged files" in str(damaged)
            lost = 1
        assert lost, mistake.__name__ + " survived"


if flash.vfs is None:  # CPython has no littlefs whose power could be cut
    del test_what_was_reported_stands_and_everything_is_whole
    del test_a_flash_that_met_every_cut_takes_the_next_save
    del test_the_classic_mistakes_are_found
