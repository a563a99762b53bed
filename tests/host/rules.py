"""The rules of the house, each a function: the text of a file in, the list of its violations out.

Kept apart from the test so that every rule can also be shown a planted violation.
"""

import ast
import contextlib

HARDWARE = {"machine", "network", "esp32"}
# What stock MicroPython has and CPython has too, and device code needs.
DEVICE_STDLIB = {
    "asyncio", "binascii", "errno", "gc", "hashlib", "io", "json", "math", "os", "random", "select", "socket", "ssl",
    "struct", "sys", "time"}
# Lines of a module and of a function: on a board memory counts too.
DEVICE_LINES, DEVICE_FUNCTION_LINES = 250, 45
TOOLS_LINES, TOOLS_FUNCTION_LINES = 450, 60
_MUTABLE_CALLS = {"dict", "list", "set", "bytearray", "Event", "Lock", "Ring", "deque"}


def is_device(path):
    """Whether a board runs this file."""
    return path in ("boot.py", "main.py") or path.startswith(("firmware/", "lib/"))


def imports(tree):
    """(line, dotted name) of every module that is imported, wherever the statement stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            # `from firmware import VERSION` takes a name, `from firmware import link` would take a part.
            yield from ((node.lineno, name if node.module in ("firmware", "tools") else node.module) for name in names)


def import_directions(path, tree):
    """main and tools -> firmware.node -> parts -> lib -> stdlib, and never back or across."""
    found = []
    for line, name in imports(tree):
        top = name.partition(".")[0]
        part = top == "firmware" and name != "firmware.VERSION"
        if name.startswith("firmware.board") and path != "main.py":
            found.append(f"{path}:{line} only main.py may import firmware.board")
        elif part and path.startswith("firmware/") and path not in ("firmware/node.py", "firmware/sleeper.py"):
            found.append(f"{path}:{line} a part imports {name}: node.py hands it what it needs")
        if path.startswith("lib/") and top in ("firmware", "tools"):
            found.append(f"{path}:{line} lib imports {name}")
        if path.startswith("firmware/") and top == "tools":
            found.append(f"{path}:{line} firmware imports {name}")
    return found


def hardware_in_one_place(path, tree):
    """Only the board touches hardware; main.py and boot.py reset and ask why where there may be no board."""
    if path in ("firmware/board.py", "boot.py", "main.py"):
        return []
    return [f"{path}:{line} imports {name}" for line, name in imports(tree) if name.partition(".")[0] in HARDWARE]


def stdlib_of_boards(path, tree, lib_modules):
    """Device code imports what every board has, and our own."""
    if not is_device(path) or path == "firmware/board.py":
        return []
    known = DEVICE_STDLIB | set(lib_modules) | {"firmware", "tools"}
    if path == "lib/lending.py":
        known |= {"vfs"}  # which it does without where there is none
    if path in ("boot.py", "main.py", "firmware/rescue.py"):
        known |= {"machine", "umqtt", "board", "rescue", "starts"}  # the last three lie in /rescue
    return [f"{path}:{line} imports {name}, which boards may not have" for line, name in imports(tree)
            if name.partition(".")[0] not in known or name.startswith("os.")]


def no_world_check(path, tree):
    """Device code does not ask in which world it is."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, (ast.If, ast.IfExp)):
            words = {getattr(part, "attr", getattr(part, "id", "")) for part in ast.walk(node.test)}
            words |= {part.value for part in ast.walk(node.test) if isinstance(part, ast.Constant)}
            asked = words & {"simulated", "is_simulated", "platform", "implementation", "micropython", "cpython"}
            found += [f"{path}:{node.lineno} asks for {word}" for word in sorted(asked)]
    return found


def no_module_state(path, tree):
    """Thousands of nodes share one process: nothing at module scope can change."""
    found = []
    for statement in tree.body:
        value = getattr(statement, "value", None)
        if isinstance(statement, (ast.Assign, ast.AnnAssign, ast.AugAssign)) and _is_mutable(value):
            target = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
            if not _is_constant_table(target, value):
                found.append(f"{path}:{statement.lineno} {ast.unparse(target)} can change at module scope")
    found += [f"{path}:{node.lineno} global {', '.join(node.names)}"
              for node in ast.walk(tree) if isinstance(node, ast.Global)]
    return found


def _is_mutable(value):
    if isinstance(value, ast.Call):
        return getattr(value.func, "id", getattr(value.func, "attr", "")) in _MUTABLE_CALLS
    return isinstance(value, (ast.Dict, ast.List, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp))


def _is_constant_table(target, value):
    """A dict with an upper-case name and something in it is a table, read and never written."""
    return isinstance(target, ast.Name) and target.id.isupper() and isinstance(value, ast.Dict) and bool(value.keys)


def table_writes(path, tree):
    """The tables that no_module_state lets pass are indeed never written."""
    tables = {target.id for statement in tree.body if isinstance(statement, ast.Assign)
              for target in statement.targets if isinstance(target, ast.Name) and _is_mutable(statement.value)}
    found = []
    for node in ast.walk(tree):
        written = isinstance(node, ast.Subscript) and isinstance(node.ctx, (ast.Store, ast.Del))
        called = isinstance(node, ast.Attribute) and node.attr in ("pop", "update", "clear", "setdefault", "popitem")
        if (written or called) and getattr(node.value, "id", None) in tables:
            found.append(f"{path}:{node.lineno} writes the table {node.value.id}")
    return found


def small(path, text, tree):
    """Modules and functions of a size that one can hold in the head."""
    found = []
    most, function_most = TOOLS_LINES, TOOLS_FUNCTION_LINES
    if is_device(path):
        most, function_most = DEVICE_LINES, DEVICE_FUNCTION_LINES
    lines = text.count("\n") - sum(_table_lines(statement) for statement in tree.body)
    if lines > most:
        found.append(f"{path} has {lines} lines, allowed {most}")
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            length = node.end_lineno - node.lineno + 1
            if length > function_most:
                found.append(f"{path}:{node.lineno} {node.name} has {length} lines, allowed {function_most}")
    return found


def _table_lines(statement):
    """Lines of a table that is kept as one text: it is read line by line, and grows with what it lists."""
    value = getattr(statement, "value", None)
    table = isinstance(statement, ast.Assign) and isinstance(value, ast.Constant) and isinstance(value.value, str)
    return value.end_lineno - value.lineno if table else 0


def honest_excepts(path, tree):
    """Errors are neither caught by everything nor swallowed by `except Exception: pass`; not in code that stands in a
    text either, for a board's prompt."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "\nexcept" in node.value:
            with contextlib.suppress(SyntaxError):  # prose
                found += honest_excepts(f"{path}:{node.lineno}", ast.parse(node.value))
        if isinstance(node, ast.ExceptHandler):
            if node.type is None:
                found.append(f"{path}:{node.lineno} a bare except")
            elif getattr(node.type, "id", "") in ("Exception", "BaseException") and _does_nothing(node.body):
                found.append(f"{path}:{node.lineno} swallows every error")
    return found


def _does_nothing(body):
    return all(isinstance(statement, (ast.Pass, ast.Continue)) or _is_constant(statement) for statement in body)


def _is_constant(statement):
    """A text, or a name that gets a value which says nothing of the error."""
    return isinstance(statement, (ast.Expr, ast.Assign)) and isinstance(statement.value, ast.Constant)


def no_raise_from(path, tree):
    """MicroPython drops the cause and prints a warning."""
    if not is_device(path):
        return []
    return [f"{path}:{node.lineno} raise ... from" for node in ast.walk(tree)
            if isinstance(node, ast.Raise) and node.cause]


def waits_have_names(path, tree):
    """Deadlines are named constants with a reason, not numbers in a call."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "wait_for":
            found += [f"{path}:{node.lineno} a deadline without a name" for argument in node.args[1:]
                      if isinstance(argument, ast.Constant)]
    return found
