"""Shrinking device code: smaller names, the same lines, the same behaviour."""

import pathlib

import pytest

from tools import build, shrink

SOURCES = [name for name in build.sources() if not name.startswith("build/")]


def run(text):
    names = {}
    exec(compile(text, "text", "exec"), {"const": lambda value: value}, names)  # const is the compiler's on a board
    return names


def test_private_names_become_short_and_public_ones_stay():
    text = "_HOME = 'x'\nclass Box:\n    def __init__(self):\n        self._long_name = self.kept = _HOME\n"
    assert shrink.shrunk(text) == text.replace("_HOME", "_0").replace("_long_name", "_1")


def test_a_private_name_of_another_object_stays():
    assert shrink.shrunk("def f(x):\n    return x._theirs\n", public=True) == "def f(x):\n    return x._theirs\n"


def test_a_constant_is_folded_and_a_string_is_not():
    assert shrink.shrunk("_A = 0x1f  # why\n_B = 'text'\n") == "_0 = const(0x1f)\n_1 = 'text'\n"


def test_parameters_are_shortened_but_not_those_that_a_call_names():
    text = "def f(one, two):\n    return g(two=one.two, three=two)\n"
    assert shrink.shrunk(text, shrink.keywords([text])) == "def f(_a, two):\n    return g(two=_a.two, three=two)\n"


def test_public_parameters_of_a_library_stay():
    text = "def f(one):\n    return one\ndef _g(one):\n    return one\n"
    assert shrink.shrunk(text, public=True) == "def f(one):\n    return one\ndef _0(_a):\n    return _a\n"


def test_inner_functions_do_not_shadow_the_outer_ones_parameters():
    text = "def f(one):\n    def g(two):\n        return one + two\n    return g(2)\nr = f(40)\n"
    assert run(shrink.shrunk(text))["r"] == 42


def test_a_class_that_inherits_from_elsewhere_keeps_its_private_names():
    text = "from x import Base\nclass Own(Base):\n    def __init__(self):\n        self._kept = 1\n"
    assert shrink.shrunk(text) == text


@pytest.mark.parametrize("name", SOURCES)
def test_every_device_file_keeps_its_lines_and_still_compiles(name):
    text = (pathlib.Path(build.ROOT) / name).read_text()
    short = shrink.shrunk(text, shrink.keywords([text]), public=name.startswith("lib/"))
    compile(short, name, "exec")
    assert short.count("\n") == text.count("\n")
