"""TimescaleDB itself for a test: its code as WebAssembly in Node.js, by npm, behind PostgreSQL's protocol."""

import os
import select
import shutil
import subprocess
import sys

from tools import ROOT, brokers

SOURCE = os.path.join(ROOT, "tests", "timescale")
FOLDER = os.path.join(ROOT, "build", "timescale")
INSTALL_LIMIT_S = 120
START_LIMIT_S = 120
LEAST_NODE = 18
FILES = ("package.json", "package-lock.json", "serve.mjs")
_NPM = ("npm", "ci", "--ignore-scripts", "--legacy-peer-deps", "--no-audit", "--no-fund")


def install():
    """None once it is in build/ as the lock file names it, else why it cannot be."""
    if not (shutil.which("node") and shutil.which("npm")):
        return "no Node.js with npm here"
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True, timeout=60).stdout
    if int(version.strip().lstrip("v").split(".")[0]) < LEAST_NODE:
        return f"Node.js {version.strip()} is older than {LEAST_NODE}"
    if all(_same(name) for name in (*FILES, "whole")):
        return None
    shutil.rmtree(FOLDER, ignore_errors=True)
    os.makedirs(FOLDER)
    for name in FILES:
        shutil.copy(os.path.join(SOURCE, name), FOLDER)
    done = subprocess.run(_NPM, cwd=FOLDER, capture_output=True, text=True, timeout=INSTALL_LIMIT_S)
    if done.returncode:
        return "npm: " + done.stderr.strip()[-300:]
    shutil.copy(os.path.join(SOURCE, FILES[1]), os.path.join(FOLDER, "whole"))
    return None


def _same(name):
    """Whether build/ has the file as it is in the source; `whole` is a copy of the lock file, made at the end."""
    try:
        with open(os.path.join(FOLDER, name), "rb") as here, \
                open(os.path.join(SOURCE, FILES[1] if name == "whole" else name), "rb") as there:
            return here.read() == there.read()
    except FileNotFoundError:
        return False


class Server:
    """`with Server() as server:` answers one connection at a time, with any password; `version` is the extension's."""

    def __init__(self):
        self.port = brokers.free_ports(1)[0]
        self.conninfo = f"host=127.0.0.1 port={self.port} user=postgres dbname=postgres sslmode=disable"
        self.version = None
        self._process = None

    def __enter__(self):
        self._process = subprocess.Popen(["node", "serve.mjs", str(self.port)], cwd=FOLDER, stdout=subprocess.PIPE,
                                         stderr=sys.stderr.fileno())
        if select.select([self._process.stdout], [], [], START_LIMIT_S)[0]:
            self.version = self._process.stdout.readline().decode().strip()
        if not self.version:
            self.__exit__()
            raise AssertionError("TimescaleDB does not start")
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.communicate(timeout=60)
