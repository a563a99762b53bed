"""Peers are installed as they were pinned, and not at all otherwise."""

import io
import os
import tarfile
import zipfile

import pytest

from tools import errors, micropython, package_index, peers

MODULE = "VALUE = 7\n"


def wheel(*names):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, MODULE)
    return buffer.getvalue()


def sdist(*names):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name in names:
            info = tarfile.TarInfo("release-1.0/" + name)
            info.size = len(MODULE)
            archive.addfile(info, io.BytesIO(MODULE.encode()))
    return buffer.getvalue()


@pytest.fixture
def shelf(monkeypatch, tmp_path):
    """Peers land in a folder of the test; what is fetched is what the test lays there, by file name."""
    archives = {}
    monkeypatch.setattr(peers, "FOLDER", str(tmp_path))
    monkeypatch.setattr(peers, "_archive", lambda release: archives.pop(release.filename))
    return archives


@pytest.mark.parametrize("filename, make", [("a-1.0-py3-none-any.whl", wheel), ("a-1.0.tar.gz", sdist)])
def test_an_installed_peer_can_be_imported_and_is_fetched_once(shelf, filename, make):
    release = package_index.Release("a", filename, "")
    peer = peers.Peer("a", "1.0", {release: ("a/__init__.py", "a/b.py")})
    shelf[filename] = make("a/__init__.py", "a/b.py", "a/unwanted.py")
    folder = peers.install(peer)
    assert sorted(os.listdir(os.path.join(folder, "a"))) == ["__init__.mpy", "b.mpy"]
    assert peers.install(peer) == folder  # the shelf is empty by now
    if micropython.available():
        assert micropython.output("-c", "import a.b; print(a.b.VALUE)", path=[folder]).strip() == "7"


@pytest.mark.parametrize("filename, make", [("a-1.0-py3-none-any.whl", wheel), ("a-1.0.tar.gz", sdist)])
def test_a_release_without_a_file_is_refused(shelf, filename, make):
    shelf[filename] = make("other.py")
    with pytest.raises(errors.UserError, match="holds no a.py"):
        peers.install(peers.Peer("a", "1.0", {package_index.Release("a", filename, ""): ("a.py",)}))


def test_a_wheel_that_pip_cannot_fetch_is_unreachable_and_pip_says_why(monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    release = package_index.Release("mote-no-such-peer", "mote_no_such_peer-1.0-py3-none-any.whl", "0" * 64)
    with pytest.raises(errors.UserError, match="mote_no_such_peer") as caught:
        peers._archive(release)
    assert caught.value.status == errors.UNREACHABLE


def test_every_release_is_pinned_by_a_hash_and_every_peer_has_what_it_is_measured_with():
    from tools import bench_mqtt

    for peer in peers.PEERS:
        assert peer.name in bench_mqtt._IMPORTS
        for release, files in peer.files.items():
            assert len(release.sha256) == 64 and files
