"""MicroPython's stream where TLS fails by numbers and by lack of memory; on CPython as far as it needs no loop."""

import sys

import stream
import stream_tls
from boards import Server, echo
from fakes import Module, Swapped
from minitest import equal, raises
from scripted import readinto

MICROPYTHON = sys.implementation.name == "micropython"
NO_MEMORY = "not enough memory for TLS"
TLS = {"ca": "ca.der"}


def failing(error):
    def fail(*args, **options):
        raise error

    return fail


def said(error, heard=False, tls=True):
    """What a write says on a socket that raises `error`."""
    sock = Module(write=failing(error))
    wire = stream_tls.TLSStream(sock, Module()) if tls else stream.Stream(sock)
    wire.heard = heard
    with raises(OSError) as caught:
        wire.write(b"CONNECT")
    return str(caught.value)


def test_before_the_first_word_of_the_server_errors_are_those_of_tls():
    equal(said(ValueError("The certificate validity has expired")), "certificate expired")
    equal(said(OSError(-17040)), NO_MEMORY)
    equal(said(OSError(16)), NO_MEMORY)
    equal(said(OSError(-29184)), "no TLS there")


def test_afterwards_and_without_tls_errors_stay_what_they_are():
    for options in ({"heard": True}, {"tls": False}):
        assert "TLS" not in said(OSError(104), **options)


def test_no_memory_even_for_the_reason():
    with Swapped({"tls_errors": Module(named=failing(MemoryError()))}):
        equal(said(OSError(-17040)), NO_MEMORY)


async def test_lack_of_memory_before_the_handshake():
    if not MICROPYTHON:
        return
    short = MemoryError("memory allocation failed")
    for certs in (Module(context=failing(short), server_name=None, ders=None), trusting(OSError(12)), trusting(short)):
        with Swapped({"certs": certs}):
            with raises(OSError) as caught:
                await attempt()
            equal(str(caught.value), NO_MEMORY)


async def test_the_first_word_of_the_server_ends_the_handshake():
    if not MICROPYTHON:
        return
    async with Server(echo) as port:
        plain = await stream.connect(stream.resolve("127.0.0.1", port), "127.0.0.1", None)
        wire = stream_tls.TLSStream(plain.sock, plain.sock)
        wire.write(b"word")
        await wire.drain()
        await readinto(wire, bytearray(4))
        wire.close()
        wire.sock = Module(write=failing(OSError(104)))
        with raises(OSError) as caught:
            wire.write(b"word")
        assert "TLS" not in str(caught.value)


def trusting(error):
    """A `certs` whose context has no room for a connection."""
    context = Module(wrap_socket=failing(error))
    return Module(context=lambda tls, read: context, server_name=lambda tls, host: host, ders=None)


async def attempt():
    """A connection, whose TCP part succeeds."""
    async with Server(echo) as port:
        await stream.connect(stream.resolve("127.0.0.1", port), "127.0.0.1", TLS)
