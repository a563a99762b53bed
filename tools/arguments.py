"""Kinds of values that several verbs take, for argparse's `type`."""

import argparse

_LONGEST_S = 10_000_000  # a hundred days and more; beyond, waiting itself overflows


def seconds(text):
    """A span of time in seconds, 0 or longer."""
    try:
        number = float(text)
    except ValueError:
        number = -1
    if not 0 <= number <= _LONGEST_S:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return number
