"""All tests of this folder: `python -m tests.home_assistant.run [OPTIONS OF PYTEST]`.

Each release has a process of its own, a broker and nodes with it, and both run at once: they mostly wait. The first
one's output is seen as it comes, that of the others once they have ended.
"""

import os
import subprocess
import sys
import tempfile

from tools import ROOT

from . import install

LIMIT_S = 900


def start(release, options, out):
    """pytest with the tests of one release."""
    command = [sys.executable, "-m", "pytest", "tests/home_assistant", *options, "-k", release]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=out)


def main(options):
    hidden = install.RELEASES[1:]
    with tempfile.TemporaryDirectory(prefix="mote-ha-") as folder:
        logs = [open(os.path.join(folder, release), "w+") for release in hidden]
        outs = dict(zip(install.RELEASES, [None, *logs], strict=True))
        runs = [start(release, options, outs[release]) for release in outs]
        try:
            worst = max(abs(run.wait(LIMIT_S)) for run in runs)
        finally:
            for run in runs:
                run.kill()
                run.wait()
            for log in logs:
                log.seek(0)
                print(log.read(), flush=True)
                log.close()
    return worst


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
