"""A link with a round-trip time, between two network namespaces: each IP packet arrives half a round trip later.

TUN devices and this process carry the packets, so that TCP's handshake, its acknowledgements and Nagle's algorithm are
real. That takes root on Linux; `Proxy` has the same face where there is none, and carries bytes instead: its
connections open at once (the span of one counts the round trip that this would take), and a client's small writes cost
it less than they would. Neither limits the bandwidth.
"""

import collections
import contextlib
import ctypes
import fcntl
import json
import os
import select
import socket
import struct
import subprocess
import sys
import threading
import time

from tools import ROOT, children, errors

NEAR, FAR = "10.119.7.1", "10.119.7.2"  # in namespaces of their own, so that they meet nobody else's
_NETMASK = "255.255.255.252"
_CLONE_NEWNET = 0x40000000
_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
_SIOCSIFFLAGS, _SIOCSIFADDR, _SIOCSIFNETMASK, _SIOCSIFTXQLEN = 0x8914, 0x8916, 0x891C, 0x8943
_IFF_UP_RUNNING = 0x41
_QUEUE_PACKETS = 10_000  # a burst of all that TCP lets out must not be dropped: the link has no limit
_PACKET_BYTES = 2_048  # more than the MTU of a TUN device
_START_LIMIT_S = 10
_SPAN_LIMIT_S = 10  # from the end of a client's connection to the report of it


class Link:
    """`with Link(rtt_ms) as link:`; `host` is the address of the far end. Raises UserError where it cannot be made."""

    kind = "TUN devices between two network namespaces"
    host = FAR

    def __init__(self, rtt_ms):
        self._rtt_ms = rtt_ms
        self._process = None
        self._far = self._near = None

    def __enter__(self):
        self._process = children.start(
            [sys.executable, "-m", "tools.slow_link", str(self._rtt_ms)], cwd=ROOT, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, bufsize=0)  # or select would not see what is buffered
        line = self._read_line(_START_LIMIT_S)
        if not line:
            _, said = self._process.communicate()
            raise errors.UserError(
                "no delayed link on this machine: " + said.decode().strip()[-300:], errors.UNREACHABLE)
        self._near, self._far = (f"/proc/{self._process.pid}/fd/{number}" for number in json.loads(line))
        return self

    def __exit__(self, *_):
        children.stop(self._process)
        self._process.stdout.close()
        self._process.stderr.close()

    def near(self, argv):
        """The command line that runs `argv` at the near end."""
        return ["nsenter", "--net=" + self._near, *argv]

    @contextlib.contextmanager
    def far(self):
        """Within it the calling thread, and children that it starts, are at the far end."""
        with open("/proc/thread-self/ns/net") as home, open(self._far) as there:
            _enter(there)
            try:
                yield self
            finally:
                _enter(home)

    def address(self, port):
        """Where the near end finds what listens on `port` at the far end."""
        return self.host, port

    def span_ms(self):
        """Milliseconds from the first packet of the near end's connection that ended last to its last data, on the
        wire: as they left the near end. To be called once for each connection."""
        line = self._read_line(_SPAN_LIMIT_S)
        if not line:
            raise errors.UserError("the link saw no end of a connection", errors.FAILED)
        return json.loads(line)

    def _read_line(self, limit_s):
        return self._process.stdout.readline() if select.select([self._process.stdout], [], [], limit_s)[0] else b""


class Proxy:
    """The same on loopback, without root: a TCP proxy that passes bytes on half a round trip later."""

    kind = "a delaying TCP proxy on loopback"
    host = "127.0.0.1"

    def __init__(self, rtt_ms):
        self._delay_s = rtt_ms / 2_000
        self._handshake_ms = rtt_ms
        self._listener = None
        self._target = None
        self._spans = collections.deque()
        self._ended = threading.Semaphore(0)

    def __enter__(self):
        self._listener = socket.create_server((self.host, 0))
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def near(self, argv):
        return argv

    @contextlib.contextmanager
    def far(self):
        yield self

    def address(self, port):
        self._target = port
        return self.host, self._listener.getsockname()[1]

    def span_ms(self):
        if not self._ended.acquire(timeout=_SPAN_LIMIT_S):
            raise errors.UserError("the link saw no end of a connection", errors.FAILED)
        return self._spans.popleft()

    def _serve(self):
        while True:
            try:
                client = self._listener.accept()[0]
            except OSError:  # the end of the listener
                return
            threading.Thread(target=self._carry, args=(client, time.monotonic()), daemon=True).start()

    def _carry(self, client, opened):
        """Pass bytes on both ways until an end closes."""
        with client, socket.create_connection((self.host, self._target)) as broker:
            for end in (client, broker):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            line = _Delay(self._delay_s)
            last = opened
            with contextlib.suppress(OSError):  # an end that hangs up without closing properly ends it as well
                while True:
                    for end in select.select([client, broker], [], [], line.left_s())[0]:
                        data = end.recv(65_536)
                        if end is client and data:
                            last = time.monotonic()
                        line.put((broker if end is client else client, data))
                    for other, data in line.due():
                        if not data:
                            self._spans.append((last - opened) * 1_000 + self._handshake_ms)
                            self._ended.release()
                            return
                        other.sendall(data)


def best(rtt_ms):
    """The truest link that this machine allows: of namespaces where they can be made, else a proxy."""
    if sys.platform == "linux" and os.geteuid() == 0:
        try:
            with Link(rtt_ms):
                return Link(rtt_ms)
        except errors.UserError:
            pass  # root in a container may not make namespaces
    return Proxy(rtt_ms)


class _Delay:
    """What comes out as late as `delay_s` after it was put in, in the same order."""

    def __init__(self, delay_s):
        self._delay_s = delay_s
        self._waiting = collections.deque()

    def put(self, item):
        self._waiting.append((time.monotonic() + self._delay_s, item))

    def left_s(self):
        """Seconds until something is due; None when nothing waits."""
        return max(0, self._waiting[0][0] - time.monotonic()) if self._waiting else None

    def due(self):
        """All that is due, one after the other."""
        while self._waiting and self._waiting[0][0] <= time.monotonic():
            yield self._waiting.popleft()[1]


class _Span:
    """When a connection of the near end began and when it last said something, by its IP packets."""

    def __init__(self):
        self._began = self._last = None

    def see(self, packet):
        """Note a packet as it leaves the near end; returns the span in ms when it ends a connection, else None."""
        head = (packet[0] & 15) * 4
        if packet[0] >> 4 != 4 or packet[9] != socket.IPPROTO_TCP:
            return None
        flags = packet[head + 13]
        data = len(packet) - head - (packet[head + 12] >> 4) * 4
        if flags & 2 and self._began is None:  # SYN; one that is sent again is no other beginning
            self._began = self._last = time.monotonic()
        if data:
            self._last = time.monotonic()
        if flags & 5 and self._began is not None:  # FIN or RST
            began, self._began = self._began, None
            return (self._last - began) * 1_000
        return None


def _enter(namespace):
    if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), _CLONE_NEWNET):
        raise errors.UserError("setns: " + os.strerror(ctypes.get_errno()), errors.UNREACHABLE)


def _end(name, address):
    """A network namespace of its own for this process, with loopback and a TUN device up: (its file, the device's)."""
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", name, _IFF_TUN | _IFF_NO_PI))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for request, text in ((_SIOCSIFADDR, address), (_SIOCSIFNETMASK, _NETMASK)):
            fcntl.ioctl(control, request, struct.pack("16sHH4s16x", name, socket.AF_INET, 0, socket.inet_aton(text)))
        fcntl.ioctl(control, _SIOCSIFTXQLEN, struct.pack("16si20x", name, _QUEUE_PACKETS))
        for interface in (name, b"lo"):
            fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sH22x", interface, _IFF_UP_RUNNING))
    return os.open("/proc/self/ns/net", os.O_RDONLY), device


def _carry(near, far, delay_s):
    """Pass packets on between two devices, and report the span of each connection of the near end."""
    line, span = _Delay(delay_s), _Span()
    while True:
        for device in select.select([near, far], [], [], line.left_s())[0]:
            packet = os.read(device, _PACKET_BYTES)
            line.put((far if device == near else near, packet))
            ended_ms = span.see(packet) if device == near else None
            if ended_ms is not None:
                print(json.dumps(ended_ms), flush=True)
        for device, packet in line.due():
            os.write(device, packet)


def main(rtt_ms):
    """Make both ends, say where they are, and carry packets until killed."""
    near, near_device = _end(b"near0", NEAR)
    far, far_device = _end(b"far0", FAR)
    print(json.dumps([near, far]), flush=True)
    _carry(near_device, far_device, rtt_ms / 2_000)


if __name__ == "__main__":
    main(float(sys.argv[1]))
