"""What tests on both Pythons lean on: a test is `def test_x()` or `async def test_x()`, with plain asserts."""


def equal(found, expected, what=""):
    """Assert equality and show both sides: MicroPython's own assert shows neither."""
    assert found == expected, "%s found %r, expected %r" % (what, found, expected)


def near(found, expected, within):
    """Assert that two numbers lie at most `within` apart."""
    assert abs(found - expected) <= within, "found %r, expected %r within %r" % (found, expected, within)


class raises:
    """`with raises(OSError) as caught:` fails unless the block raises it; then `caught.value` is the error."""

    def __init__(self, kind):
        self.kind = kind
        self.value = None

    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback):
        assert kind is not None, "nothing was raised, expected %r" % (self.kind,)
        self.value = value
        return issubclass(kind, self.kind)
