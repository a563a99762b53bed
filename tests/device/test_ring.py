"""The ring of records against a plain list that does the same."""

import random

from minitest import equal, raises
from ring import Ring


def contents(ring):
    """What is in it, oldest first; leaves it as it was."""
    found = [ring.pop() for _ in range(len(ring))]
    for record in found:
        equal(ring.push(record), False)
    return found


def test_what_goes_in_first_comes_out_first():
    ring = Ring(3, 2)
    equal(len(ring), 0)
    equal([ring.push(record) for record in (b"aa", b"bb", b"cc")], [False] * 3)
    equal(len(ring), 3)
    equal([ring.pop() for _ in range(3)], [b"aa", b"bb", b"cc"])
    equal(len(ring), 0)


def test_the_oldest_goes_when_it_is_full():
    ring = Ring(2, 1)
    equal([ring.push(record) for record in (b"a", b"b", b"c", b"d", b"e")], [False, False, True, True, True])
    equal(contents(ring), [b"d", b"e"])


def test_a_record_that_is_given_back_is_the_oldest_again():
    ring = Ring(3, 1)
    for record in (b"a", b"b", b"c"):
        ring.push(record)
    record = ring.pop()
    equal(ring.push_front(record), False)
    equal(contents(ring), [b"a", b"b", b"c"])


def test_a_record_that_is_given_back_to_a_full_ring_is_dropped():
    ring = Ring(2, 1)
    ring.push(b"a")
    ring.push(b"b")
    equal(ring.push_front(b"z"), True)
    equal(contents(ring), [b"a", b"b"])


def numbered(*numbers):
    return [bytes((0, 0, 0, number, 65)) for number in numbers]


def test_a_record_that_was_away_goes_back_to_where_its_number_belongs():
    ring = Ring(6, 5)
    for record in numbered(3, 5, 9):
        ring.push(record)
    for record in numbered(7, 1, 11):
        equal(ring.insert(record), False)
    equal(contents(ring), numbered(1, 3, 5, 7, 9, 11))


def test_the_lowest_number_goes_when_a_record_comes_back_to_a_full_ring():
    ring = Ring(3, 5)
    for record in numbered(3, 5, 9):
        ring.push(record)
    equal(ring.insert(numbered(7)[0]), True)
    equal(ring.insert(numbered(4)[0]), True)
    equal(contents(ring), numbered(5, 7, 9))


def test_an_empty_one_has_nothing_to_give():
    ring = Ring(2, 1)
    with raises(IndexError):
        ring.pop()
    ring.push(b"a")
    ring.pop()
    with raises(IndexError):
        ring.pop()
    equal(len(ring), 0)


def test_a_record_of_another_size_changes_nothing():
    ring = Ring(2, 3)
    ring.push(b"aaa")
    for add in (ring.push, ring.push_front):
        for record in (b"", b"xx", b"xxxx"):
            with raises(ValueError):
                add(record)
            equal(contents(ring), [b"aaa"], "after %r:" % record)
    ring.push(b"bbb")
    with raises(ValueError):
        ring.push(b"x")
    equal(contents(ring), [b"aaa", b"bbb"])


def test_a_ring_of_one():
    ring = Ring(1, 1)
    equal(ring.push(b"a"), False)
    equal(ring.push(b"b"), True)
    equal(ring.push_front(b"c"), True)
    equal(ring.pop(), b"b")
    equal(ring.push_front(b"c"), False)
    equal(ring.pop(), b"c")


def test_a_popped_record_stays_as_it_was():
    ring = Ring(1, 2)
    ring.push(bytearray(b"aa"))
    record = ring.pop()
    ring.push(memoryview(b"bb"))
    equal(record, b"aa")
    assert isinstance(record, bytes)
    equal(ring.pop(), b"bb")


def test_any_order_of_calls_does_what_a_list_does():
    seed = 77
    random.seed(seed)
    for slots in (1, 2, 3, 7):
        ring = Ring(slots, 2)
        model = []
        for step in range(1500):
            where = "seed %d, %d slots, step %d:" % (seed, slots, step)
            record = bytes((step >> 8, step & 255))
            kind = random.randrange(5)
            if kind < 2:
                equal(ring.push(record), len(model) == slots, where)
                model = (model + [record])[-slots:]
            elif kind == 2:
                equal(ring.push_front(record), len(model) == slots, where)
                model = [record] + model if len(model) < slots else model
            elif model:
                equal(ring.pop(), model.pop(0), where)
            equal(len(ring), len(model), where)


def test_inserting_in_any_order_does_what_a_sorted_list_does():
    seed = 78
    random.seed(seed)
    for slots in (1, 2, 3, 7):
        ring = Ring(slots, 5)
        model = []
        for step in range(600):
            where = "seed %d, %d slots, step %d:" % (seed, slots, step)
            if random.randrange(3):
                record = bytes((0, 0, random.randrange(256), random.randrange(256), step & 255))
                if record[:4] in [other[:4] for other in model]:
                    continue  # numbers never repeat
                model = sorted(model + [record])
                equal(ring.insert(record), len(model) > slots, where)
                model = model[-slots:]
            elif model:
                equal(ring.pop(), model.pop(0), where)
            equal(len(ring), len(model), where)
        equal(contents(ring), model)
