"""A board's tracebacks, led back to the source: what runs there was compiled with shortened names (tools/shrink.py)."""

import ast
import functools
import json
import os
import re

from tools import ROOT, build

_FRAME = re.compile(r'^(\s*)File "([^"]+)", line (\d+)(?:, in (\S+))?\s*$')
_ERROR = re.compile(r"^([A-Za-z_][A-Za-z0-9_]*)(:.*)?$")
_NAMED = re.compile(r"(?<=['\"`])([A-Za-z_][A-Za-z0-9_]*)(?=['\"`])")


class Mapper:
    """Takes the lines of a log one by one; a traceback's come back with file, function and source line."""

    def __init__(self, names=None):
        self._ours = names if names is not None else _names()
        self._inside = False

    def line(self, text):
        """The lines to show for one line of the log."""
        frame = _FRAME.match(text)
        if frame:
            self._inside = True  # also where the beginning is cut off: what is kept over a reset is the end
            return _frame(*frame.groups())
        if text.startswith("Traceback (most recent call last)"):
            self._inside = True
        elif self._inside and _ERROR.match(text):
            self._inside = False
            return [self._error(text)]
        return [text]

    def text(self, text):
        """All lines of a text."""
        return [shown for line in text.splitlines() for shown in self.line(line)]

    def brief(self, text):
        """A whole traceback in one line: what was raised, and where."""
        lines = self.text(text.rstrip())
        frames = [_FRAME.match(line) for line in lines if _FRAME.match(line)]
        where = f" ({frames[-1][2]}:{frames[-1][3]}, in {frames[-1][4]})" if frames else ""
        return (lines[-1] if lines else "") + where

    def _error(self, text):
        """The last line: its class, and names in quotes, are ours again."""
        name, rest = _ERROR.match(text).groups()
        rest = _NAMED.sub(lambda match: self._ours.get(match[1], match[1]), rest or "")
        return self._ours.get(name, name) + rest


def _names():
    """Name on the board -> name in the source, as the last build had it."""
    try:
        with open(os.path.join(build.MPY, "plan.json"), encoding="utf-8") as file:
            renames = json.load(file).get("renames", {})
    except (OSError, ValueError):
        return {}
    return {theirs: ours for ours, theirs in renames.items()}


def _frame(indent, module, number, name):
    """The lines of one frame; unchanged where there is no such source."""
    path = source_of(module)
    if path is None:
        return [f'{indent}File "{module}", line {number}' + (f", in {name}" if name else "")]
    lines, functions = _parsed(path)
    line = int(number)
    inside = [function for first, last, function in functions if first <= line <= last]
    found = [f'{indent}File "{path}", line {number}, in {inside[-1] if inside else name or "<module>"}']
    if 1 <= line <= len(lines):
        found.append(f"{indent}  {lines[line - 1].strip()}")
    return found


def source_of(module):
    """The source's path below the repository of what a traceback calls a module; None when it is not ours."""
    for path in (module, module.replace(".", "/") + ".py", "lib/" + module.replace(".", "/") + ".py"):
        if path.endswith(".py") and os.path.exists(os.path.join(ROOT, path)) and not os.path.isabs(path):
            return path
    return None


@functools.cache
def _parsed(path):
    """(lines, [(first, last, name)] of functions, outer ones first)."""
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        text = file.read()
    functions = [(node.lineno, node.end_lineno, node.name) for node in ast.walk(ast.parse(text))
                 if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    return text.splitlines(), functions
