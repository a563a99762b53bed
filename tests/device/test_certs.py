"""What TLS trusts; with real handshakes: tests/host/test_tls.py."""

import binascii

import certs
import flash
from minitest import equal, raises

DER = b"\x30\x82\x01\x0a" + bytes(range(256))
PEM = b"-----BEGIN CERTIFICATE-----\n" + binascii.b2a_base64(DER) + b"-----END CERTIFICATE-----\n"
KEY = b"-----BEGIN EC PRIVATE KEY-----\n" + binascii.b2a_base64(b"\x30key") + b"-----END EC PRIVATE KEY-----\n"


def written(data):
    path = flash.folder() + "/a.pem"
    with open(path, "wb") as file:
        file.write(data)
    return path


def test_certificates_in_every_form():
    equal(certs.ders(binascii.b2a_base64(DER).decode(), b"CERTIFICATE"), [DER])
    for data, count in ((DER, 1), (PEM, 1), (PEM + PEM, 2), (b"a comment\n" + PEM + KEY + PEM, 2)):
        equal(certs.ders(written(data), b"CERTIFICATE"), [DER] * count)


def test_lines_of_base64_in_any_width():
    lines = binascii.b2a_base64(DER).strip()
    folded = b"\r\n".join([lines[i : i + 64] for i in range(0, len(lines), 64)])
    data = b"-----BEGIN CERTIFICATE-----\r\n" + folded + b"\r\n-----END CERTIFICATE-----\r\n"
    equal(certs.ders(written(data), b"CERTIFICATE"), [DER])


def test_a_key_beside_certificates():
    equal(certs.ders(written(PEM + KEY), b"PRIVATE KEY"), [b"\x30key"])


def test_a_file_without_what_is_wanted():
    for data in (b"", b"\n", KEY, b"-----BEGIN CERTIFICATE"):
        with raises(ValueError):
            certs.ders(written(data), b"CERTIFICATE")


def test_no_trust_without_an_authority():
    for tls in ({}, {"ca": None}, {"ca": ""}, {"ca": []}):
        with raises(OSError):
            certs.context(tls, None)


def test_the_name_to_check_is_never_empty():
    equal(certs.server_name({"server_name": None}, "broker"), "broker")
    equal(certs.server_name({"server_name": "other"}, "broker"), "other")
    for host in ("", None):
        with raises(OSError):
            certs.server_name({}, host)
