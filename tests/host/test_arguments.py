"""Values that several verbs take."""

import argparse

import pytest

from tools import arguments


@pytest.mark.parametrize("text, value", [("0", 0), ("1.5", 1.5), ("1e3", 1000)])
def test_seconds(text, value):
    assert arguments.seconds(text) == value


@pytest.mark.parametrize("text", ["-1", "nan", "inf", "1e9", "soon", ""])
def test_what_is_no_span_of_time_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError):
        arguments.seconds(text)
