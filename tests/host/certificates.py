"""Certificates made on the spot: an authority and what it signs."""

import base64
import datetime
import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)


class Authority:
    """Signs certificates; `folder` takes the files. Keys are EC P-256, or RSA of `rsa_bits`.

    With `above`, an authority that signs this one, what it issues comes with the chain up to there.
    """

    def __init__(self, folder, name, rsa_bits=None, above=None):
        self._folder = folder
        self._rsa_bits = rsa_bits
        self.name = name
        self._key = self._new_key()
        self.certificate = (above or self)._sign(name, self._key.public_key(), [], is_authority=True)
        self._chain = [self.certificate] + above._chain if above else []
        self.pem = self._write(name + ".pem", self.certificate.public_bytes(serialization.Encoding.PEM))
        self.der = self._write(name + ".der", self.certificate.public_bytes(serialization.Encoding.DER))

    def issue(self, name, hosts=(), from_days=-1, to_days=1):
        """(certificate file, key file) for `hosts`, valid from and to so many days from now."""
        key = self._new_key()
        signed = self._sign(name, key.public_key(), hosts, from_days=from_days, to_days=to_days)
        return self._files(name, signed, key)

    def self_signed(self, name, hosts):
        """(certificate file, key file) of one that nobody vouches for."""
        return Authority(self._folder, name).issue_own(hosts)

    def issue_own(self, hosts):
        signed = self._sign(self.name, self._key.public_key(), hosts, is_authority=True)
        return self._files(self.name + "-own", signed, self._key)

    def inline(self):
        """The authority's certificate as `mqtt.tls.ca` may hold it: DER in base64."""
        return base64.b64encode(self.certificate.public_bytes(serialization.Encoding.DER)).decode()

    def _new_key(self):
        if self._rsa_bits:
            return rsa.generate_private_key(65_537, self._rsa_bits)
        return ec.generate_private_key(ec.SECP256R1())

    def _sign(self, name, public_key, hosts, is_authority=False, from_days=-1, to_days=1):
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = x509.CertificateBuilder(
            subject_name=_name(name), issuer_name=_name(self.name), public_key=public_key,
            serial_number=x509.random_serial_number(),
            not_valid_before=now + from_days * DAY, not_valid_after=now + to_days * DAY)
        builder = builder.add_extension(x509.BasicConstraints(is_authority, None), critical=True)
        if hosts:
            builder = builder.add_extension(x509.SubjectAlternativeName([_host(h) for h in hosts]), critical=False)
        return builder.sign(self._key, hashes.SHA256())

    def _files(self, name, certificate, key):
        encoded = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
        shown = b"".join(one.public_bytes(serialization.Encoding.PEM) for one in [certificate] + self._chain)
        return (self._write(name + ".crt", shown),
                self._write(name + ".key", encoded))

    def _write(self, name, data):
        path = self._folder / name
        path.write_bytes(data)
        return str(path)


def _name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _host(text):
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)
