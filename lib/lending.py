"""Modules that are needed seldom: loaded by name, and forgotten when memory is tight."""

import sys


def load(name):
    """Import a module by its dotted name and return it."""
    __import__(name)
    return sys.modules[name]


def lend(name):
    """As `load`, but forget the module, so that its memory is free again once the caller has done with it."""
    module = load(name)
    del sys.modules[name]
    package, _, short = name.rpartition(".")
    if package:
        delattr(sys.modules[package], short)
    return module
