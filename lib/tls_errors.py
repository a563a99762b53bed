"""A name for what went wrong with TLS, from the words and numbers of OpenSSL and of mbedTLS."""

_ENDED = "the server ended the TLS handshake (no TLS there, or it wants another mqtt.tls.cert)"
_REFUSED = "TLS refused by the server (does it want another mqtt.tls.cert?)"
_NO_MEMORY = "not enough memory for TLS"
_REASONS = (  # words, or numbers where a board has no words for them -> ours; the first that fits
    ("alert -30592 unrecognized", _REFUSED),
    ("expired", "certificate expired"),
    ("future yet", "certificate not yet valid"),
    ("match", "wrong name"),
    ("signed issuer", "unknown CA"),
    ("alloc memory", _NO_MEMORY),
    ("wrong_version record_layer -29184", "no TLS there"),
    ("eof -29312 reset aborted pipe", _ENDED),
)
_HUNG_UP = (32, 104, 128)  # EPIPE, ECONNRESET, lwIP's ENOTCONN: they may come without a word
# No memory, in mbedTLS's numbers. MicroPython takes those below 256 for errno: ENOMEM, MPI, ASN.1, PSA.
_ERRNO = (12, 16, 106, 141)
_LOW = (0x10, 0x6A)  # MPI and ASN.1 as the cause of another module's error
_HIGH = (0x7F00, 0x3F80, 0x4D80, 0x2880, 0x5180, 0x6180)  # TLS, keys, curves, X.509, hashes, ciphers


def named(error):
    """An OSError that says in a few words why TLS failed; else with the library's own text."""
    number = error.args[0] if error.args else None
    if isinstance(number, int):
        low, high = -number & 0x7F, -number & 0x7F80
        if number in _ERRNO or number < 0 and (low in _LOW or high in _HIGH):
            return OSError(_NO_MEMORY)
        if number in _HUNG_UP:
            return OSError(_ENDED)
    text = (type(error).__name__ + " " + str(error)).lower()
    for words, reason in _REASONS:
        if any([word in text for word in words.split()]):
            return OSError(reason)
    return OSError(str(error))
