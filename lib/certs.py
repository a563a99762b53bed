"""Certificates for a TLS client: what is trusted, and a name for what went wrong. On both Pythons."""

import binascii
import ssl

_REASONS = (  # a word of mbedTLS or of OpenSSL -> ours
    ("expired", "certificate expired"),
    ("future", "certificate not yet valid"),
    ("not yet", "certificate not yet valid"),
    ("match", "wrong name"),
    ("signed", "unknown CA"),
    ("issuer", "unknown CA"),
)


def context(tls):
    """An SSL context that accepts only what `tls["ca"]` vouches for.

    `ca` is a file name (PEM or DER), a base64 DER certificate, or a list of those; `cert` and `key`,
    when given, are the names of PEM files. Raises OSError with a text for every mistake in them.
    """
    if not tls.get("ca"):
        raise OSError("TLS needs mqtt.tls.ca")
    result = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    result.verify_mode = ssl.CERT_REQUIRED  # MicroPython starts without, up to 1.25 at least
    try:
        for source in [tls["ca"]] if isinstance(tls["ca"], str) else tls["ca"]:
            for der in certificates(source):
                result.load_verify_locations(cadata=der)
        if tls.get("cert"):
            result.load_cert_chain(tls["cert"], tls["key"])
    except ValueError as error:
        raise OSError("mqtt.tls: " + str(error))
    return result


def certificates(source):
    """The DER certificates in a file or in a base64 string (no path is that long and starts so)."""
    if source[:3] == "MII" and len(source) > 256:
        return [binascii.a2b_base64(source)]
    with open(source, "rb") as file:
        data = file.read()
    if data[:1] == b"\x30":
        return [data]
    parts = data.split(b"-----")
    ders = [binascii.a2b_base64(parts[i + 1]) for i in range(len(parts)) if parts[i] == b"BEGIN CERTIFICATE"]
    if not ders:
        raise ValueError("no certificate in " + source)
    return ders


def named(error):
    """An OSError that says in two words why a handshake failed; else with the library's own text."""
    text = str(error)
    for word, reason in _REASONS:
        if word in text:
            return OSError(reason)
    return OSError(text)
