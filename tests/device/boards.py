"""Every board there is, for the tests of what all of them promise; and a server for their streams."""

import asyncio
import os
import sys

import flash
from fakes import Esp32, Module, chip
from fakes.radio import AccessPoint

HOME = {"home": {"password": "correct horse"}}
RESETS = (SystemExit, chip.Reset)  # what a reset is where nothing can be reset

if sys.implementation.name == "micropython":
    from tools.host.micropython_world import HostBoard
else:  # the simulated board is a host's: it runs on CPython alone
    import simulated
    from tools.host.cpython_world import HostBoard

    RESETS += (simulated.Reset,)


class OneChip:
    """Buses with one chip each, as options["buses"] of the host board: the fake ESP32's own."""

    poll = None

    def i2c(self, bus):
        return chip.I2c(bus, freq=100_000)

    def input_pin(self, number, pull=None):
        return chip.Pin(number, chip.Pin.IN, {"up": chip.Pin.PULL_UP}.get(pull))

    def output_pin(self, number):
        return chip.Pin(number, chip.Pin.OUT)

    def adc(self, number):
        return chip.Adc(number, atten=chip.Adc.ATTN_11DB)

    def onewire(self, number):
        return chip.OneWire(chip.Pin(number))

    def dht(self, number):
        return Module(measure=lambda buf: chip.dht_readinto(chip.Pin(number), buf))


def host_board(root, **options):
    """The host board, whose files are below `root`."""
    options.update(config=root + "/config.json", state=root, mac="02:00:00:a1:b2:c3", model="test")
    return HostBoard(options)


def esp32(root=None):
    """A fake ESP32 at home."""
    result = Esp32(root or flash.folder())
    result.access_points.append(AccessPoint("home", -60, "correct horse"))
    return result


def provisioned():
    """A new flash with a config.json."""
    root = flash.folder()
    with open(root + "/config.json", "wb") as file:
        file.write(b'{"schema": 1}')
    return root


async def on_every_board(check, root=provisioned):
    """Run `check(board)` on each board, on a flash that `root` makes; a failure says on which board."""
    await named(check, "host", host_board(root(), chips="none"))
    await named(check, "host with chips", host_board(root(), chips="simulated", buses=OneChip()))
    with esp32(root()) as device:
        await named(check, "esp32", device.board())
    if sys.implementation.name != "micropython":
        await simulated.named(named, check, OneChip(), root())


async def named(check, name, board):
    try:
        await check(board)
    except Exception:
        print("on the board:", name)
        raise


class Server:
    """`async with Server(serve) as port:` serve(reader, writer) gets each connection."""

    def __init__(self, serve):
        self._serve = serve

    async def __aenter__(self):
        for _ in range(20):
            port = 20_000 + int.from_bytes(os.urandom(2), "little") % 40_000
            try:
                self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
                return port
            except OSError:
                continue  # taken
        raise OSError("no free port")

    async def __aexit__(self, *error):
        self._server.close()
        await asyncio.sleep(0.02)  # for the connections to notice


async def echo(reader, writer):
    while True:
        data = await reader.read(1000)
        if not data:
            break
        writer.write(data)
        await writer.drain()
    writer.close()
    await writer.wait_closed()


async def hang_up(reader, writer):
    """Close with bytes unread, which the kernel turns into a reset."""
    await reader.read(1)
    writer.close()
    await writer.wait_closed()
