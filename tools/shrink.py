"""Make device code cost less heap, without changing what it does or on which line it does it.

On the board each distinct name is kept in memory for good (about 25 bytes, and the table of them doubles when it is
full), and each module constant costs a name and a place in a dictionary. So, before compiling:

- names that are private to a module (`_name`, defined there) become `_0`, `_1`, ..., the same few in every module
  (not where a class inherits from another module: the two would share them);
- parameters that no call anywhere names become `_a`, `_b`, ... (in lib/, which others call too, of private
  functions only);
- a private module constant that is a plain number becomes a compile-time constant, which costs nothing.

Line numbers stay as they are, so a traceback still leads to the source.
"""

import ast
import io
import keyword
import re
import tokenize

_CONSTANT = re.compile(r"^(_[A-Z][A-Z0-9_]*) = (-?(?:0x[0-9a-fA-F_]+|[0-9_]+))( *#.*)?$", re.MULTILINE)


def keywords(sources):
    """The argument names that calls in any of the texts use: parameters of these names must keep them."""
    found = set()
    for source in sources:
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call):
                found |= {argument.arg for argument in node.keywords if argument.arg}
    return found


def shrunk(source, named=(), public=False):
    """The text of a module with private names shortened and private constants folded.

    `named` are the argument names that calls use; `public` leaves the parameters of public functions alone.
    """
    source = _CONSTANT.sub(r"\1 = const(\2)", source)
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    private = [] if _inherits(tokens) else sorted(_defined(tokens))
    short = {name: f"_{number}" for number, name in enumerate(private)}
    changes = {token.start: (token.string, short[token.string]) for token in tokens if _named(token, short)}
    for function in _functions(ast.parse(source)):
        if not public or function.name.startswith("_") and not function.name.startswith("__"):
            _shorten_parameters(function, tokens, set(named), changes)
    return _changed(source, changes)


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


def _shorten_parameters(function, tokens, named, changes):
    """Note a short name for each parameter of a function, those of functions inside it included."""
    names = []
    for node in ast.walk(function):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            every = node.args.posonlyargs + node.args.args + [node.args.vararg, node.args.kwarg]
            names += [argument.arg for argument in every if argument]
            named = named | {argument.arg for argument in node.args.kwonlyargs}
    names = [name for name in dict.fromkeys(names) if name not in named and name != "self" and name[0] != "_"]
    short = {name: "_" + chr(ord("a") + number) for number, name in enumerate(names[:26])}
    for index, token in enumerate(tokens):
        inside = function.lineno <= token.start[0] <= function.end_lineno
        if inside and _named(token, short) and tokens[index - 1].string != ".":
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
