"""Self-signed certificates for a local broker with TLS: a CA, the broker's certificate and a client's.

PEM files, which librdkafka and the Java client both read. Keys are PKCS #8, the only form that the Java client reads.
"""

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from music_platform.settings import LOOPBACK

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.x509 import Certificate

#: Names of the files. `BROKER` holds key and certificate, as Kafka expects in a PEM key store.
CA, BROKER, CLIENT, CLIENT_KEY = "ca.pem", "broker.pem", "client.pem", "client.key"

_VALID = timedelta(days=3650)


def make_certificates(folder: Path) -> None:
    """Create all of them, unless they exist."""
    if all((folder / name).is_file() for name in (CA, BROKER, CLIENT, CLIENT_KEY)):
        return
    folder.mkdir(parents=True, exist_ok=True)
    ca_key, ca = _certificate("music-platform local CA", None)
    broker_key, broker = _certificate("broker", (ca_key, ca))
    client_key, client = _certificate("music", (ca_key, ca))
    _write(folder / CA, _pem(ca))
    _write(folder / BROKER, _key(broker_key) + _pem(broker))
    _write(folder / CLIENT, _pem(client))
    _write(folder / CLIENT_KEY, _key(client_key))


def _certificate(
    name: str, issuer: "tuple[EllipticCurvePrivateKey, Certificate] | None"
) -> "tuple[EllipticCurvePrivateKey, Certificate]":
    """A key and its certificate, signed by the issuer or, without one, by itself as a CA."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    issuer_key, issuer_name = (key, subject) if issuer is None else (issuer[0], issuer[1].subject)
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer_name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + _VALID)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if issuer is not None:
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address(LOOPBACK))]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return key, builder.sign(issuer_key, hashes.SHA256())


def _pem(certificate: "Certificate") -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.PEM)


def _key(key: "EllipticCurvePrivateKey") -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _write(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)
