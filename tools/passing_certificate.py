"""A certificate for an hour, which vouches for itself: for a bench that speaks TLS."""

import datetime
import ipaddress
import os

from tools import errors


def write(folder, address):
    """(certificate file, key file) in `folder`, for an IP address. Raises UserError without the library that signs."""
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError:
        raise errors.UserError("this needs cryptography: pip install cryptography") from None
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mote bench")])
    now, hour = datetime.datetime.now(datetime.timezone.utc), datetime.timedelta(hours=1)
    builder = x509.CertificateBuilder(
        issuer_name=name, subject_name=name, public_key=key.public_key(), serial_number=x509.random_serial_number(),
        not_valid_before=now - hour, not_valid_after=now + hour)
    builder = builder.add_extension(x509.BasicConstraints(True, None), critical=True)
    builder = builder.add_extension(
        x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
    files = os.path.join(folder, "bench.crt"), os.path.join(folder, "bench.key")
    encoded = (builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM),
               key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL,
                                 serialization.NoEncryption()))
    for path, data in zip(files, encoded, strict=True):
        with open(path, "wb") as file:
            file.write(data)
    return files
