"""What went wrong with TLS has one name for both libraries, and for builds of mbedTLS with and without words."""

from minitest import equal
from tls_errors import named

TEXTS = (
    ("The certificate validity has expired", "certificate expired"),
    ("certificate verify failed: certificate has expired", "certificate expired"),
    ("The certificate validity starts in the future", "certificate not yet valid"),
    ("certificate verify failed: certificate is not yet valid", "certificate not yet valid"),
    ("The certificate Common Name (CN) does not match with the expected CN", "wrong name"),
    ("certificate verify failed: Hostname mismatch, certificate is not valid for 'x'", "wrong name"),
    ("The certificate is not correctly signed by the trusted CA", "unknown CA"),
    ("certificate verify failed: self-signed certificate", "unknown CA"),
    ("certificate verify failed: unable to get local issuer certificate", "unknown CA"),
    ("something else", "something else"),
)
NO_MEMORY = "not enough memory for TLS"
REFUSED = "TLS refused by the server (does it want another mqtt.tls.cert?)"
ENDED = "the server ended the TLS handshake (no TLS there, or it wants another mqtt.tls.cert)"
NUMBERS = (
    ((-29184, "MBEDTLS_ERR_SSL_INVALID_RECORD"), "no TLS there"),
    ((-29184,), "no TLS there"),
    ((1, "[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)"), "no TLS there"),
    ((1, "[SSL: RECORD_LAYER_FAILURE] record layer failure (_ssl.c:1000)"), "no TLS there"),
    ((-30592, "MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE"), REFUSED),
    ((-30592,), REFUSED),
    ((1, "[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13 alert certificate required (_ssl.c:2580)"), REFUSED),
    ((1, "[SSL: TLSV1_ALERT_UNKNOWN_CA] tlsv1 alert unknown ca (_ssl.c:2580)"), REFUSED),
    ((1, "[SSL: SSLV3_ALERT_CERTIFICATE_EXPIRED] sslv3 alert certificate expired (_ssl.c:2580)"), REFUSED),
    ((1, "[SSL: TLSV1_UNRECOGNIZED_NAME] tlsv1 unrecognized name (_ssl.c:1006)"), REFUSED),
    ((-29312, "MBEDTLS_ERR_SSL_CONN_EOF"), ENDED),
    ((-29312,), ENDED),
    ((104,), ENDED),
    ((32,), ENDED),
    ((8, "[SSL: UNEXPECTED_EOF_WHILE_READING] EOF occurred in violation of protocol (_ssl.c:1006)"), ENDED),
    ((12,), NO_MEMORY),
    ((-0x10,), NO_MEMORY),
    ((16,), NO_MEMORY),  # MicroPython's way to say the same
    ((-17040, "MBEDTLS_ERR_RSA_PUBLIC_FAILED+MBEDTLS_ERR_MPI_ALLOC_FAILED"), NO_MEMORY),
    ((-17040,), NO_MEMORY),
    ((-32512,), NO_MEMORY),
    ((-19840,), NO_MEMORY),
    ((-10368,), NO_MEMORY),
    ((-30336,), "-30336"),
)


def test_reasons_in_the_words_of_both_libraries():
    for text, reason in TEXTS:
        error = named(ValueError(text))
        assert isinstance(error, OSError)
        equal(str(error), reason)


def test_reasons_in_numbers():
    for arguments, reason in NUMBERS:
        found = str(named(OSError(*arguments)))
        assert found == reason, "%s is named %s" % (arguments, found)
