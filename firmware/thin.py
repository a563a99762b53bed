"""Room on a full flash by thinning, where outbox.full says so: of the two oldest segments every second record of each
sensor stays, in one. What is old becomes ever coarser, and none of it is gone altogether. Only lent.
"""

import struct

_MARK = "merged"  # in the store: the two segments, from before one takes the place of both until the other is gone
_MARK_FORM = ">II"
_INDEX = 8
_CHUNK = 8


def thin(segments, writer, files, spare, count):
    """Merge the two oldest neighbours that have the same head, but none of `spare`; False when there are none.

    `count(boot, records)` stores how many records go, before they do. Raises OSError.
    """
    numbers = [number for number in segments.numbers if number not in spare]
    for first, second in zip(numbers, numbers[1:]):
        one, two = segments.read(first), segments.read(second)
        if one and two and (one.size, one.tag, one.text) == (two.size, two.tag, two.text):
            _merge(segments, writer, files, ((first, one.total), (second, two.total)), two, count)
            return True
    return False


def _merge(segments, writer, files, parts, last, count):
    """Put what is kept of two segments in the place of the first; `last` is what was read of the second."""
    writer.rewrite(segments, parts[0][0], last, lambda: _kept(segments, parts))
    kept = sum([1 for _ in _kept(segments, parts)])
    count(last.tag, parts[0][1] + parts[1][1] - kept)
    files.save(_MARK, struct.pack(_MARK_FORM, parts[0][0], parts[1][0]))
    writer.replace(segments, parts[0][0])
    recover(segments, writer, files)


def recover(segments, writer, files):
    """Finish a merge that power may have ended half-way."""
    mark = files.load(_MARK)
    if mark:
        first, second = struct.unpack(_MARK_FORM, mark)
        if second in segments.numbers and not writer.rewritten(segments, first):
            segments.remove(second)
        files.save(_MARK, b"")


def _kept(segments, parts):
    """Yield every second record of each sensor in segments, given as (number, records)."""
    passed = {}
    for number, total in parts:
        for at in range(0, total, _CHUNK):
            for record in segments.read(number, at, _CHUNK).records:
                index = record[_INDEX] & 127
                passed[index] = not passed.get(index)
                if passed[index]:
                    yield record
