"""`mote image`: it unpacks again, by other code than made it, and boots."""

import hashlib
import json
import stat

import pytest

from tests.host import firmware_images
from tests.host.virtual import PROMPT
from tools import errors
from tools.board import files, images, ports, repl, whole
from tools.sim.board.board import VirtualBoard

pytestmark = pytest.mark.filterwarnings("ignore:set(Daemon|Name)")
CONFIG = {"schema": 1, "node": {"id": "shed-1"}, "wifi": {"home": {"password": "correct horse"}},
          "mqtt": {"host": "192.0.2.1"}}


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(CONFIG))
    return path


def test_the_official_image_with_a_node_unpacks_again_and_boots(mote, config, tmp_path):
    out = tmp_path / "out"
    status, said, _ = mote("image", "--image", firmware_images.official(), "--config", config, "--out", out, "--json")
    assert status == errors.DONE
    answer = json.loads(said)
    path = tmp_path / "out/mote.bin"
    content = path.read_bytes()
    assert hashlib.sha256(content).hexdigest() == answer["sha256"] and stat.S_IMODE(path.stat().st_mode) == 0o600
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    assert manifest["builds"] == [{"chipFamily": "ESP32", "parts": [{"path": "mote.bin", "offset": 0x1000}]}]
    found = json.loads(mote("image", "--show", path, "--json")[1])
    wanted = files.wanted()
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in wanted.items()}
    assert {name: found["files"][name] for name in hashes} == hashes
    assert set(found["files"]) == {*wanted, "config.json"}
    assert [entry["name"] for entry in found["partitions"]] == ["nvs", "phy_init", "factory", "vfs"]
    with VirtualBoard(tmp_path / "flash") as board:
        board.flash.program(0x1000, content)
        board.pull()
        board.plug()
        assert board.await_said(b"link: joining", 20), bytes(board.log)
        with ports.opened(board.rfc2217().url) as port:
            there = repl.Repl(port, "board")
            there.enter()
            state = files.look(there)
        assert not files.plan(wanted, state).send, "MicroPython reads what was packed"
        assert json.loads(firmware_images.content_of(board, "config.json")) == CONFIG
        assert not board.noticed()


def test_a_table_without_a_file_system_gets_one_for_the_flash_there_is(tmp_path, mote, monkeypatch):
    monkeypatch.setattr(files, "wanted", lambda: {"main.py": b"print('main ran')\n", "lib/a.mpy": b"a" * 9000})
    image = tmp_path / "MICROPYTHON-1.27.bin"
    image.write_bytes(firmware_images.small("esp32s3", layout=firmware_images.LAYOUT[:-1]))
    status, said, _ = mote("image", "--image", image, "--flash-size", "8", "--out", tmp_path / "out")
    assert status == errors.DONE and "esptool --chip esp32s3 write-flash 0x0" in said
    content = (tmp_path / "out/mote.bin").read_bytes()
    table = whole.unpacked("mote.bin", content).partitions
    assert table[-1] == images.Partition("vfs", 1, 0x81, 0x30000, (8 << 20) - 0x30000)
    with VirtualBoard(tmp_path / "flash", "esp32s3", flash_bytes=8 << 20) as board:
        board.flash.program(0, content)
        board.pull()
        board.plug()
        assert board.await_said(b"main ran\r\n") and board.await_said(PROMPT)


def test_what_does_not_fit_is_refused(mote, tmp_path, config, monkeypatch):
    image = tmp_path / "small.bin"
    image.write_bytes(firmware_images.small(layout=firmware_images.LAYOUT[:-1] + (
        images.Partition("vfs", 1, 0x81, 0x30000, 0x10000),)))
    status, _, said = mote("image", "--image", image, "--out", tmp_path / "out")
    assert status == errors.FAILED and "is too small" in said
    official = firmware_images.official()
    status, _, said = mote("image", "--image", official, "--flash-size", "2", "--out", tmp_path / "out")
    assert status == errors.FAILED and "does not fit a flash of 2 MB" in said


def test_a_wrong_configuration_makes_no_image(mote, tmp_path, config):
    config.write_text("{}")
    official = firmware_images.official()
    status, _, said = mote("image", "--image", official, "--config", config, "--out", tmp_path / "out")
    assert status == errors.USAGE and "mqtt.host" in said and not (tmp_path / "out").exists()
