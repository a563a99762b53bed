"""Releases from the package index that pip is set up with, by the same protocol (PEP 503 pages, PEP 691 JSON).

For releases that pip itself cannot fetch: MicroPython packages without a setup.py. Each is pinned by its hash.
"""

import base64
import collections
import hashlib
import html.parser
import io
import json
import ssl
import subprocess
import sys
import tarfile
import time
import urllib.error
import urllib.parse
import urllib.request

from tools import errors

# `project` is the normalised name, as PEP 503 wants it; `filename` that of the archive.
Release = collections.namedtuple("Release", "project filename sha256")

_ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
_TIMEOUT_S = 30  # as patient as pip is at least; a dead index must not hold up setup for minutes
_ATTEMPTS = 3
_MAX_BYTES = 4_000_000  # pages and releases of such projects are a few KB; an endless answer is an error


def pip_settings():
    """What pip is set up with, by plain name; an environment variable wins over a file, as for pip."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    listing = subprocess.run(command, capture_output=True, text=True, timeout=60).stdout
    rank = {"global": 0, "install": 1, ":env:": 2}
    found = {}
    for line in listing.splitlines():
        key, _, value = line.partition("=")
        section, _, name = key.rpartition(".")
        if section in rank:
            found[name] = max(found.get(name, (0, "")), (rank[section], value.strip("'\"")))
    return {name: value for name, (_, value) in found.items()}


def default_index():
    """The index that pip uses when nobody set one: asked of pip, so that no host is named here."""
    from pip._internal.models.index import PyPI

    return PyPI.simple_url


class Links(html.parser.HTMLParser):
    """Collects the href of every link of a PEP 503 page, in `hrefs`."""

    def __init__(self, page):
        super().__init__()
        self.hrefs = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        if tag == "a":
            self.hrefs += [value for name, value in attributes if name == "href"]


def link_of(filename, *, page, content_type, page_url):
    """The absolute address of `filename` on a project page in either format, or None."""
    if "json" in content_type:
        hrefs = [entry["url"] for entry in json.loads(page)["files"]]
    else:
        hrefs = Links(page.decode("utf-8", "replace")).hrefs
    for href in hrefs:
        url = urllib.parse.urljoin(page_url, href)
        if urllib.parse.unquote(urllib.parse.urlsplit(url).path).rpartition("/")[2] == filename:
            return url
    return None


def request_for(url):
    """A request for `url`; a user and password inside it become a header, which urllib does not do."""
    parts = urllib.parse.urlsplit(url)
    headers = {"Accept": _ACCEPT}
    if "@" in parts.netloc:
        login, _, host = parts.netloc.rpartition("@")
        token = base64.b64encode(urllib.parse.unquote(login).encode()).decode()
        headers["Authorization"] = "Basic " + token
        url = parts._replace(netloc=host).geturl()
    return urllib.request.Request(url, headers=headers)


def download(url, certificates):
    """(bytes, content type, final address) of `url`, tried a few times. Raises OSError (URLError is one)."""
    context = ssl.create_default_context(cafile=certificates)
    for attempt in range(_ATTEMPTS):
        try:
            with urllib.request.urlopen(request_for(url), timeout=_TIMEOUT_S, context=context) as answer:
                return answer.read(_MAX_BYTES), answer.headers.get("Content-Type", ""), answer.url
        except urllib.error.HTTPError as error:
            if error.code < 500 or attempt == _ATTEMPTS - 1:
                raise
        except OSError:
            if attempt == _ATTEMPTS - 1:
                raise
        time.sleep(1 + attempt)


def fetch(release, index, certificates):
    """The bytes of the pinned release. Raises UserError with what to do when they are not to be had."""
    page_url = index.rstrip("/") + "/" + release.project + "/"
    shown = urllib.parse.urlsplit(index).hostname
    try:
        page, content_type, final_url = download(page_url, certificates)
        url = link_of(release.filename, page=page, content_type=content_type, page_url=final_url)
        if url is None:
            raise errors.UserError(
                f"the package index at {shown} does not offer {release.filename}", errors.UNREACHABLE)
        return checked(release, download(url, certificates)[0])
    except OSError as error:
        raise errors.UserError(
            f"could not fetch {release.filename} from the package index at {shown} ({error}); is this machine online, "
            "and does `pip config list` name an index that it reaches?", errors.UNREACHABLE) from None


def checked(release, archive):
    """`archive`, when it has the pinned hash; else raises UserError."""
    found = hashlib.sha256(archive).hexdigest()
    if found != release.sha256:
        raise errors.UserError(
            f"{release.filename} has SHA-256 {found}, expected {release.sha256}: not the file that was pinned",
            errors.FAILED)
    return archive


def member(release, archive, name):
    """One file of a source archive, as bytes: nothing of the archive is written anywhere. Raises UserError."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for entry in tar:
            if entry.isfile() and entry.name.endswith("/" + name):
                return tar.extractfile(entry).read()
    raise errors.UserError(f"{release.filename} holds no {name}", errors.FAILED)


def fetch_as_pip_would(release):
    """The bytes of the release, from the index and with the certificates that pip is set up with."""
    settings = pip_settings()
    return fetch(release, settings.get("index-url") or default_index(), settings.get("cert"))
