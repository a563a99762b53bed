"""The console script: the table of verbs, errors that say what to do, exit statuses."""

import subprocess
import sys

import pytest

from tools import ROOT, __main__, errors


def mote(*argv):
    """Run the console script in a process of its own."""
    return subprocess.run([sys.executable, "-m", "tools", *argv], cwd=ROOT, capture_output=True, text=True, timeout=60)


def test_help_lists_every_verb_with_its_line():
    done = mote("--help")
    assert done.returncode == 0
    for name, module in __main__.verbs().items():
        assert f"  {name} " in done.stdout
        assert __main__.help_of(module) in done.stdout


def test_without_a_verb_it_shows_the_overview_and_says_usage():
    done = mote()
    assert done.returncode == errors.USAGE
    assert "verbs:" in done.stdout


def test_help_imports_no_verb():
    code = "import sys, tools.__main__ as m; m.main(['--help']); print([n for n in sys.modules if 'verbs' in n])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_wrong_verb_is_answered_with_the_nearest():
    done = mote("rnu")
    assert done.returncode == errors.USAGE
    assert "did you mean run?" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", __main__.verbs())
def test_every_verb_has_help_and_an_example_that_its_own_parser_takes(name, capsys):
    verb = __main__.load(name, __main__.verbs())
    assert verb.HELP and "\n" not in verb.HELP
    parser = __main__.parser_of(name, verb)
    assert verb.EXAMPLE in parser.format_help()
    words = verb.EXAMPLE.split()
    assert words[:2] == ["mote", name]
    parser.parse_args(words[2:])


def test_errors_for_the_person_are_one_line_and_a_status(monkeypatch, capsys):
    def fail(argv):
        raise errors.UserError("the broker at h:1 does not answer", errors.UNREACHABLE)

    monkeypatch.setattr(__main__, "run", fail)
    assert __main__.main([]) == errors.UNREACHABLE
    assert capsys.readouterr().err == "mote: the broker at h:1 does not answer\n"


def test_ctrl_c_is_quiet(monkeypatch, capsys):
    def interrupt(argv):
        raise KeyboardInterrupt

    monkeypatch.setattr(__main__, "run", interrupt)
    assert __main__.main([]) == 130
    assert capsys.readouterr() == ("", "")
