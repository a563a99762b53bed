"""Cables to the virtual board: RFC 2217, with a server on the board's computer, and a pseudo-terminal.

Each hands the host's bytes to `board.from_host`, and is told `to_host` what the board says. When the cable is pulled,
`cut` ends what is open; `restore` makes it usable again. A pseudo-terminal has no DTR and RTS.
"""

import contextlib
import os
import select
import socket
import threading
import tty

from esp_rfc2217_server.esp_port_manager import EspPortManager
from esptool.reset import ClassicReset
from serial import rfc2217

_PIECE_BYTES = 4096
_LOOK_S = 0.1  # how often a thread looks whether it is to end


class Port:
    """What a server of RFC 2217 takes for its serial port: only the modem lines and the speed mean anything."""

    bytesize, parity, stopbits, rtscts, xonxoff, break_condition = 8, "N", 1, False, False, False
    cts = dsr = cd = True
    ri = False
    name = "virtual"

    def __init__(self, board):
        self._board = board
        self._dtr = self._rts = False
        self.baudrate = 115200

    def isOpen(self):
        return True

    @property
    def dtr(self):
        return self._dtr

    @dtr.setter
    def dtr(self, value):
        self._dtr = bool(value)
        self._board.modem_lines(self._dtr, self._rts)

    @property
    def rts(self):
        return self._rts

    @rts.setter
    def rts(self, value):
        self._rts = bool(value)
        self._board.modem_lines(self._dtr, self._rts)

    setDTR = dtr.fset
    setRTS = rts.fset

    def reset_input_buffer(self):
        """Nothing waits on this side."""

    def reset_output_buffer(self):
        """Nor here."""


class _EspPortManager(EspPortManager):
    """Espressif's server, which plays a whole reset as soon as it sees its beginning: the network is too slow to pass
    the steps on. Without the ioctl that needs a real port."""

    def _reset_thread(self):
        ClassicReset(self.serial, 0.05)()


class Rfc2217:
    """A server on loopback for one client at a time; a second one is turned away. `espressif`: as
    esp_rfc2217_server, else as a plain one, which passes DTR and RTS on as they come."""

    def __init__(self, board, espressif=True):
        self._board = board
        self._espressif = espressif
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(_LOOK_S)
        self._client = self._manager = None
        self._lock = threading.Lock()
        self._ended = False
        self.plugged = True
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def url(self):
        """For pyserial."""
        port = self._listener.getsockname()[1]
        return f"rfc2217://127.0.0.1:{port}" + ("?ign_set_control" if self._espressif else "")

    def _serve(self):
        while not self._ended:
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return  # closed
            if not self.plugged or self._client is not None:
                client.close()
                continue
            threading.Thread(target=self._talk, args=(client,), daemon=True).start()

    def write(self, data):
        """What PortManager answers to the host: not the board's words, so no escape."""
        with self._lock, contextlib.suppress(OSError, AttributeError):
            self._client.sendall(data)

    def _talk(self, client):
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._client = client
        kind = (_EspPortManager, (False,)) if self._espressif else (rfc2217.PortManager, ())
        self._manager = kind[0](Port(self._board), self, *kind[1])
        try:
            while data := client.recv(_PIECE_BYTES):
                self._board.from_host(b"".join(self._manager.filter(data)), self)
        except OSError:
            return  # the client is gone, or the cable
        finally:
            self._client = self._manager = None
            client.close()

    def to_host(self, data):
        manager = self._manager
        if manager is not None:
            self.write(b"".join(manager.escape(data)))

    def cut(self):
        self.plugged = False
        client = self._client
        if client is not None:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    def restore(self):
        self.plugged = True

    def close(self):
        self._ended = True
        self.cut()
        self._listener.close()
        self._thread.join()


class Pty:
    """A pseudo-terminal; `url` is its path, another one after the cable was pulled."""

    def __init__(self, board):
        self._board = board
        self._master = self._slave = None
        self.restore()

    def _listen(self, master):
        while True:
            try:
                if not select.select([master], [], [], _LOOK_S)[0]:
                    if self._master != master:
                        return
                    continue
                self._board.from_host(os.read(master, _PIECE_BYTES), self)
            except (OSError, ValueError):
                return  # the cable was pulled

    def to_host(self, data):
        if self._master is not None:
            with contextlib.suppress(OSError):
                os.write(self._master, data)

    def cut(self):
        master, self._master = self._master, None
        if master is not None:
            os.close(self._slave)
            self._thread.join()
            os.close(master)

    def restore(self):
        if self._master is None:
            master, self._slave = os.openpty()
            tty.setraw(self._slave)
            os.set_blocking(master, False)  # nobody may be there to read
            self.url = os.ttyname(self._slave)
            self._thread = threading.Thread(target=self._listen, args=(master,), daemon=True)
            self._master = master
            self._thread.start()

    def close(self):
        self.cut()
