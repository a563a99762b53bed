"""Small files that are always whole, on both Pythons; on littlefs also at every cut of the power."""

import os

import flash
from minitest import equal, raises
from store import Store

OLD = b"old" * 33
NEW = b"new" * 33
LONG = b"0123456789" * 60  # beyond what littlefs keeps inside its metadata


def spoil(path, change):
    with open(path, "rb") as file:
        data = bytearray(file.read())
    with open(path, "wb") as file:
        file.write(change(data))


def test_what_was_saved_is_loaded():
    store = Store(flash.folder())
    for data in (OLD, NEW, b"", b"\0", bytes(range(256)) * 20):
        store.save("a", data)
        equal(store.load("a"), data)
    equal(store.corrupt, 0)


def test_absent_and_empty_are_no_content_and_no_fault():
    root = flash.folder()
    store = Store(root)
    equal(store.load("a"), None)
    open(root + "/a", "wb").close()
    equal(store.load("a"), None)
    equal(store.corrupt, 0)


def flip(index):
    def change(data):
        data[index] ^= 1
        return data

    return change


def test_every_damage_is_found_and_counted():
    root = flash.folder()
    store = Store(root)
    changes = [flip(i) for i in range(-3, 13)]
    changes += [lambda data: data[:-1], lambda data: data[:5], lambda data: data + b"x"]
    for count, change in enumerate(changes):
        store.save("a", OLD)
        spoil(root + "/a", change)
        equal(store.load("a"), None)
        equal(store.corrupt, count + 1)
    store.save("a", NEW)
    equal(store.load("a"), NEW, "after a damaged file was replaced:")


def test_a_folder_in_the_place_of_the_file_counts_as_damage():
    root = flash.folder()
    os.mkdir(root + "/a")
    store = Store(root)
    equal(store.load("a"), None)
    equal(store.corrupt, 1)


def test_a_left_over_new_file_is_overwritten():
    root = flash.folder()
    with open(root + "/a.new", "wb") as file:
        file.write(b"x" * 1000)
    store = Store(root)
    store.save("a", OLD)
    equal(store.load("a"), OLD)
    equal(sorted(os.listdir(root)), ["a"])


def test_a_writer_that_raises_leaves_the_old_content():
    store = Store(flash.folder())
    store.save("a", OLD)
    with raises((OSError, TypeError, MemoryError)):
        store.save("a", None)
    equal(store.load("a"), OLD)
    with raises(OSError):
        Store("/no/such/folder").save("a", OLD)


def test_a_full_flash_leaves_the_old_content():
    root = flash.folder()
    store = Store(root)
    store.save("a", OLD)
    if flash.vfs is None:
        os.symlink("/dev/full", root + "/a.new")
    with raises(OSError):
        store.save("a", bytes(flash.BLOCKS * flash.BLOCK_BYTES))
    equal(store.load("a"), OLD)
    if flash.vfs is None:
        os.remove(root + "/a.new")
    store.save("a", NEW)
    equal(store.load("a"), NEW, "after the disk was full:")


class RemovesFirst(Store):
    def save(self, name, data):
        path = self._path(name)
        with open(path + ".new", "wb") as file:
            file.write(self._header(data) + data)
        os.remove(path)
        os.rename(path + ".new", path)


class RenamesBeforeClose(Store):
    def save(self, name, data):
        path = self._path(name)
        with open(path + ".new", "wb") as file:
            file.write(self._header(data) + data)
            os.rename(path + ".new", path)


class WritesInPlace(Store):
    def save(self, name, data):
        with open(self._path(name), "wb") as file:
            file.write(self._header(data))
            file.flush()
            file.write(data)


def cut(kind, image, data, cut_at, torn):
    """Save `data` over `image` with a cut; return (image afterwards, did power fail?)."""
    device = flash.Flash(bytearray(image), cut_at, torn)
    try:
        with flash.mounted(device):
            kind(flash.ROOT).save("a", data)
    except OSError:
        return device.image, True
    return device.image, False


def content(image):
    with flash.mounted(flash.Flash(image)):
        return Store(flash.ROOT).load("a")


def cuts(kind, image, new):
    """Cut at every operation, whole and torn: each (image afterwards, did power fail?)."""
    for torn in range(11):
        cut_at = 0
        failed = True
        while failed:
            after, failed = cut(kind, image, new, cut_at, torn)
            yield after, failed
            cut_at += 1
        assert cut_at > 3, "the test cut nothing"


def losses(kind, image, old, new):
    """How many cuts leave neither `old` nor `new`, and the last image, which has `new`."""
    lost = 0
    for after, failed in cuts(kind, image, new):
        lost += content(after) not in ((old, new) if failed else (new,))
    return lost, after


def first(data):
    image, failed = cut(Store, flash.formatted(), data, None, 0)
    equal(failed, False)
    return image


def test_power_cut_at_every_operation_leaves_old_or_new():
    for old, new in ((None, NEW), (OLD, NEW), (OLD, LONG), (LONG, LONG[:-1]), (LONG, OLD)):
        image = first(old) if old else flash.formatted()
        for _ in range(3):  # on a flash that ages
            lost, image = losses(Store, image, old, new)
            equal(lost, 0)
            old, new = new, new[1:] + b"!"


def test_a_second_cut_during_the_save_after_recovery_leaves_old_or_new():
    for image, _ in cuts(Store, first(OLD), NEW):
        old = content(bytearray(image))
        equal(losses(Store, image, old, LONG)[0], 0)


def test_the_power_cut_test_finds_the_usual_mistakes():
    for mistake in (RemovesFirst, RenamesBeforeClose, WritesInPlace):
        lost, _ = losses(mistake, first(LONG), LONG, LONG[1:] + b"!")
        assert lost > 0, mistake.__name__ + " survived"


if flash.vfs is None:  # CPython has no littlefs whose power could be cut
    del test_power_cut_at_every_operation_leaves_old_or_new
    del test_a_second_cut_during_the_save_after_recovery_leaves_old_or_new
    del test_the_power_cut_test_finds_the_usual_mistakes
