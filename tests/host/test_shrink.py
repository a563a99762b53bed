"""Shrinking device code: smaller names, the same lines, the same behaviour."""

import pathlib
import re

import pytest

from tools import build, micropython, shrink

SOURCES = [name for name in build.sources() if not name.startswith("build/")]
SCRATCH = [f"p{number}" for number in range(64)]  # p0 to p15 are for parameters
BARE = {"keywords": [], "scratch": SCRATCH, "renames": {}}


def run(text):
    names = {}
    exec(compile(text, "text", "exec"), {"const": lambda value: value}, names)  # const is the compiler's on a board
    return names


def test_private_names_become_short_and_public_ones_stay():
    text = "_HOME = 'x'\nclass Box:\n    def __init__(self):\n        self._long_name = self.kept = _HOME\n"
    assert shrink.shrunk(text, BARE) == text.replace("_HOME", "p16").replace("_long_name", "p17")


def test_names_that_run_out_are_made():
    assert shrink.shrunk("_A = 'x'\n_B = 'y'\n", {**BARE, "scratch": SCRATCH[:17]}) == "p16 = 'x'\n_0 = 'y'\n"


def test_a_private_name_of_another_object_stays():
    assert shrink.shrunk("def f(x):\n    return x._theirs\n", BARE) == "def f(p0):\n    return p0._theirs\n"


def test_a_constant_is_folded_and_a_string_is_not():
    assert shrink.shrunk("_A = 0x1f  # why\n_B = 'text'\n", BARE) == "_c0 = const(0x1f)\np16 = 'text'\n"


def test_parameters_are_shortened_but_not_those_that_a_call_names():
    text = "def f(one, two):\n    return g(two=one.two, three=two)\n"
    plan = {**shrink.plan({"a.py": text}), "scratch": SCRATCH, "renames": {}}
    assert shrink.shrunk(text, plan) == "def f(p0, two):\n    return g(two=p0.two, three=two)\n"


def test_a_function_keeps_its_name_when_a_parameter_has_the_same():
    text = "class Box:\n    @size.setter\n    def size(self, size):\n        self.it = size\n"
    assert shrink.shrunk(text, BARE) == text.replace("self, size", "self, p0").replace("= size", "= p0")


def test_inner_functions_do_not_shadow_the_outer_ones_parameters():
    text = "def f(one):\n    def g(two):\n        return one + two\n    return g(2)\nr = f(40)\n"
    assert run(shrink.shrunk(text, BARE))["r"] == 42


def test_a_class_that_inherits_from_elsewhere_keeps_its_private_names():
    text = "from x import Base\nclass Own(Base):\n    def __init__(self):\n        self._kept = 1\n"
    assert shrink.shrunk(text, BARE) == text


def test_what_modules_offer_one_another_is_renamed_alike_in_all_of_them():
    maker = "class Maker:\n    LIMIT_S = 3\n    def produce(self):\n        self.produced = 1\n"
    user = "from lib.maker import Maker\nMaker().produce()\nprint(Maker.LIMIT_S, Maker().produced)\n"
    plan = shrink.plan({"lib/maker.py": maker, "firmware/user.py": user})
    assert set(plan["renames"]) == {"Maker", "LIMIT_S", "produce", "produced"}
    assert set(plan["renames"].values()) <= set(shrink.own_names())
    for text in (maker, user):
        words = re.findall(r"\w+", shrink.shrunk(text, plan))
        for old, new in plan["renames"].items():
            assert old not in words and (new in words) == (old in re.findall(r"\w+", text))
    assert "lib.maker" in shrink.shrunk(user, plan)  # the file keeps its name


@pytest.mark.parametrize("text, outside", [
    ("def produce():\n    pass\nVERBS = ('produce',)\n", ""),  # somebody may ask for it by its name
    ("def produce():\n    pass\n", "from a import produce\n"),  # a file that is not shrunk uses it
    ("import time\ndef produce():\n    time.produce()\n", ""),  # a module of MicroPython's has it, too
    ("def produce():\n    f(produce=1)\n", ""),  # an argument of somebody's function
    ("class A:\n    def extend(self):\n        pass\n", ""),  # lists have it, too
], ids=["text", "outside", "module", "keyword", "type"])
def test_a_name_stays_where_somebody_else_could_mean_it(text, outside):
    assert not {"produce", "extend"} & set(shrink.plan({"lib/a.py": text}, [outside])["renames"])


def test_a_file_that_talks_to_hardware_keeps_what_the_hardware_may_have():
    offers = {"firmware/node.py": "class Node:\n    def pulse(self):\n        pass\n"}
    user = "def f(pin):\n    pin.pulse()\n"
    assert "pulse" in shrink.plan({**offers, "firmware/link.py": user})["renames"]
    assert "pulse" not in shrink.plan({**offers, "firmware/drivers/x.py": user})["renames"]


def test_a_new_name_changes_few_of_the_others():
    text = "".join(f"def number_{number}():\n    pass\n" for number in range(99))
    before = shrink.plan({"a.py": text})["renames"]
    after = shrink.plan({"a.py": text + "def number_7a():\n    pass\n"})["renames"]
    assert len([name for name in before if before[name] != after[name]]) < 10


@pytest.mark.parametrize("name", SOURCES)
def test_every_device_file_keeps_its_lines_and_still_compiles(name):
    text = (pathlib.Path(build.ROOT) / name).read_text()
    short = shrink.shrunk(text, shrink.plan({name: text}))
    compile(short, name, "exec")
    assert short.count("\n") == text.count("\n")


@pytest.mark.skipif(not micropython.available(), reason="no MicroPython interpreter for this machine")
def test_micropython_has_the_names_already():
    """Each of them costs nothing: after code that uses them all the interpreter knows no more names than before."""
    uses = "def f():\n" + "".join(f"  x.{name}\n" for name in shrink.own_names())
    script = f"import micropython\nmicropython.qstr_info()\nexec({uses!r})\nmicropython.qstr_info()"
    before, after = re.findall(r"n_qstr=(\d+)", micropython.output("-c", script, path=[], heap="1m"))
    assert int(after) - int(before) <= 3  # x, f and the text's own name
