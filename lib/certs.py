"""Certificates for a TLS client: what is trusted. On both Pythons."""

import binascii
import ssl


def context(tls, read):
    """An SSL context that accepts only what `tls["ca"]` vouches for.

    `ca` is a file name (PEM or DER), a base64 DER certificate, or a list of those; `cert` and `key`, when given,
    are file names. `read(name, label)` makes of those what this Python's ssl takes. Raises OSError with a text
    for every mistake in them.
    """
    if not tls.get("ca"):
        raise OSError("TLS needs mqtt.tls.ca")
    try:
        result = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        result.verify_mode = ssl.CERT_REQUIRED  # MicroPython starts without, up to 1.25 at least
        for source in [tls["ca"]] if isinstance(tls["ca"], str) else tls["ca"]:
            for der in ders(source, b"CERTIFICATE"):
                result.load_verify_locations(cadata=der)
        if tls.get("cert"):
            key = tls.get("key") or tls["cert"]
            result.load_cert_chain(read(tls["cert"], b"CERTIFICATE"), read(key, b"PRIVATE KEY"))
    except (OSError, ValueError) as error:
        raise OSError("mqtt.tls: %s" % error)
    return result


def server_name(tls, host):
    """The name that the server's certificate has to carry. OSError when it is empty: MicroPython would ask for none."""
    result = tls.get("server_name") or host
    if not result:
        raise OSError("TLS needs mqtt.tls.server_name")
    return result


def ders(source, label):
    """The DER blocks of a file (those with `label` in its PEM), or of a base64 string (no path is so long).

    MicroPython's ssl need not know PEM, so it is taken apart here.
    """
    if source[:3] == "MII" and len(source) > 256:
        return [binascii.a2b_base64(source)]
    with open(source, "rb") as file:
        data = file.read()
    if data[:1] == b"\x30":
        return [data]
    parts = data.split(b"-----")
    found = [binascii.a2b_base64(parts[i + 1]) for i in range(1, len(parts) - 1, 4) if parts[i].endswith(label)]
    if not found:
        raise ValueError("no %s in %s" % (label.decode(), source))
    return found
