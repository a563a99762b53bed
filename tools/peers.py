"""Other MQTT clients for MicroPython, to measure ours beside: installed into build/peers/ for a run, never committed.

Each is pinned by version and hash, and compiled as our own code is. Wheels come by pip. What has no setup.py, which pip
cannot install, comes from the same index.
"""

import collections
import io
import os
import subprocess
import sys
import tempfile
import zipfile

from tools import ROOT, build, errors, fetch_umqtt, package_index

FOLDER = os.path.join(ROOT, "build", "peers")
_PIP_LIMIT_S = 180

# `version` is that of the first release. `files` maps a release to those of its files that a publisher needs.
Peer = collections.namedtuple("Peer", "name version files")

_SIMPLE2 = package_index.Release(
    "micropython-umqtt-simple2", "micropython-umqtt.simple2-2.2.0.tar.gz",
    "48fd4da7701b95986293b06d343fbc564ebe7dfa82f5c8c09364c20df755f0e4")
_ROBUST2 = package_index.Release(
    "micropython-umqtt-robust2", "micropython-umqtt.robust2-2.2.0.tar.gz",
    "da3a09a570868d8e4ae6d2fad475230f6f2b130b45711be6873f83b10ebd4a6c")
_CHUMICRO = package_index.Release(
    "chumicro-mqtt", "chumicro_mqtt-0.30.3-py3-none-any.whl",
    "9752586bb10e29389e5f5c443594ce0b5f2f1343ba9aefb3fc9909e33d234482")
_CHUMICRO_SOCKETS = package_index.Release(
    "chumicro-sockets", "chumicro_sockets-0.21.3-py3-none-any.whl",
    "ade59b6045db5bdb03b7992748a8b1111efdda482c165d09bd6e7eb25b34f3b6")
_CHUMICRO_TIMING = package_index.Release(
    "chumicro-timing", "chumicro_timing-0.8.4-py3-none-any.whl",
    "f637c0331a30659a77d98828cf3fb9608402204059934e73c916b0f82b33703c")
_AIOMQTTC = package_index.Release(
    "aiomqttc", "aiomqttc-1.0.7-py3-none-any.whl", "edced4a29120d00e116732eb8e1e22ac3804ff18c14981d14816f9987b2f33ea")

_SIMPLE2_FILES = ("umqtt/__init__.py", "umqtt/simple2.py")
PEERS = (
    Peer("umqtt.simple", "1.3.4", {fetch_umqtt.RELEASE: (fetch_umqtt.MEMBER,)}),
    Peer("umqtt.simple2", "2.2.0", {_SIMPLE2: _SIMPLE2_FILES}),
    Peer("umqtt.robust2", "2.2.0", {_SIMPLE2: _SIMPLE2_FILES, _ROBUST2: ("umqtt/robust2.py",)}),
    Peer("chumicro", "0.30.3", {
        _CHUMICRO: ("chumicro_mqtt/__init__.py", "chumicro_mqtt/_wire.py", "chumicro_mqtt/client.py"),
        _CHUMICRO_SOCKETS: (
            "chumicro_sockets/__init__.py", "chumicro_sockets/_connector.py", "chumicro_sockets/sockets_factory.py",
            "chumicro_sockets/_adapters/__init__.py", "chumicro_sockets/_adapters/mp.py"),
        _CHUMICRO_TIMING: (
            "chumicro_timing/__init__.py", "chumicro_timing/ticks.py", "chumicro_timing/deadline.py")}),
    Peer("aiomqttc", "1.0.7", {_AIOMQTTC: ("aiomqttc.py",)}),
)


def install(peer):
    """Fetch and compile what is not in build/peers/ yet; returns the peer's folder, for MICROPYPATH.

    Raises UserError when a release is not to be had, is not the one that was pinned, or does not compile.
    """
    folder = os.path.join(FOLDER, f"{peer.name}-{peer.version}")
    for release, files in peer.files.items():
        targets = [os.path.join(folder, file[:-3] + ".mpy") for file in files]
        if all(map(os.path.exists, targets)):
            continue
        archive = _archive(release)
        for file, target in zip(files, targets, strict=True):
            build.compile_text(_text(release, archive, file), target, name=_module(file))
    return folder


def mpy_bytes(folder):
    """Size of all bytecode below a folder."""
    return sum(os.path.getsize(os.path.join(parent, file)) for parent, _, files in os.walk(folder) for file in files)


def _module(file):
    return file[:-3].replace("/__init__", "").replace("/", ".")


def _archive(release):
    if not release.filename.endswith(".whl"):
        return package_index.fetch_as_pip_would(release)
    with tempfile.TemporaryDirectory(prefix="mote-peer-") as folder:
        _download_wheel(release, folder)
        with open(os.path.join(folder, release.filename), "rb") as file:
            return package_index.checked(release, file.read())


def _download_wheel(release, folder):
    version = release.filename.split("-")[1]
    wanted = os.path.join(folder, "wanted.txt")
    with open(wanted, "w", encoding="utf-8") as file:
        file.write(f"{release.project}=={version} --hash=sha256:{release.sha256}\n")
    done = subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
         "--only-binary", ":all:", "--ignore-requires-python", "--require-hashes", "--dest", folder, "-r", wanted],
        capture_output=True, text=True, timeout=_PIP_LIMIT_S)
    if done.returncode:
        raise errors.UserError(
            f"pip could not fetch {release.filename}:\n{done.stderr.strip()[-600:]}", errors.UNREACHABLE)


def _text(release, archive, file):
    if not release.filename.endswith(".whl"):
        return package_index.member(release, archive, file).decode()
    with zipfile.ZipFile(io.BytesIO(archive)) as wheel:
        try:
            return wheel.read(file).decode()
        except KeyError:
            raise errors.UserError(f"{release.filename} holds no {file}", errors.FAILED) from None
