"""Install Home Assistant for the tests: `python -m tests.home_assistant.install`, each release in a folder of build/.

Both releases run on Python 3.13; the newer asks for 3.13.2, which a 3.13.0 does not hinder in what is tested here.
"""

import glob
import os
import subprocess
import sys

from tools import ROOT

RELEASES = ("2025.4.4", "2026.2.3")
FOLDER = os.path.join(ROOT, "build", "home-assistant")
# What the MQTT integration asks for beside the core; Home Assistant would fetch these by itself at its first start.
MORE = ("paho-mqtt==2.1.0", "janus", "SQLAlchemy", "fnv-hash-fast", "psutil-home-assistant")
NO_PYTHON = "Home Assistant: 0 tests, no Python 3.13 on this machine"

# Prints what the manifests of the front end and of those ask for that it imports to list what can be done.
_FACE = """
import importlib.util, json, os
folder = importlib.util.find_spec("homeassistant").submodule_search_locations[0]
for name in ("frontend", "assist_pipeline", "camera", "conversation", "ffmpeg", "stream", "tts"):
    with open(os.path.join(folder, "components", name, "manifest.json")) as file:
        print(*json.load(file)["requirements"])
"""


def python_of(release):
    """The interpreter that has this release, None when it is not installed."""
    folder = os.path.join(FOLDER, release)
    whole = os.path.exists(os.path.join(folder, "whole"))
    return os.path.join(folder, "bin", "python") if whole else None


def python_3_13():
    """A Python 3.13, from PATH or from pyenv; None when there is none."""
    for path in ("python3.13", *sorted(glob.glob(os.path.expanduser("~/.pyenv/versions/3.13*/bin/python")))):
        try:
            subprocess.run([path, "-c", "import ensurepip, sys; sys.exit(sys.version_info[:2] != (3, 13))"],
                           check=True, capture_output=True)
            return path
        except (OSError, subprocess.CalledProcessError):
            continue
    return None


def install(release, python):
    """Install one release; what was left half done before is done again."""
    folder = os.path.join(FOLDER, release)
    print(f"Installing Home Assistant {release} (two minutes, once) ...", flush=True)
    subprocess.run([python, "-m", "venv", "--clear", folder], check=True)
    subprocess.run([os.path.join(folder, "bin", "python"), "-m", "pip", "install", "--quiet", "--no-warn-conflicts",
                    "--disable-pip-version-check", "--ignore-requires-python", f"homeassistant=={release}", *MORE],
                   check=True)
    with open(os.path.join(folder, "whole"), "w"):
        pass


def face(release):
    """Install a release's own front end beside it, unless it is there."""
    python, mark = python_of(release), os.path.join(FOLDER, release, "face")
    if os.path.exists(mark):
        return
    print(f"Installing the front end of Home Assistant {release} (a minute, once) ...", flush=True)
    found = subprocess.run([python, "-c", _FACE], check=True, stdout=subprocess.PIPE, text=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *found.stdout.split()],
                   check=True)
    with open(mark, "w"):
        pass


def main():
    python = python_3_13()
    if not python:
        print(NO_PYTHON)
        return 0
    for release in RELEASES:
        if not python_of(release):
            install(release, python)
    return 0


if __name__ == "__main__":
    sys.exit(main())
