"""Signed messages: 64 lowercase hex digits, a newline, the text.

The digits are HMAC-SHA-256 (RFC 2104, FIPS 180-4) under a key of 32 bytes over `mote1`, the receiver's id, the kind of
message, each with a newline, and then the text: so that none can be passed off as one of another kind or for another
receiver. Needs nothing but hashlib, as boards have no hmac.
"""

import binascii
import hashlib

SIGNATURE_BYTES = 65  # the newline included
_BLOCK_BYTES = 64  # of SHA-256


def signature(key, receiver, kind, text):
    """The 64 hex digits (bytes) for a text (bytes); `key` is 64 hex digits. Raises ValueError when it is not."""
    key = binascii.unhexlify(key)
    if len(key) != _BLOCK_BYTES // 2:
        raise ValueError("a key has 64 hex digits")
    inner = hashlib.sha256(_padded(key, 0x36))
    inner.update(b"mote1\n%s\n%s\n" % (receiver.encode(), kind.encode()))
    inner.update(text)
    outer = hashlib.sha256(_padded(key, 0x5C))
    outer.update(inner.digest())
    return binascii.hexlify(outer.digest())


def sign(key, receiver, kind, text):
    """The message (bytes) that carries a text (bytes)."""
    return signature(key, receiver, kind, text) + b"\n" + text


def looks_signed(message):
    """Whether a message has the form of a signed one, whatever its digits are worth."""
    if len(message) < SIGNATURE_BYTES or message[64] != 10:
        return False
    return all([digit in b"0123456789abcdef" for digit in message[:64]])


def opened(key, receiver, kind, message):
    """The text in a message (bytes or a memoryview), as a view of it; None when it is not signed as it must be."""
    if message is None or not looks_signed(message):
        return None
    text = memoryview(message)[SIGNATURE_BYTES:]
    return text if _same(message[:64], signature(key, receiver, kind, text)) else None


def _padded(key, byte):
    return bytes([byte ^ digit for digit in key]) + bytes([byte]) * (_BLOCK_BYTES - len(key))


def _same(found, right):
    """Whether two texts of 64 bytes are equal, in a time that does not tell where they differ."""
    difference = 0
    for a, b in zip(found, right):
        difference |= a ^ b
    return not difference
