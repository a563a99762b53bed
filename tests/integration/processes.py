"""Starting processes from a test that has many threads."""

import errno
import subprocess

ATTEMPTS = 3


def start(command, log_path, cwd=None):
    """Start `command` with its output appended to the file `log_path`; returns the Popen."""
    with open(log_path, "ab") as log:
        for attempt in range(ATTEMPTS):
            try:
                return subprocess.Popen(command, cwd=cwd, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
            except OSError as error:
                # Seen once in thousands of starts, while other threads started others: "Bad address" of a program
                # that is there.
                if error.errno != errno.EFAULT or attempt == ATTEMPTS - 1:
                    raise
