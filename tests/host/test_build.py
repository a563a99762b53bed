"""Bytecode for nodes: complete, no older than its source, and nothing left of what is gone."""

import ast
import os
import pathlib

import pytest

from tests.host import rules
from tools import build, errors, micropython


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A small repository to build; returns its root."""
    for name in ("firmware/a.py", "firmware/drivers/b.py", "lib/c.py", "tools/host/d.py", "tools/host/cpython_e.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x = 1\n")
    monkeypatch.setattr(build, "ROOT", str(tmp_path))
    monkeypatch.setattr(build, "MPY", str(tmp_path / "build" / "mpy"))
    return tmp_path


def built(tree):
    return {path.relative_to(tree / "build/mpy").as_posix(): path for path in (tree / "build/mpy").rglob("*.mpy")}


def touch(source, tree):
    """Make a source the newest file of all, however coarse the file system's clock is."""
    later = max(path.stat().st_mtime_ns for path in built(tree).values()) + 1
    os.utime(source, ns=(later, later))


def test_it_mirrors_what_micropython_needs_and_no_more(tree):
    build.build()
    assert sorted(built(tree)) == [
        "firmware/a.mpy", "firmware/drivers/b.mpy", "lib/c.mpy", "rescue/c.mpy", "tools/host/d.mpy"]


def test_only_what_changed_is_compiled_again(tree):
    build.build()
    before = {name: path.stat().st_mtime_ns for name, path in built(tree).items()}
    source = tree / "lib/c.py"
    source.write_text("x = 'another, longer'\n")
    touch(source, tree)
    build.build()
    after = {name: path.stat().st_mtime_ns for name, path in built(tree).items()}
    assert sorted(name for name in after if after[name] != before[name]) == ["lib/c.mpy", "rescue/c.mpy"]


def test_a_deleted_module_does_not_live_on(tree):
    build.build()
    (tree / "lib/c.py").unlink()
    build.build()
    assert "lib/c.mpy" not in built(tree)


def test_a_text_beside_the_code_goes_along_and_does_not_outlive_its_source(tree):
    source, target = tree / "firmware/words.txt", tree / "build/mpy/firmware/words.txt"
    source.write_text("one")
    build.build()
    assert target.read_text() == "one"
    source.write_text("two")
    os.utime(source, ns=(target.stat().st_mtime_ns + 1,) * 2)
    build.build()
    assert target.read_text() == "two"
    source.unlink()
    build.build()
    assert not target.exists()


def test_a_new_keyword_argument_compiles_the_function_it_names_again(tree):
    function = tree / "firmware/a.py"
    function.write_text("def f(amount):\n    return amount\n")
    build.build()
    assert b"amount" not in built(tree)["firmware/a.mpy"].read_bytes()
    caller = tree / "firmware/drivers/b.py"
    caller.write_text("def g(f):\n    return f(amount=1)\n")
    touch(caller, tree)
    build.build()
    assert b"amount" in built(tree)["firmware/a.mpy"].read_bytes()


def test_a_file_that_begins_to_use_a_name_as_it_is_compiles_its_owner_again(tree):
    owner = tree / "firmware/a.py"
    owner.write_text("def long_winded():\n    pass\n")
    build.build()
    assert b"long_winded" not in built(tree)["firmware/a.mpy"].read_bytes()
    (tree / "main.py").write_text("from firmware.a import long_winded\n")
    touch(tree / "main.py", tree)
    build.build()
    assert b"long_winded" in built(tree)["firmware/a.mpy"].read_bytes()


@pytest.mark.skipif(not micropython.available(), reason="no MicroPython interpreter for this machine")
def test_a_program_finds_what_is_compiled_by_its_new_names(tree):
    (tree / "firmware/a.py").write_text("def long_winded():\n    return 42\n")
    text = build.script("import sys\nsys.path.pop(0)\nfrom firmware.a import long_winded\nprint(long_winded())\n")
    assert "long_winded" not in text
    assert micropython.output("-c", text, path=[str(tree / "build/mpy")]) == "42\n"


def test_an_error_names_the_file_and_the_line(tree):
    (tree / "lib/c.py").write_text("x = 1\nif :\n")
    with pytest.raises(errors.UserError, match='(?s)lib/c.py.*line 2') as caught:
        build.build()
    assert caught.value.status == errors.FAILED
    assert "lib/c.mpy" not in built(tree)


def test_another_bytecode_than_nodes_read_is_refused(tree, monkeypatch):
    monkeypatch.setattr(build, "BYTECODE", 7)
    with pytest.raises(errors.UserError, match="writes bytecode 6, nodes read 7"):
        build.build()
    assert not built(tree)


def test_the_real_node_is_complete():
    names = build.build()
    for name in names:
        assert (pathlib.Path(build.MPY) / name).read_bytes()[:2] == b"M\x06"
    for needed in ("firmware/node.mpy", "lib/mqtt.mpy", "tools/host/micropython_main.mpy"):
        assert needed in names
    assert (pathlib.Path(build.MPY) / "firmware/dialects/mote_discovery.txt").exists()


def test_what_rescue_imports_lies_beside_it():
    build.build()
    folder = pathlib.Path(build.MPY, build.RESCUE)
    there = {path.stem for path in folder.iterdir()}
    for name in sorted(there):
        source = pathlib.Path(build.ROOT, "lib", f"{name}.py")
        source = source if source.exists() else pathlib.Path(build.ROOT, "firmware", f"{name}.py")
        names = [line for _, line in rules.imports(ast.parse(source.read_text()))]
        ours = {one for one in names if pathlib.Path(build.ROOT, "lib", f"{one}.py").exists() or one[:8] == "firmware"}
        assert ours <= there, name
