"""`mote provision`: whole configurations, credentials of each node's own, and what the broker has to know of them."""

import base64
import json
import os
import shutil
import stat
import subprocess

import pytest

from tests.host import certificates
from tests.host.virtual import on_board
from tools import brokers, connection, errors, provisioning
from store import Store
from tools.board import files, i2c
from tools.verbs import deploy

pytestmark = pytest.mark.filterwarnings("ignore:set(Daemon|Name)")
MOSQUITTO = shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin")
CSV = """id,name,area,groups,telemetry.interval_s,sensors.air.driver
north-1,North one,Field,field pumps,30,bme280
north-2,North two,Field,field,,sht4x
"""


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("MOTE_WIFI_PASSWORD", "correct horse")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def provision(mote, tmp_path):
    """Calls `mote provision` without a person."""
    def call(*argv):
        return mote("provision", "--broker", "192.0.2.1", "--wifi", "home", "--yes", *argv)

    return call


@pytest.fixture
def fleet(tmp_path):
    """Writes a CSV file."""
    def write(text=CSV):
        path = tmp_path / "nodes.csv"
        path.write_text(text)
        return path

    return write


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def test_a_fleet_has_credentials_of_its_own(provision, fleet, tmp_path):
    status, said, _ = provision("--fleet", fleet(), "--out", tmp_path / "out", "--acl", tmp_path / "acl")
    assert status == errors.DONE
    one, two = (json.loads((tmp_path / f"out/north-{number}.json").read_text()) for number in (1, 2))
    assert one["node"] == {"id": "north-1", "name": "North one", "area": "Field", "groups": ["field", "pumps"]}
    assert one["telemetry"] == {"interval_s": 30} and two["sensors"]["air"]["driver"] == "sht4x"
    assert one["mqtt"]["user"] == "north-1" and len(one["mqtt"]["password"]) == 22
    assert one["mqtt"]["password"] != two["mqtt"]["password"]
    assert one["wifi"] == {"home": {"password": "correct horse"}}
    assert mode(tmp_path / "out/north-1.json") == mode(tmp_path / "acl/passwords") == 0o600
    for text in (said, (tmp_path / "out/labels.html").read_text(), (tmp_path / "acl/passwords").read_text()):
        assert one["mqtt"]["password"] not in text and "correct horse" not in text


def test_a_second_run_keeps_the_passwords_and_other_users(provision, fleet, tmp_path):
    arguments = ("--fleet", fleet(), "--out", tmp_path / "out", "--acl", tmp_path / "acl")
    (tmp_path / "acl").mkdir()
    (tmp_path / "acl/passwords").write_text(provisioning.mosquitto_line("operator", "secret") + "\n")
    provision(*arguments)
    before = (tmp_path / "out/north-1.json").read_text()
    provision(*arguments)
    assert (tmp_path / "out/north-1.json").read_text() == before
    users = [line.partition(":")[0] for line in (tmp_path / "acl/passwords").read_text().splitlines()]
    assert users == ["operator", "north-1", "north-2"]


@pytest.mark.parametrize("text, says", [
    ("name\nx\n", "has to name a column `id`"),
    ("id,telemetry.intervall_s\na,1\n", "did you mean telemetry.interval_s?"),
    ("id,telemetry.interval_s\na,0\nb,x\nb,5\nALL,5\n", "has 4 mistake"),
    ("id\n", "has no nodes"),
    ("id\nall\n", "neither `all` nor `group`"),
    ("id,groups\na,all\n", "neither `all` nor `group`"),
], ids=["no id", "unknown column", "every mistake", "empty", "a reserved id", "a reserved group"])
def test_mistakes_in_a_fleet_are_told_at_once_and_nothing_is_written(provision, fleet, tmp_path, text, says):
    status, _, said = provision("--fleet", fleet(text), "--out", tmp_path / "out", "--acl", tmp_path / "acl")
    assert status != errors.DONE and says in said, said
    assert not (tmp_path / "out").exists() and not (tmp_path / "acl").exists()


def test_five_hundred_nodes(provision, fleet, tmp_path):
    lines = "".join(f"field-{number:03},Node {number},Block {number // 50}\n" for number in range(500))
    arguments = ("--out", tmp_path / "out", "--acl", tmp_path / "acl")
    status, said, error = provision("--fleet", fleet("id,name,area\n" + lines), *arguments)
    assert status == errors.DONE, error
    written = sorted((tmp_path / "out").glob("field-*.json"))
    assert len(written) == 500 and {mode(path) for path in written} == {0o600}
    drawn = {json.loads(path.read_text())["mqtt"]["password"] for path in written}
    assert len(drawn) == 500, "no two nodes share a password"
    assert len((tmp_path / "acl/passwords").read_text().splitlines()) == 500
    assert (tmp_path / "out/labels.html").read_text().count("<svg") == 500
    assert "500 nodes in all" in said and len(said.splitlines()) < 50
    _, _, said = provision("--fleet", fleet("id,telemetry.interval_s\n" + lines.replace(",Node", ",x")), *arguments)
    assert "has 500 mistake(s); nothing was written" in said and "and 480 more" in said


@pytest.mark.skipif(not MOSQUITTO, reason="needs Mosquitto")
def test_mosquitto_lets_in_whom_it_was_told_of(provision, fleet, tmp_path):
    provision("--fleet", fleet(), "--out", tmp_path / "out", "--acl", tmp_path / "acl")
    secret = json.loads((tmp_path / "out/north-1.json").read_text())["mqtt"]["password"]
    port = brokers.free_ports(1)[0]
    config = tmp_path / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous false\npassword_file {tmp_path}/acl/passwords\n"
                      f"acl_file {tmp_path}/acl/acl\nuser root\n")
    process = subprocess.Popen([MOSQUITTO, "-c", config],
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        while b"running" not in process.stdout.readline():
            assert process.poll() is None
        target = connection.Target("127.0.0.1", port, False, "north-1", secret, None, "mote")
        with connection.Connection(target, ["mote/north-1/#"]) as link:
            link.publish("mote/north-1/status", b"online")
            assert link.wait_for(lambda message: message.payload == b"online", 5)
        with pytest.raises(errors.UserError):
            connection.Connection(target._replace(password="guess"), []).__enter__()
    finally:
        process.terminate()
        process.communicate()


def test_emqx_users_are_salted(tmp_path):
    text = provisioning.emqx_passwords({"a": "secret"}, provisioning.emqx_passwords({"b": "other", "a": "old"}))
    lines = text.splitlines()
    assert lines[0] == "user_id,password_hash,salt,is_superuser" and len(lines) == 3
    assert [line.partition(",")[0] for line in lines[1:]] == ["b", "a"] and "secret" not in text


def test_onto_a_board_with_what_is_on_its_buses(provision, virtual, tmp_path):
    sensors = {"a": {"driver": "bme280", "bus": 0, "address": 0x77, "kind": "bmp280"},
               "b": {"driver": "sht4x", "bus": 0, "address": 0x44}}
    board = virtual(sensors=sensors)
    status, said, error = provision("--port", board.rfc2217().url, "--name", "Shed", "--json")
    assert status == errors.DONE, error
    document = json.loads(on_board(board, tmp_path)["config.json"])
    assert document["node"] == {"id": "esp32-a1b2c3", "name": "Shed"}
    assert document["sensors"] == {"air": {"driver": "bme280", "bus": 0, "address": 0x77, "kind": "bmp280"},
                                   "climate": {"driver": "sht4x", "bus": 0, "address": 0x44}}
    assert "an SHT3x answers there, too" in error
    assert json.loads(said) == {"nodes": ["esp32-a1b2c3"], "files": [], "labels": {"esp32-a1b2c3": "MOTE:esp32-a1b2c3"}}


def test_a_board_keeps_what_nothing_is_said_about(provision, mote, virtual, tmp_path):
    board = virtual()
    url = board.rfc2217().url
    soil = {"driver": "analog", "kind": "soil", "pin": 33}
    status, _, error = provision("--port", url, "--id", "shed-1", "--name", "Shed", "--set", "mqtt.path=/mqtt",
                                 "--set", f"sensors.soil={json.dumps(soil)}", "--set", "telemetry.interval_s=5")
    assert status == errors.DONE, error
    before = json.loads(on_board(board, tmp_path)["config.json"])
    status, _, error = mote("provision", "--port", url, "--wifi", "work", "--yes")
    assert status == errors.DONE, error
    assert json.loads(on_board(board, tmp_path)["config.json"])["mqtt"] == before["mqtt"]
    status, _, error = mote("provision", "--port", url, "--broker", "192.0.2.2:1884", "--yes",
                            "--set", "telemetry.interval_s=null", "--set", "node.area=Garden")
    assert status == errors.DONE, error
    assert json.loads(on_board(board, tmp_path)["config.json"]) == {
        "schema": 1, "node": {"id": "shed-1", "name": "Shed", "area": "Garden"}, "sensors": {"soil": soil},
        "wifi": {**before["wifi"], "work": {"password": "correct horse"}}, "telemetry": {"interval_s": None},
        "mqtt": {"host": "192.0.2.2", "port": 1884}}
    template = tmp_path / "anew.json"
    template.write_text('{"schema": 1, "mqtt": {"host": "192.0.2.9"}}')
    status, _, error = provision("--port", url, "--from", template)
    assert status == errors.DONE, error
    assert json.loads(on_board(board, tmp_path)["config.json"])["node"]["id"] == "esp32-a1b2c3"


def test_whoever_is_at_the_cable_has_the_last_word(mote, virtual, tmp_path):
    """A broker's address that came over the air must not win over the one that somebody has come to write."""
    board = virtual()
    url = board.rfc2217().url
    status, _, error = mote("provision", "--port", url, "--broker", "192.0.2.1", "--wifi", "home", "--yes")
    assert status == errors.DONE and "over the air" not in error, error
    patch = {"mqtt": {"host": "192.0.2.7"}, "telemetry": {"interval_s": 7}}
    keep_patch(url, tmp_path, {"revision": 3, "patch": {"mqtt": {"host": "on.trial"}}, "old": patch})
    status, _, error = mote("provision", "--port", url, "--broker", "192.0.2.9", "--yes")
    assert status == errors.DONE and "up to revision 3" in error, error
    there = on_board(board, tmp_path)
    document = json.loads(there["config.json"])
    assert (document["mqtt"]["host"], document["telemetry"]) == ("192.0.2.9", {"interval_s": 7})
    (tmp_path / "left").mkdir()
    (tmp_path / "left" / "config").write_bytes(there["state/config"])
    assert json.loads(Store(str(tmp_path / "left")).load("config")) == {"revision": 4, "patch": {}}


def keep_patch(url, tmp_path, document):
    """Have a board keep a document as if it had come over the air."""
    (tmp_path / "kept").mkdir()
    Store(str(tmp_path / "kept")).save("config", json.dumps(document).encode())
    with deploy.connected(url) as there:
        files.write(there, "state/config", (tmp_path / "kept" / "config").read_bytes())


def test_what_no_driver_knows_is_remarked_upon():
    sensors, remarks = i2c.proposed([(0, 0x3C, None), (0, 0x76, 0x60), (1, 0x76, 0x60), (0, 0x77, 0x60)])
    assert list(sensors) == ["air", "air2"] and "0x3c of bus 0" in remarks[0]


def test_signed_documents_get_a_key_that_stays(provision, tmp_path):
    for _ in range(2):
        provision("--id", "shed-1", "--out", tmp_path / "out", "--signed")
    key = json.loads((tmp_path / "out/shed-1.json").read_text())["config"]["key"]
    assert (tmp_path / "config/mote/keys/shed-1").read_text().strip() == key and len(key) == 64


def test_an_authority_travels_inside_the_configuration(provision, mote, tmp_path):
    authority = certificates.Authority(tmp_path, "authority")
    arguments = ("provision", "--broker", "mqtts://broker.example", "--wifi", "home", "--yes", "--id", "a", "--out",
                 tmp_path / "out")
    assert mote(*arguments, "--ca", authority.pem)[0] == errors.DONE
    mqtt = json.loads((tmp_path / "out/a.json").read_text())["mqtt"]
    with open(authority.der, "rb") as file:
        assert base64.b64decode(mqtt["tls"]["ca"]) == file.read() and mqtt["port"] == 8883
    status, _, said = mote(*arguments)
    assert status == errors.USAGE and "--ca FILE" in said


def test_without_a_person_what_is_missing_is_named(mote):
    status, _, said = mote("provision", "--id", "a", "--out", "/nonexistent", "--yes")
    assert status == errors.USAGE and "--broker" in said
