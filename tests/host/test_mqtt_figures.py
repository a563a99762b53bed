"""What the MQTT client takes on real MicroPython over a real socket, as bytecode: these figures may not grow."""

import pathlib
import socket
import threading

import pytest
from scripted import packets

from tools import build, micropython

pytestmark = pytest.mark.skipif(not micropython.available(), reason="no interpreter for this machine")

SCRIPT = pathlib.Path(__file__).with_name("figures_client.py")
HEAP = "1m"  # room enough that nothing is ever short of it


def acknowledge(connection):
    """A broker that accepts everything, until the client hangs up."""
    data = b""
    with connection:
        while True:
            try:
                more = connection.recv(65_536)
            except ConnectionResetError:
                return
            if not more:
                return
            found, data = packets(data + more)
            answers = [b"\x20\x02\0\0" if first == 0x10 else b"\x40\x02" + body[2 + body[1]:][:2]
                       for first, body in found if first in (0x10, 0x32)]
            connection.sendall(b"".join(answers))


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    """The script with the names that the compiled modules have."""
    path = tmp_path_factory.mktemp("figures") / SCRIPT.name
    path.write_text(build.script(SCRIPT.read_text()))
    return str(path)


@pytest.fixture(scope="module")
def figure(script, port):
    def measured(what, count=100, heap=HEAP):
        return float(micropython.output(script, "127.0.0.1", str(port), what, str(count), path=build.path(), heap=heap))

    return measured


@pytest.fixture(scope="module")
def port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        def serve():
            while True:
                try:
                    connection = server.accept()[0]
                except OSError:
                    return  # the fixture is over
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=acknowledge, args=(connection,), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("what, most_bytes", [("burst", 0), ("one-by-one", 0), ("callback", 64), ("awaited", 320)])
def test_a_publish_takes_no_more_memory_than(figure, what, most_bytes):
    assert figure(what) <= most_bytes


def test_a_connected_client_holds_no_more_memory_than(figure):
    assert figure("heap") <= 24_500  # 4,100 of them asyncio's
