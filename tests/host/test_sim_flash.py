"""The simulated flash: lib/store.py survives a power cut at every operation on it, and a careless writer does not."""

import errno
import json
import types

import pytest

from firmware import slots
from firmware.outbox import Outbox
from lending import load
from ring import Ring
from tools.sim.flash import File, PowerCut, Shelf


def shelf_with_store():
    shelf = Shelf()
    from tools.sim.flash import Flash

    flash = shelf.flashes["n"] = Flash()
    flash.on_cut = lambda: None
    return shelf, flash, shelf.bound("store").Store("/n/state")


def test_the_store_is_the_shipped_one_and_keeps_what_it_saved():
    _, flash, store = shelf_with_store()
    assert store.load("a") is None
    store.save("a", b"one")
    store.save("a", b"two")
    assert store.load("a") == b"two"
    assert set(flash.files) == {"/n/state/a"} and flash.operations == 8


def test_a_cut_at_every_operation_leaves_the_old_content_or_the_new():
    cuts = 0
    while True:
        _, flash, store = shelf_with_store()
        store.save("a", b"old" * 50)
        flash.cut_at = cuts
        try:
            store.save("a", b"new" * 50)
            break
        except PowerCut:
            with pytest.raises(PowerCut):
                store.load("a")
        flash.dead = False
        assert store.load("a") == b"old" * 50 and not store.corrupt
        store.save("a", b"after")
        assert store.load("a") == b"after"
        cuts += 1
    assert cuts == 4, "open, header, content, rename"


def test_a_writer_in_place_is_found():
    shelf, flash, _ = shelf_with_store()

    def save(data):
        with shelf.open("/n/state/b", "wb") as file:
            file.write(json.dumps(data).encode())

    save({"old": 1})
    flash.cut_at = 1
    with pytest.raises(PowerCut):
        save({"new": 1})
    flash.dead = False
    with pytest.raises(ValueError), shelf.open("/n/state/b", "rb") as file:
        json.loads(file.read())


@pytest.mark.parametrize("knob", ["full", "worn"])
def test_a_flash_that_takes_nothing_says_so_and_keeps_what_it_has(knob):
    _, flash, store = shelf_with_store()
    store.save("a", b"old")
    setattr(flash, knob, True)
    with pytest.raises(OSError):
        store.save("a", b"new")
    assert store.load("a") == b"old"
    setattr(flash, knob, False)
    store.save("a", b"new")
    assert store.load("a") == b"new"


def test_room_ends_where_the_flash_does():
    shelf, flash, store = shelf_with_store()
    flash.capacity_bytes = 1_000
    with pytest.raises(OSError):
        store.save("a", bytes(2_000))
    store.save("a", bytes(500))
    assert shelf.statvfs("/n")[2:4] == (0, 0) and shelf.stat("/n/state/a")[6] == 512
    assert shelf.listdir("/n/state") == ["a"] and shelf.listdir("/n") == ["state"]


def test_files_can_be_appended_to_and_read_anywhere():
    shelf, _, _ = shelf_with_store()
    with shelf.open("/n/log", "wb") as file:
        file.write(b"abc")
    with shelf.open("/n/log", "ab") as file:
        file.write(b"def")
    with shelf.open("/n/log", "r+b") as file:
        file.seek(2)
        file.write(b"X")
    with shelf.open("/n/log", "rb") as file:
        assert file.read() == b"abXdef"
        file.seek(1)
        assert file.read(2) == b"bX"
    shelf.remove("/n/log")
    with pytest.raises(OSError):
        shelf.stat("/n/log")


def waiting(shelf, store, count):
    """An Outbox on the shelf's flash, in which `count` readings wait."""
    bound = {name: shelf.bound(name) for name in ("segments", "segments_writer")}
    board = types.SimpleNamespace(files=store, time_s=lambda: 1_800_000_000, log=lambda text: None)
    clock = types.SimpleNamespace(ms=lambda: 1_000_000)
    box = Outbox(board, clock, Ring, lambda name: bound.get(name) or load(name))
    index = slots.declare(box, "level", (("level", "m", None, 1),))
    box.rules = {"flash_bytes": 262_144, "full": "oldest", "spill_after_s": 900}
    slots.resize(box, Ring, 64)
    box.start(1)
    for number in range(count):
        box.add(index, (number,))
    return box


def test_a_spill_on_a_full_flash_ends_and_costs_nothing():
    shelf, flash, store = shelf_with_store()
    box = waiting(shelf, store, 60)
    files = dict(flash.files)
    flash.full, flash.cut_at = True, 50  # should it go round for ever
    assert box.flash("spill") is None
    assert (len(box.old), box.stored, flash.files) == (60, 0, files)
    flash.full, flash.cut_at = False, None
    assert box.flash("spill") and (len(box.old), box.stored) == (0, 60)


def test_a_spill_on_a_flash_that_fails_costs_nothing_that_is_stored(monkeypatch):
    shelf, flash, store = shelf_with_store()
    box = waiting(shelf, store, 300)
    box.flash("spill")
    box.add(0, (300,))
    write = File.write

    def fails(file, data):
        if "/q" in file._path:
            raise OSError(errno.EIO)
        return write(file, data)

    monkeypatch.setattr(File, "write", fails)
    assert box.flash("spill") is None
    assert (box.stored, box.dropped["flash"], len(box.old)) == (300, 0, 1)
