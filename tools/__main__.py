"""The console script `mote`: a table of verbs, each a file of tools/verbs, imported only when it is called."""

import argparse
import ast
import difflib
import importlib
import os
import sys

from tools import errors

_VERBS_FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "verbs")
_INTERRUPTED = 130  # what shells report for a program ended by Ctrl-C


def verbs():
    """Name -> module of every verb. A file in tools/verbs is a verb; `_` in its name reads as `-`."""
    stems = sorted(name[:-3] for name in os.listdir(_VERBS_FOLDER) if name.endswith(".py"))
    return {stem.replace("_", "-"): "tools.verbs." + stem for stem in stems if not stem.startswith("_")}


def help_of(module_name):
    """The HELP line of a verb, read without importing it: `mote --help` must not load every library."""
    path = os.path.join(_VERBS_FOLDER, module_name.rpartition(".")[2] + ".py")
    with open(path, encoding="utf-8") as file:
        tree = ast.parse(file.read())
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and getattr(statement.targets[0], "id", None) == "HELP":
            return ast.literal_eval(statement.value)
    return ""


def overview(table):
    """The text of `mote --help`."""
    width = max(map(len, table), default=0)
    lines = ["usage: mote VERB [options]", "", "MQTT sensor nodes: run, watch, steer.", "", "verbs:"]
    lines += [f"  {name:{width}}  {help_of(module)}" for name, module in table.items()]
    lines += ["", "`mote VERB --help` shows a verb's options and an example.",
              "Exit status: 0 done, 1 checked and failed, 2 usage, 3 no answer or unreachable."]
    return "\n".join(lines)


def load(name, table):
    """The module of the verb `name`. Raises UserError with the nearest names when there is none."""
    if name not in table:
        near = difflib.get_close_matches(name, table, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else "`mote --help` lists them"
        raise errors.UserError(f"there is no verb {name!r}; {hint}")
    return importlib.import_module(table[name])


def parser_of(name, verb):
    """The argument parser of one verb, with its example below the options."""
    parser = argparse.ArgumentParser(
        prog="mote " + name, description=verb.HELP, epilog="example:\n  " + verb.EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    verb.add_arguments(parser)
    return parser


def run(argv):
    """Carry out one command line; return its exit status."""
    table = verbs()
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(overview(table))
        return errors.DONE if argv else errors.USAGE
    verb = load(argv[0], table)
    args = parser_of(argv[0], verb).parse_args(argv[1:])
    return verb.run(args)


def main(argv=None):
    """Entry of the console script. Errors meant for the person are printed here and nowhere else."""
    try:
        return run(sys.argv[1:] if argv is None else argv)
    except errors.UserError as error:
        print(f"mote: {error}", file=sys.stderr)
        return error.status
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:  # the reader of our output left, as in `mote watch | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return errors.DONE


if __name__ == "__main__":
    sys.exit(main())
