"""Asking a person at the terminal: again after a wrong answer, passwords without showing them, never a script."""

import getpass
import sys

from tools import errors

_GIVEN_UP = "given up; nothing was written"


def can_ask(args):
    """Whether somebody is there to be asked."""
    return not args.yes and sys.stdin.isatty()


def ask(args, question, default=None, check=lambda answer: answer, hint="--broker, --wifi or --from"):
    """The person's answer as `check` returns it; `check` raises UserError for a wrong one, which is then told, and the
    question asked again. The default for an empty answer, with --yes and without a terminal. Raises UserError when
    nobody can be asked and there is no default."""
    if not can_ask(args):
        if default is None:
            raise errors.UserError(f"say it with an option, as nobody can be asked: {question} ({hint})")
        return default
    shown = f" [{default}]" if default else ""
    return _answer(lambda: input(f"{question}{shown}: ").strip(), default, check)


def secret(args, question, check=lambda answer: answer):
    """The same for a password, not shown as it is typed. None for an empty one, or when nobody can be asked."""
    if not can_ask(args):
        return None
    return _answer(lambda: getpass.getpass(f"{question}: "), "", check) or None


def _answer(read, default, check):
    while True:
        try:
            answer = read()
        except KeyboardInterrupt:
            print(f"\n{_GIVEN_UP}", file=sys.stderr)
            raise
        except EOFError:
            raise errors.UserError(_GIVEN_UP) from None
        if not answer and default is not None:
            return default
        try:
            if not answer:
                raise errors.UserError("an answer is needed; Ctrl-C gives up")
            return check(answer)
        except errors.UserError as error:
            print(f"  {error}", file=sys.stderr)
