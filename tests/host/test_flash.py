"""`mote flash` on the virtual board, with the real esptool."""

import functools
import http.server
import json
import os
import random
import threading

import pytest

from tests.host import firmware_images
from tests.host.virtual import PROMPT
from tools import errors
from tools.board import images, releases
from tools.sim.board.chips import CHIPS

pytestmark = pytest.mark.filterwarnings("ignore:set(Daemon|Name)")
PULLS = 50 if os.environ.get("MOTE_SOAK") else 2


def test_from_an_empty_flash_to_a_prompt(mote, virtual, image):
    board = virtual(image=False)
    status, said, _ = mote("flash", "--port", board.rfc2217().url, "--image", image)
    assert status == errors.DONE
    assert "ESP32" in said and "4 MB of flash" in said and "24:6f:28:a1:b2:c3" in said
    assert "with MicroPython v1.25.0 (Generic ESP32 module with ESP32)" in said
    assert board.flash.read(0x1000, os.path.getsize(image)) == image.read_bytes()
    assert not board.noticed()


@pytest.mark.parametrize("chip, other", list(zip(CHIPS, [*CHIPS][1:] + [*CHIPS][:1], strict=True)))
def test_every_chip_gets_its_own_image_and_no_other(mote, virtual, image, chip, other):
    """Images made here, with the headers of each chip: only that of the ESP32 is at hand as published."""
    board = virtual(image=False, chip=chip, flash_bytes=8 << 20)
    url = board.rfc2217().url
    image.write_bytes(firmware_images.small(other))
    status, _, said = mote("flash", "--port", url, "--image", image)
    assert status == errors.FAILED and f"is for {other}, the board at {url} is {chip} (" in said
    assert board.flash.read(0, board.flash.size_bytes).count(0xFF) == board.flash.size_bytes
    image.write_bytes(firmware_images.small(chip))
    status, said, error = mote("flash", "--port", url, "--image", image, "--json")
    assert status == errors.DONE, error
    answer = json.loads(said)
    assert (answer["chip"], answer["micropython"], answer["machine"]) == (chip, "v1.25.0", board.chip.model)
    assert (answer["mac"], answer["flash_bytes"]) == ("24:6f:28:a1:b2:c3", 8 << 20)
    assert board.await_said(PROMPT) and not board.noticed()


def test_the_official_image(mote, virtual):
    board = virtual(image=False)
    status, said, _ = mote("flash", "--port", board.rfc2217().url, "--image", firmware_images.official(), "--json")
    answer = json.loads(said)
    assert status == errors.DONE
    assert (answer["chip"], answer["micropython"], answer["mac"]) == ("esp32", "v1.25.0", "24:6f:28:a1:b2:c3")
    assert not board.noticed()


def test_files_survive_a_new_micropython_and_go_only_when_asked(mote, virtual, image):
    board = virtual()
    line = board.rfc2217()
    from tools.board import ports, repl

    def listing(code="pass"):
        with ports.opened(line.url) as port:
            there = repl.Repl(port, "board")
            there.enter()
            return there.run(code + "\nimport os\nprint(os.listdir())")

    assert "config.json" in listing("f=open('config.json','w')\nf.write('{}')\nf.close()")
    assert mote("flash", "--port", line.url, "--image", image)[0] == errors.DONE
    assert "config.json" in listing()
    status, said, _ = mote("flash", "--port", line.url, "--image", image, "--erase")
    assert status == errors.DONE and "erased the whole flash" in said
    assert "config.json" not in listing()


def test_what_is_no_littlefs_gives_way(mote, virtual, image):
    board = virtual(image=False)
    board.flash.program(0x30000, b"another system's data")
    status, said, _ = mote("flash", "--port", board.rfc2217().url, "--image", image)
    assert status == errors.DONE and "was no littlefs" in said


@pytest.mark.parametrize("content, says", [
    (firmware_images.small("esp32s3"), "is for esp32s3, the board at"),
    (b"MZ" + bytes(100_000), "no image of MicroPython for an ESP32"),
    (firmware_images.small()[:-20_000], "is damaged"),
    (firmware_images.small().replace(b"second", b"sEcond", 1), "is damaged: its bootloader: its checksum is wrong"),
    (firmware_images.small().replace(b"v1.25.0", b"v1.26.0"), "is damaged: its application: its checksum is wrong"),
], ids=["another chip", "something else", "cut short", "bootloader", "application"])
def test_an_image_that_would_not_run_is_refused_before_anything_is_written(mote, virtual, image, content, says):
    image.write_bytes(content)
    board = virtual(image=False)
    before = board.flash.read(0, board.flash.size_bytes)
    status, _, said = mote("flash", "--port", board.rfc2217().url, "--image", image)
    assert status == errors.FAILED and says in said
    assert board.flash.read(0, board.flash.size_bytes) == before


def test_a_flash_that_is_too_small_is_refused(mote, virtual, image):
    board = virtual(image=False, flash_bytes=2 << 20)
    status, _, said = mote("flash", "--port", board.rfc2217().url, "--image", image)
    assert status == errors.FAILED and "needs 4 MB of flash" in said and "has 2 MB" in said


def test_a_cable_that_only_charges(mote, virtual, image):
    board = virtual(image=False)
    board.faults.deaf = board.faults.mute = True
    status, _, said = mote("flash", "--port", board.rfc2217().url, "--image", image)
    assert status == errors.UNREACHABLE and "no chip answers. Is it a cable for data" in said


def test_a_port_that_is_not_there(mote, image):
    status, _, said = mote("flash", "--port", "/dev/ttyNOTHING", "--image", image)
    assert status == errors.UNREACHABLE and "is the board plugged in?" in said


def test_noise_at_the_reset_does_no_harm(mote, virtual, image):
    board = virtual(image=False)
    board.faults.garbage = bytes(range(128, 256)) * 3 + b"\xc0\xc0\x01"
    assert mote("flash", "--port", board.rfc2217().url, "--image", image)[0] == errors.DONE


@pytest.mark.parametrize("number", range(PULLS))
def test_a_cable_pulled_while_flashing(mote, virtual, image, number):
    seed = int(os.environ.get("MOTE_SEED", 7)) * 1000 + number
    print("MOTE_SEED", seed)
    board = virtual(image=False)
    line = board.rfc2217()
    board.faults.pull_after_bytes = random.Random(seed).randrange(500, 45_000)
    status, _, said = mote("flash", "--port", line.url, "--image", image)
    assert status in (errors.UNREACHABLE, errors.FAILED) and said.startswith("mote: rfc2217")
    board.plug()
    assert mote("flash", "--port", line.url, "--image", image)[0] == errors.DONE
    assert board.flash.read(0x1000, os.path.getsize(image)) == image.read_bytes()


PAGE = "".join(f'<a href="/resources/firmware/{name}.bin">' for name in (
    "ESP32_GENERIC_S3-20250911-v1.26.1", "ESP32_GENERIC_S3-20250809-v1.26.0", "ESP32_GENERIC_S3-20241129-v1.24.1",
    "ESP32_GENERIC_S3-SPIRAM_OCT-20250911-v1.26.1", "ESP32_GENERIC_S3-20251001-v1.27.0-preview.5.gabc"))


def test_the_newest_release_is_no_preview_and_no_other_variant():
    newest = functools.partial(releases.newest, PAGE, "ESP32_GENERIC_S3")
    assert newest() == "/resources/firmware/ESP32_GENERIC_S3-20250911-v1.26.1.bin"
    assert newest("SPIRAM_OCT") == "/resources/firmware/ESP32_GENERIC_S3-SPIRAM_OCT-20250911-v1.26.1.bin"
    assert releases.newest("nothing", "ESP32_GENERIC") is None
    assert releases.board_of("esp32s3", "Wi-Fi, BT 5 (LE), Embedded PSRAM 8MB (AP_3v3)")[1] == "SPIRAM_OCT"
    assert releases.board_of("esp32s3", "Wi-Fi, Embedded PSRAM 2MB (AP_3v3)")[1] == ""


@pytest.fixture
def site(tmp_path):
    """A site of downloads on loopback; returns its address and its folder."""
    folder = tmp_path / "site"
    (folder / "download/ESP32_GENERIC").mkdir(parents=True)
    (folder / "resources/firmware").mkdir(parents=True)
    name = "ESP32_GENERIC-20250911-v1.26.1.bin"
    (folder / "download/ESP32_GENERIC/index.html").write_text(f'<a href="/resources/firmware/{name}">')
    (folder / "resources/firmware" / name).write_bytes(firmware_images.small(version="v1.26.1"))
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", folder
    server.shutdown()
    server.server_close()


def test_a_release_is_fetched_once_and_serves_without_a_network(site, tmp_path):
    address, folder = site
    path = releases.image_for("esp32", site=address, cache=tmp_path / "cache")
    assert images.Firmware("x", open(path, "rb").read()).version == "v1.26.1"
    (folder / "resources/firmware" / os.path.basename(path)).unlink()
    assert releases.image_for("esp32", site=address, cache=tmp_path / "cache") == path
    assert releases.image_for("esp32", site="http://127.0.0.1:1", cache=tmp_path / "cache") == path
    with pytest.raises(errors.UserError, match="--image FILE"):
        releases.image_for("esp32", site="http://127.0.0.1:1", cache=tmp_path / "empty")


def test_a_release_that_arrives_damaged_is_not_kept(site, tmp_path):
    address, folder = site
    next((folder / "resources/firmware").iterdir()).write_bytes(firmware_images.small()[:-9000])
    with pytest.raises(errors.UserError, match="is damaged"):
        releases.image_for("esp32", site=address, cache=tmp_path / "cache")
    assert not (tmp_path / "cache").exists() or not list((tmp_path / "cache").iterdir())
