"""The signed form: HMAC-SHA-256 as RFC 4231 has it, and nothing else passes."""

import binascii
import hashlib

import signed
from minitest import equal, raises

KEY = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"


def hmac(key, data):
    """RFC 2104, by hand and apart from the code under test."""
    key = key + bytes(64 - len(key))
    inner = hashlib.sha256(bytes([k ^ 0x36 for k in key]) + data).digest()
    return binascii.hexlify(hashlib.sha256(bytes([k ^ 0x5C for k in key]) + inner).digest())


def test_the_check_itself_follows_rfc_4231():
    equal(hmac(b"Jefe", b"what do ya want for nothing?"),
          b"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")


def test_the_signature_is_hmac_over_receiver_kind_and_text():
    for text in (b"", b"{}", b"x" * 4_000):
        found = signed.signature(KEY, "esp32-a1b2c3", "config", text)
        equal(found, hmac(binascii.unhexlify(KEY), b"mote1\nesp32-a1b2c3\nconfig\n" + text))


def test_what_was_signed_opens():
    for kind in (bytes, memoryview):
        message = signed.sign(KEY, "node-a", "config", b'{"revision":1}')
        equal(bytes(signed.opened(KEY, "node-a", "config", kind(message))), b'{"revision":1}')


def test_nothing_else_opens():
    message = signed.sign(KEY, "node-a", "config", b'{"revision":1}')
    for bit in range(8 * len(message)):
        forged = bytearray(message)
        forged[bit // 8] ^= 1 << bit % 8
        equal(signed.opened(KEY, "node-a", "config", forged), None, bit)
    for receiver, kind in (("node-b", "config"), ("node-a", "restart"), ("node-a\nconfig", "")):
        equal(signed.opened(KEY, receiver, kind, message), None)
    equal(signed.opened("f" * 64, "node-a", "config", message), None)
    for cut in range(len(message)):
        equal(signed.opened(KEY, "node-a", "config", message[:cut]), None)
    for other in (None, b"", message.upper(), message + b" ", b"\n" + message):
        equal(signed.opened(KEY, "node-a", "config", other), None)


def test_a_receiver_and_kind_cannot_run_into_each_other():
    assert signed.signature(KEY, "a", "bc", b"") != signed.signature(KEY, "ab", "c", b"")


def test_the_form_is_told_from_a_word():
    assert signed.looks_signed(signed.sign(KEY, "a", "b", b""))
    for other in (b"", b"word", b"0" * 64, b"g" * 64 + b"\n", b"0" * 63 + b"\n" + b"x" * 10, b"A" * 64 + b"\n"):
        assert not signed.looks_signed(other), other


def test_a_key_is_64_hex_digits():
    for key in ("", "0" * 62, "0" * 66, "x" * 64):
        with raises(ValueError):
            signed.signature(key, "a", "b", b"")
