"""`mote deploy`: the node's files onto a board that runs MicroPython, as few of them as possible."""

import json
import time

from tools import errors, tracebacks
from tools.board import files, flasher, options, ports, repl

HELP = "bring the node's files on a board up to date"
EXAMPLE = "mote deploy --port /dev/ttyUSB0"

_FIRST_WORDS_S = 12
_REST_S = 0.3  # of a traceback


def add_arguments(parser):
    options.add_port(parser, several=True)
    parser.add_argument("--via", choices=("mpremote", "ampy"), default="mpremote",
                        help="whose transport to use (default mpremote; ampy for boards that it cannot reach)")
    parser.add_argument("--dry-run", action="store_true", help="say what would be sent, and leave the board as it is")
    parser.add_argument("--json", action="store_true", help="one JSON object for each board")


def run(args):
    wanted = files.wanted()
    for name in options.ports(args):
        with connected(name, args.via) as board:
            result = deploy(board, wanted, args.dry_run, quiet=args.json)
        if args.json:
            print(json.dumps(result))
    return errors.DONE


class connected:
    """A context manager: a board at its prompt, by either transport."""

    def __init__(self, name, via="mpremote"):
        self._name = name
        self._via = via
        self._open = None

    def __enter__(self):
        if self._via == "ampy":
            board = self._open = repl.AmpyRepl(self._name)
        else:
            self._open = ports.opened(self._name)
            board = repl.Repl(self._open, self._name)
        try:
            board.enter()
        except BaseException:
            self._open.close()
            raise
        return board

    def __exit__(self, *_):
        self._open.close()


def deploy(board, wanted, dry_run=False, quiet=False):
    """Bring the board behind an entered prompt up to date, and restart it. Returns what was done."""
    began = time.monotonic()
    state = files.look(board)
    todo = files.plan(wanted, state)
    result = {"port": board.name, "machine": state.machine, "sent": todo.send, "removed": todo.remove,
              "bytes": todo.bytes, "unchanged": len(wanted) - len(todo.send) - len(todo.stage_done)}
    if dry_run:
        told = [f"  would send {path} ({len(wanted[path])} bytes)" for path in todo.send]
        told += [f"  would put in place {path}, which has arrived before" for path in todo.stage_done]
        told += [f"  would remove {path}" for path in todo.remove]
    else:
        show = flasher.bar("sending")
        files.carry_out(board, wanted, todo, state, lambda done, total: show(done, total, ""))
        told = [f"  removed {path}" for path in todo.remove] + kept(state)
    board.restart()
    result["seconds"] = round(time.monotonic() - began, 1)
    if not dry_run:
        result["first_words"] = first_words(board)
    if not quiet:
        verb = "to send" if dry_run else "sent"
        told = [f"{board.name}: {len(todo.send)} of {len(wanted)} files {verb}, {todo.bytes:,} bytes, "
                f"{result['seconds']} s", *told, *(f"  {line}" for line in result.get("first_words", ()))]
        print("\n".join(told))
    return result


def kept(state):
    """What to say of a board that had another program."""
    return ["  its own program is kept there, as main.before.py"] if files.is_foreign(state) else []


def first_words(board):
    """The first lines that the board's program says after a start."""
    heard = board.listen(_FIRST_WORDS_S, repl.WORDS)
    said = b"".join(repl.WORDS.findall(heard + board.listen(_REST_S))).decode("utf-8", "replace")
    return tracebacks.Mapper().text(said)
