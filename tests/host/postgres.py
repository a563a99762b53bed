"""A PostgreSQL of a test's own: Debian's programs, a cluster in a folder that is thrown away, on a free port."""

import glob
import os
import shutil
import signal
import subprocess
import tempfile
import time

from tools import brokers

LIMIT_S = 60
USER = "nobody"  # the server refuses to run as root


def programs():
    """The folder with initdb and postgres, None where they are not installed."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))
    path = found[-1] if found else shutil.which("initdb")
    return os.path.dirname(path) if path else None


class Cluster:
    """`with Cluster() as cluster:` has a server with one user, `mote`, who needs no password."""

    def __init__(self):
        self.port = brokers.free_ports(1)[0]
        self._folder = None
        self._process = None
        self._as = {"user": USER, "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}

    def __enter__(self):
        self._folder = tempfile.mkdtemp(prefix="mote-pg-")
        if self._as:
            shutil.chown(self._folder, USER, "nogroup")
        self._do("initdb", "-D", self._folder + "/data", "-A", "trust", "-U", "mote", "-E", "UTF8", "--locale=C",
                 "--no-sync")
        self.start()
        return self

    def __exit__(self, *_):
        self.kill()
        shutil.rmtree(self._folder)

    def conninfo(self, database="postgres"):
        return f"postgresql://mote@127.0.0.1:{self.port}/{database}"

    def start(self):
        """Start the server and wait until it answers."""
        log = open(self._folder + "/log", "ab")
        with log:
            self._process = subprocess.Popen(
                [programs() + "/postgres", "-D", self._folder + "/data", "-p", str(self.port), "-h", "127.0.0.1", "-c",
                 "unix_socket_directories=", "-c", "fsync=off"], stdout=log, stderr=log, cwd="/", **self._as)
        deadline = time.monotonic() + LIMIT_S
        while self._do("pg_isready", "-h", "127.0.0.1", "-p", str(self.port), check=False).returncode:
            assert time.monotonic() < deadline and self._process.poll() is None, "the server does not start"
            time.sleep(0.1)

    def kill(self):
        """SIGKILL, and wait until its children have noticed."""
        self._process.kill()
        self._process.wait(LIMIT_S)
        deadline = time.monotonic() + LIMIT_S
        while self._children() and time.monotonic() < deadline:
            time.sleep(0.05)

    def stop(self):
        """A quick shutdown that ends the sessions."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait(LIMIT_S)

    def new_database(self, name):
        """Make a database; returns its conninfo."""
        self._do("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "mote", name)
        return self.conninfo(name)

    def _children(self):
        """Processes of the cluster that are left: they hold its memory, and a new server waits for them."""
        mark = (self._folder + "/data").encode()
        found = []
        for path in glob.glob("/proc/[0-9]*/cwd"):
            try:
                found += [path] if os.readlink(path).encode() == mark else []
            except OSError:
                continue  # it ended meanwhile
        return found

    def _do(self, program, *arguments, check=True):
        return subprocess.run([f"{programs()}/{program}", *arguments], check=check, cwd="/", timeout=LIMIT_S,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **self._as)
