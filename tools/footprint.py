"""What the node's code costs: bytes of bytecode per module, and bytes of heap after importing it on real MicroPython.

The list follows from the sources: what the runner and the node import, or name as in `load("firmware.dialects.mote")`,
is in every node; the rest is loaded where a configuration asks for it, or only while it is needed.
"""

import ast
import collections
import os

from tools import ROOT, build, micropython

RUNNER = "tools.host.micropython_main"  # stands in for main.py, and its board for firmware/board.py
NODE = "firmware.node"  # whose name is in firmware/start.py, which is only lent
HARDWARE = "firmware.board"  # imports what only an ESP32 has: its bytes are known, its heap is not
OWN = "(MicroPython's own)"

# heap_bytes is None where it cannot be measured here.
Row = collections.namedtuple("Row", "module mpy_bytes heap_bytes every_node")

_MEASURE = """
import gc, sys
sys.path.pop(0)
def used():
    gc.collect()
    return gc.mem_alloc()
for name in {names}:
    before = used()
    for part in name.split():
        __import__(part)
    print(used() - before)
"""
_HEAP = "1m"  # room enough that nothing is ever short of it


def measure():
    """A Row per module, in the order in which a node imports them. Raises UserError without the interpreter."""
    micropython.require()
    files = {_module_of(name): name for name in build.build()}
    always, own = _every_node(files)
    later = [name for name in files if name not in always and not name.startswith("umqtt")]
    heap = _heap_of([" ".join(own), *always, *(name for name in later if name != HARDWARE)])
    rows = [Row(OWN, 0, heap.pop(" ".join(own)), True)]
    for name in [*always, *later]:
        size = os.path.getsize(os.path.join(build.MPY, files[name]))
        rows.append(Row(name, size, heap.get(name), name in always))
    return rows


def totals(rows):
    """(bytes of bytecode, bytes of heap) of what is in every node."""
    every = [row for row in rows if row.every_node]
    return sum(row.mpy_bytes for row in every), sum(row.heap_bytes for row in every)


def table(rows):
    """The rows as text; the same rows always give the same text."""
    lines = [
        "Bytes per module: bytecode, and heap after import on the 64-bit Unix port of MicroPython.",
        "An ESP32 takes about two thirds of that heap. Written by `make size`.", "",
        f"{'in every node':34}{'.mpy':>8}{'heap':>8}"]
    lines += [_line(*row[:3]) for row in rows if row.every_node]
    lines += [_line("total", *totals(rows)), "", "where a configuration asks for it, or only while it is needed"]
    lines += [_line(*row[:3]) for row in rows if not row.every_node]
    return "\n".join(lines) + "\n"


def parsed(text):
    """Name -> (bytes of bytecode, bytes of heap or None) of a table, `total` among them."""
    found = {}
    for line in text.splitlines():
        words = line.rsplit(None, 2)
        if len(words) == 3 and words[1].isdigit():
            found[words[0]] = (int(words[1]), int(words[2]) if words[2].isdigit() else None)
    return found


def _line(name, mpy_bytes, heap_bytes):
    return f"{name:34}{mpy_bytes:8}{'-' if heap_bytes is None else heap_bytes:>8}"


def _heap_of(names):
    lines = micropython.output("-c", _MEASURE.format(names=names), path=build.path(), heap=_HEAP).split()
    return dict(zip(names, map(int, lines), strict=True))


def _module_of(file):
    stem = file[: -len(".mpy")].replace("/__init__", "")
    return (stem[len("lib/"):] if stem.startswith("lib/") else stem).replace("/", ".")


def _every_node(files):
    """(our modules that every node imports, each after those that it imports itself; MicroPython's modules)."""
    order, own, seen = [], set(), set()

    def visit(name):
        if name in files and name not in seen:
            seen.add(name)
            for other in _imports(files[name]):
                visit(other)
            order.append(name)
        elif name not in files and name.partition(".")[0] not in ("firmware", "tools"):
            own.add(name)

    visit(NODE)
    visit(RUNNER)
    return order, sorted(own)


def _imports(file):
    """Modules that a module imports when it is imported itself, and those that it names."""
    with open(os.path.join(ROOT, file[: -len(".mpy")] + ".py"), encoding="utf-8") as source:
        tree = ast.parse(source.read())
    names = []
    for node in _outside_functions(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names.append(node.module)
    return names + [node.args[0].value for node in ast.walk(tree) if _loads_for_good(node)]


def _loads_for_good(node):
    """Whether this is `load("a.name")`: what is fetched otherwise may be forgotten again."""
    return (isinstance(node, ast.Call) and getattr(node.func, "id", "") == "load"
            and isinstance(node.args[0], ast.Constant))


def _outside_functions(node):
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield child
            yield from _outside_functions(child)
