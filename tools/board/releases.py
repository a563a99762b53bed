"""The newest MicroPython for a chip: from the page of its downloads, kept in a cache."""

import os
import re
import tempfile
import urllib.error
import urllib.parse
import urllib.request

from tools import errors
from tools.board import images

SITE = "https://micropython.org"
_BOARDS = {"esp32": "ESP32_GENERIC", "esp32s2": "ESP32_GENERIC_S2", "esp32s3": "ESP32_GENERIC_S3",
           "esp32c3": "ESP32_GENERIC_C3", "esp32c6": "ESP32_GENERIC_C6"}
_OCTAL = re.compile(r"PSRAM (8|16|32)MB")  # what esptool says of an S3 whose PSRAM hangs on eight lines
_TIMEOUT_S = 30
_MOST_BYTES = 16 << 20


def board_of(chip, features=""):
    """The name of MicroPython's board for a chip, and of its variant. Raises UserError for a chip without one."""
    if chip not in _BOARDS:
        raise errors.UserError(f"no generic MicroPython is known for {chip}: name an image with --image FILE")
    variant = "SPIRAM_OCT" if chip == "esp32s3" and _OCTAL.search(features) else ""
    return _BOARDS[chip], variant


def newest(page, board, variant=""):
    """The path of the newest release in a page of downloads, previews left out; None when there is none."""
    name = re.escape(board + ("-" + variant if variant else ""))
    found = re.findall(rf'"(/resources/firmware/{name}-(\d{{8}})-v(\d+)\.(\d+)(?:\.(\d+))?\.bin)"', page)
    best = max(found, key=lambda link: (*(int(part or 0) for part in link[2:]), link[1]), default=None)
    return best[0] if best else None


def image_for(chip, features="", site=SITE, cache=None):
    """The path of the newest image for a chip, fetched when it is not in the cache, and whole by its own checksums.

    Without a network the newest one in the cache. Raises UserError.
    """
    board, variant = board_of(chip, features)
    folder = cache or os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "mote", "images")
    try:
        page = _get(f"{site}/download/{board}/").decode("utf-8", "replace")
        link = newest(page, board, variant) or newest(page, board)
        if link is None:
            raise errors.UserError(f"{site}/download/{board}/ names no release: name an image with --image FILE",
                                   errors.FAILED)
        path = os.path.join(folder, os.path.basename(link))
        if not os.path.exists(path):
            _keep(path, _get(site + link))
        return path
    except (urllib.error.URLError, OSError) as error:
        kept = _cached(folder, board, variant)
        if kept:
            return kept
        raise errors.UserError(
            f"cannot reach {site} ({getattr(error, 'reason', error)}), and no image for {chip} is in {folder}: fetch "
            f"one from {site}/download/{board}/ and name it with --image FILE", errors.UNREACHABLE) from None


def _get(url):
    with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer:
        return answer.read(_MOST_BYTES)


def _keep(path, content):
    images.Firmware(os.path.basename(path), content)  # raises for one that is not whole
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=os.path.dirname(path), delete=False) as file:
        file.write(content)
    os.replace(file.name, path)


def _cached(folder, board, variant):
    """The newest image of a board in the cache, or None."""
    try:
        names = os.listdir(folder)
    except OSError:
        return None
    page = " ".join(f'"/resources/firmware/{name}"' for name in names)
    link = newest(page, board, variant)
    return os.path.join(folder, os.path.basename(link)) if link else None
