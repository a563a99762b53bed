"""Fetch umqtt.simple from the package index into build/umqtt/, where the build finds it.

Boards have umqtt.simple built in; the Unix port has not. Its release has no setup.py, so pip cannot install it.
"""

import os
import sys

from tools import ROOT, errors, package_index

RELEASE = package_index.Release(
    "micropython-umqtt-simple", "micropython-umqtt.simple-1.3.4.tar.gz",
    "b6a2520239e3992c63a7de9370ee9b3d9d27819a90359c521f1c0f7ccab8d12f")
MEMBER = "umqtt/simple.py"
TARGET = os.path.join(ROOT, "build", "umqtt", "simple.py")


def main():
    """Put umqtt/simple.py into build/; return the exit status."""
    try:
        module = package_index.member(RELEASE, package_index.fetch_as_pip_would(RELEASE), MEMBER)
    except errors.UserError as error:
        print(f"mote: {error}", file=sys.stderr)
        return error.status
    os.makedirs(os.path.dirname(TARGET), exist_ok=True)
    with open(TARGET + ".new", "wb") as file:
        file.write(module)
    os.replace(TARGET + ".new", TARGET)
    return errors.DONE


if __name__ == "__main__":
    sys.exit(main())
