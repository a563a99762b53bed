"""Fetching a pinned release from an index served here, in both formats of the protocol, and all that goes wrong."""

import base64
import contextlib
import hashlib
import http.server
import io
import json
import os
import subprocess
import sys
import tarfile
import threading

import pytest

from tools import ROOT, errors, package_index

MODULE = b"class MQTTClient: pass\n"
NAME = "micropython-umqtt.simple-1.3.4.tar.gz"
MEMBER = "umqtt/simple.py"
PAGE = "/simple/micropython-umqtt-simple/"
FILE = "/files/" + NAME


def archive(name="micropython-umqtt.simple-1.3.4/umqtt/simple.py", kind=tarfile.REGTYPE):
    """A release with one member, beside one that would land outside the folder it is unpacked in."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for member, data in (("../../outside", b"x"), (name, MODULE)):
            info = tarfile.TarInfo(member)
            info.size = len(data)
            info.type = kind if member == name else tarfile.REGTYPE
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def json_page(href):
    return "application/vnd.pypi.simple.v1+json", json.dumps({"files": [{"filename": "x", "url": href}]}).encode()


def html_page(href):
    return "text/html; charset=UTF-8", f'<!DOCTYPE html><a class="x" href="{href}#sha256=0">a file</a>'.encode()


@contextlib.contextmanager
def index(answers):
    """An index with these answers, path -> (content type, bytes) or a status; gives (address, requests seen)."""
    seen = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append((self.path, self.headers.get("Authorization")))
            answer = answers.get(self.path, 404)
            if isinstance(answer, int):
                return self.send_error(answer)
            self.send_response(200)
            self.send_header("Content-Type", answer[0])
            self.end_headers()
            self.wfile.write(answer[1])

        def log_message(self, *args):
            """Quiet."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}", seen
        server.shutdown()


def release_of(data):
    """The release whose pinned hash is that of `data`."""
    return package_index.Release("micropython-umqtt-simple", NAME, hashlib.sha256(data).hexdigest())


@pytest.fixture
def pinned(monkeypatch):
    """The release made here; nobody waits between attempts."""
    monkeypatch.setattr(package_index.time, "sleep", lambda seconds: None)
    return archive()


@pytest.mark.parametrize("page", [json_page, html_page])
@pytest.mark.parametrize("href", [FILE, "../.." + FILE])
def test_both_formats_of_the_page_and_relative_links_work(pinned, page, href):
    with index({PAGE: page(href), FILE: ("application/octet-stream", pinned)}) as (host, _):
        for address in (f"http://{host}/simple", f"http://{host}/simple/"):
            data = package_index.fetch(release_of(pinned), address, None)
            assert package_index.member(release_of(pinned), data, MEMBER) == MODULE


def test_a_password_in_the_address_is_sent_as_a_header_and_never_shown(pinned):
    with index({}) as (host, seen), pytest.raises(errors.UserError) as caught:
        package_index.fetch(release_of(pinned), f"http://me:p%40ss@{host}/simple", None)
    assert seen[0] == (PAGE, "Basic " + base64.b64encode(b"me:p@ss").decode())
    assert "p@ss" not in str(caught.value) and "p%40ss" not in str(caught.value)


@pytest.mark.parametrize("answers, word", [
    ({}, "404"),
    ({PAGE: json_page("/files/other-1.0.tar.gz")}, "does not offer"),
    ({PAGE: html_page(FILE)}, "404"),
    ({PAGE: 503}, "503"),
])
def test_what_is_not_there_is_unreachable_and_says_what_to_do(pinned, answers, word):
    with index(answers) as (host, _), pytest.raises(errors.UserError, match=word) as caught:
        package_index.fetch(release_of(pinned), f"http://{host}/simple", None)
    assert caught.value.status == errors.UNREACHABLE


def test_a_server_in_trouble_is_asked_again(pinned):
    with index({PAGE: 503}) as (host, seen), pytest.raises(errors.UserError):
        package_index.fetch(release_of(pinned), f"http://{host}/simple", None)
    assert len(seen) == 3


def test_another_file_than_the_pinned_one_is_refused(pinned):
    served = {PAGE: json_page(FILE), FILE: ("application/octet-stream", pinned + b"\0")}
    with index(served) as (host, _), pytest.raises(errors.UserError, match="not the file that was pinned") as caught:
        package_index.fetch(release_of(pinned), f"http://{host}/simple", None)
    assert caught.value.status == errors.FAILED


@pytest.mark.parametrize("data", [archive(name="umqtt/other.py"), archive(kind=tarfile.SYMTYPE)])
def test_a_release_without_the_module_is_refused(data):
    with pytest.raises(errors.UserError, match="holds no"):
        package_index.member(release_of(data), data, MEMBER)


def test_the_environment_wins_over_pip_s_files(monkeypatch, tmp_path):
    (tmp_path / "pip.conf").write_text("[global]\nindex-url = http://a/simple\n[install]\nindex-url = http://b/simple\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    monkeypatch.delenv("PIP_INDEX_URL", raising=False)
    assert package_index.pip_settings()["index-url"] == "http://b/simple"
    monkeypatch.setenv("PIP_INDEX_URL", "http://c/simple")
    assert package_index.pip_settings()["index-url"] == "http://c/simple"


def test_pip_has_an_index_of_its_own():
    assert package_index.default_index().startswith("https://")


def test_offline_it_says_so_in_one_line_and_ends_with_3(tmp_path):
    environment = {**os.environ, "PIP_INDEX_URL": "http://127.0.0.1:9/simple", "no_proxy": "*"}
    done = subprocess.run([sys.executable, "-m", "tools.fetch_umqtt"], cwd=ROOT, env=environment,
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == errors.UNREACHABLE
    assert done.stderr.startswith("mote: could not fetch") and done.stderr.count("\n") == 1
