"""Make device code cost less heap, without changing what it does or on which line it does it.

On the board each distinct name is kept in memory for good (about 25 bytes, and the table of them doubles when it is
full), and each module constant costs a name and a place in a dictionary. What MicroPython has among its own names
costs nothing. So, before compiling:

- names that are private to a module (`_name`, defined there) take the same few of those names in every module
  (not where a class inherits from another module: the two would share them);
- so do parameters that no call anywhere names;
- what the modules offer one another (functions, classes, attributes) takes one of those names, the same everywhere. It
  stays as it is where somebody else could mean it: in a text (`getattr`, a verb), in a file that is not shrunk, as the
  name of a module, and wherever it may belong to one of Python's or MicroPython's own objects;
- a private module constant that is a plain number becomes a compile-time constant, which costs nothing.

Line numbers stay as they are, so a traceback still leads to the source.
"""

import ast
import asyncio
import builtins
import io
import itertools
import keyword
import os
import re
import socket
import sys
import tokenize
import types
import zlib

# What MicroPython 1.25 has among its names on the ESP32 and on the Unix port. One that another version lacks costs a
# few bytes there and is no mistake.
NAMES = os.path.join(os.path.dirname(__file__), "names.txt")
_STANDARD = {*sys.stdlib_module_names, "machine", "network", "esp32", "vfs", "onewire", "dht", "umqtt"}
_TYPES = (
    str, bytes, bytearray, memoryview, list, tuple, dict, set, int, float, OSError, types.GeneratorType,
    types.CoroutineType, asyncio.Event, asyncio.Task, asyncio.StreamReader, asyncio.StreamWriter, socket.socket,
    io.BytesIO, io.FileIO, builtins)
# Files that talk to objects of MicroPython's own modules: what they call on anything but `self` may be named there.
_SHELL = (
    "firmware/board.py", "firmware/drivers/", "firmware/rescue.py", "lib/blocking.py", "lib/wifi.py", "lib/stream.py",
    "lib/sntp.py", "lib/certs.py")
_AGELESS = ("Driver",)  # what rescue's copies, which may be older, look for in the node's files
_PARAMETERS, _SCRATCH = 16, 64  # names for parameters, and with those for what is private to a module
_CONSTANT = re.compile(r"^(_[A-Z][A-Z0-9_]*) = (-?(?:0x[0-9a-fA-F_]+|[0-9_]+))( *#.*)?$", re.MULTILINE)


def plan(sources, outside=()):
    """What `shrunk` has to know of all files together, as a document of JSON.

    `sources` maps the path of each module to its text; `outside` are the texts of files that use them as they are.
    """
    names = own_names()
    trees = {path: ast.parse(text) for path, text in sources.items()}
    others = [ast.parse(text) for text in outside]
    taken = {name for tree in [*trees.values(), *others] for name in _mentioned(tree)} | set(dir(builtins))
    scratch = [name for name in names if name not in taken][:_SCRATCH]
    kept = {*names, *_AGELESS, *(name for kind in _TYPES for name in dir(kind))}
    kept.update(name for tree in others for name in _mentioned(tree))
    offered = set()
    for path, tree in trees.items():
        kept |= _foreign(tree, path.startswith(_SHELL)) | set(path[:-3].split("/"))
        offered.update(_offered(tree))
    own = sorted(name for name in offered - kept if not name.startswith("_"))
    named = {name for tree in [*trees.values(), *others] for name in _keywords(tree)}
    return {"keywords": sorted(named), "scratch": scratch, "renames": _matched(own, names, taken.union(scratch))}


def own_names():
    """The names that MicroPython has anyway, and that may stand for others."""
    with open(NAMES, encoding="ascii") as file:
        return file.read().split()


def _matched(own, names, taken):
    """Each of `own` with one of `names` that is not `taken`, mostly the same ones after a change of a few."""
    found = {}
    for name in own:
        at = zlib.crc32(name.encode())
        free = (names[(at + step) % len(names)] for step in range(len(names)))
        new = next((word for word in free if word not in taken), None)
        if new:
            found[name] = new
            taken.add(new)
    return found


def _mentioned(tree):
    """Every name in a module, and every text in it that could be one."""
    for node in ast.walk(tree):
        for field in ("id", "attr", "arg", "name", "asname"):
            if isinstance(getattr(node, field, None), str):
                yield getattr(node, field)
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _offered(tree):
    """What a module defines: at its top, in its classes, on its objects."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        if isinstance(node, (ast.Module, ast.ClassDef)):
            yield from (target.id for statement in node.body if isinstance(statement, ast.Assign)
                        for target in statement.targets if isinstance(target, ast.Name))


def _keywords(tree):
    """The argument names that the calls in a module use."""
    return {argument.arg for node in ast.walk(tree) if isinstance(node, ast.Call)
            for argument in node.keywords if argument.arg}


def _foreign(tree, shell):
    """Names that others gave: texts, what standard modules offer, and in a shell what any other object has."""
    modules = {alias.asname or alias.name for node in ast.walk(tree) if isinstance(node, ast.Import)
               for alias in node.names if alias.name.partition(".")[0] in _STANDARD}
    found = _keywords(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value)
        elif isinstance(node, ast.Attribute):
            owner = getattr(node.value, "id", "")
            if owner in modules or shell and owner != "self":
                found.add(node.attr)
        elif isinstance(node, ast.ImportFrom) and node.module.partition(".")[0] in _STANDARD:
            found |= {alias.name for alias in node.names}
    return found


def shrunk(source, plan):
    """The text of a module with names exchanged as `plan` has it, and private constants folded."""
    numbers = [match[1] for match in _CONSTANT.finditer(source)]
    source = _CONSTANT.sub(r"\1 = const(\2)", source)
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    private = [] if _inherits(tokens) else sorted(_defined(tokens) - set(numbers))
    short = {**plan["renames"], **dict(zip(private, _words(plan["scratch"][_PARAMETERS:]), strict=False))}
    short.update((name, f"_c{number}") for number, name in enumerate(numbers))  # only with the _ is it no variable
    changes = {token.start: (token.string, short[token.string]) for token in tokens if _named(token, short)}
    for function in _functions(ast.parse(source)):
        _shorten_parameters(function, tokens, plan, changes)
    return _changed(source, changes)


def renamed(source, plan):
    """The text of a program that uses shrunk modules, with the names that they have now."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    short = plan["renames"]
    changes = {token.start: (token.string, short[token.string]) for token in tokens if _named(token, short)}
    return _changed(source, changes)


def _words(names):
    """Those names, and then as many more as one likes."""
    return itertools.chain(names, (f"_{number}" for number in itertools.count()))


def _changed(source, changes):
    lines = source.splitlines(keepends=True)
    for (row, column), (old, new) in sorted(changes.items(), reverse=True):
        line = lines[row - 1]
        lines[row - 1] = line[:column] + new + line[column + len(old):]
    return "".join(lines)


def _named(token, names):
    return token.type == tokenize.NAME and token.string in names


def _functions(tree):
    """Functions and methods that are not inside another function."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node
        elif isinstance(node, (ast.ClassDef, ast.If, ast.Try)):
            yield from _functions(node)


def _shorten_parameters(function, tokens, plan, changes):
    """Note a short name for each parameter of a function, those of functions inside it included."""
    names, named = [], set(plan["keywords"])
    for node in ast.walk(function):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            every = node.args.posonlyargs + node.args.args + [node.args.vararg, node.args.kwarg]
            names += [argument.arg for argument in every if argument]
            named = named | {argument.arg for argument in node.args.kwonlyargs}
    names = [name for name in dict.fromkeys(names) if name not in named and name != "self" and name[0] != "_"]
    short = dict(zip(names, _words(plan["scratch"][:_PARAMETERS]), strict=False))
    for index, token in enumerate(tokens):
        inside = function.lineno <= token.start[0] <= function.end_lineno
        if inside and _named(token, short) and tokens[index - 1].string not in (".", "def"):
            changes[token.start] = token.string, short[token.string]


def _defined(tokens):
    """Private names that the module itself defines: functions, methods, classes, attributes of self, globals."""
    found = set()
    for index, token in enumerate(tokens):
        name = token.string
        if token.type != tokenize.NAME or not name.startswith("_") or name.startswith("__") or name == "_":
            continue
        before = tokens[index - 1].string if index else ""
        after = tokens[index + 1].string
        attribute = before == "." and tokens[index - 2].string == "self" and _assigns(tokens, index)
        if before in ("def", "class") or attribute or after == "=" and token.start[1] == 0:
            found.add(name)
    return found


def _assigns(tokens, index):
    """Whether the attribute at `index` is assigned to there, alone or as one of several targets."""
    for token in tokens[index + 1:]:
        if token.string in ("=", "+=", "-=", "|="):
            return True
        if not (token.type == tokenize.NAME and not keyword.iskeyword(token.string) or token.string in ",."):
            return False
    return False


def _inherits(tokens):
    """Whether a class has a base that this module imports."""
    imported, classes, bases = set(), set(), set()
    for index, token in enumerate(tokens):
        if token.string == "import" and token.type == tokenize.NAME:
            for later in tokens[index + 1:]:
                if later.type == tokenize.NEWLINE:
                    break
                if later.type == tokenize.NAME:
                    imported.add(later.string)
        if token.string == "class" and token.type == tokenize.NAME:
            classes.add(tokens[index + 1].string)
            if tokens[index + 2].string == "(":
                bases.add(tokens[index + 3].string)
    return bool((bases & imported) - classes)
