"""A tiny certificate authority: what it issues is made for the run and trusted by nobody else."""

from __future__ import annotations

import ipaddress
import ssl
import warnings
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_PEM = serialization.Encoding.PEM
_DAY = timedelta(days=1)
_numbers = count(1)


@dataclass(kw_only=True)
class Authority:
    """Issues certificates into a directory."""

    directory: Path
    name: str = "A test authority"
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    certificate: x509.Certificate = field(init=False)

    def __post_init__(self) -> None:
        named = _named(self.name)
        builder = (
            _builder(named, named, self.key.public_key(), -2 * _DAY, 2 * _DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
        )
        self.certificate = builder.sign(self.key, hashes.SHA256())
        self.file.write_bytes(self.certificate.public_bytes(_PEM))

    @property
    def file(self) -> Path:
        """What goes into `ca_file` of whoever trusts it."""
        return self.directory / f"{self.name}.pem"

    def issue(
        self, name: str = "127.0.0.1", *, starts: timedelta = -_DAY, ends: timedelta = _DAY, path: Path | None = None
    ) -> Path:
        """Write a certificate and its key for a host or a client; the times are from now on."""
        key = ec.generate_private_key(ec.SECP256R1())
        uses = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        builder = (
            _builder(_named(name), self.certificate.subject, key.public_key(), starts, ends)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
            .add_extension(x509.SubjectAlternativeName([_host(name)]), critical=False)
            .add_extension(issuer, critical=False)
        )
        path = path or self.directory / f"{next(_numbers)}.pem"
        path.write_bytes(builder.sign(self.key, hashes.SHA256()).public_bytes(_PEM) + private_pem(key))
        return path

    def revocations(self) -> str:
        """Return a list of revoked certificates, which may stand in a file beside certificates."""
        now = datetime.now(UTC)
        builder = x509.CertificateRevocationListBuilder(self.certificate.subject, now - _DAY, now + _DAY)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(_PEM).decode()

    def server(
        self,
        certificate: Path | None = None,
        *,
        only: ssl.TLSVersion | None = None,
        demands: Authority | None = None,
    ) -> ssl.SSLContext:
        """Return what a server needs: a certificate, one version of TLS, whose certificates clients must show."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate or self.issue())
        if only is not None:
            speak_only(context, only)
        if demands is not None:
            context.load_verify_locations(demands.file)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


def speak_only(context: ssl.SSLContext, version: ssl.TLSVersion) -> None:
    """Restrict a context to one version of TLS, however old."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the old ones are, which is why they are tested
        context.minimum_version = context.maximum_version = version
    if version < ssl.TLSVersion.TLSv1_2:
        context.set_ciphers("DEFAULT@SECLEVEL=0")


def private_pem(key: ec.EllipticCurvePrivateKey, passphrase: bytes = b"") -> bytes:
    """Return a key as it stands in a file."""
    encryption = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    return key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, encryption)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _host(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, starts: timedelta, ends: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder(issuer, subject, key, x509.random_serial_number())
        .not_valid_before(now + starts)
        .not_valid_after(now + ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
