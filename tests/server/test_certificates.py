"""Certificates: does TLS keep out who does not know the server, and mTLS who is not known by it?"""

from __future__ import annotations

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

import pytest

import nearrow
from nearrow.server.running import Server
from nearrow.server.settings import ServerSettings

x509 = pytest.importorskip("cryptography.x509", reason="the test makes certificates with the package cryptography")
from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec  # noqa: E402


@dataclass
class Authority:
    """Signs certificates, into files of a folder."""

    folder: Path
    name: str

    def __post_init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self.folder / f"{self.name}-ca.pem"
        self._own = self._signed(self.name, self._key, authority=True)
        self.certificate.write_bytes(self._own.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str) -> tuple[Path, Path]:
        """(certificate, key) of somebody at 127.0.0.1."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate, private = self.folder / f"{name}.pem", self.folder / f"{name}-key.pem"
        certificate.write_bytes(self._signed(name, key, authority=False).public_bytes(serialization.Encoding.PEM))
        private.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return certificate, private

    def _signed(self, name: str, key: ec.EllipticCurvePrivateKey, *, authority: bool) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)

        def named(text: str) -> x509.Name:
            return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

        return (
            x509.CertificateBuilder()
            .subject_name(named(name))
            .issuer_name(named(self.name))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
            )
            .sign(self._key, hashes.SHA256())
        )


def test_tls_client_that_knows_the_authority_gets_in(tmp_path: Path) -> None:
    authority, stranger = Authority(tmp_path, "ours"), Authority(tmp_path, "other")
    certificate, key = authority.issue("server")
    with Server(ServerSettings(str(tmp_path / "library"), port=0, certificate=certificate, key=key)) as server:
        assert server.location.startswith("grpc+tls://")
        with nearrow.connect(server.location, ca_certificate=authority.certificate) as db:
            assert db.collections() == []
        for refused in (
            nearrow.connect(server.location, ca_certificate=stranger.certificate, deadline_seconds=0.5),
            nearrow.connect(server.location.replace("+tls", ""), deadline_seconds=0.5),
        ):
            with refused as db, pytest.raises(nearrow.UnavailableError):
                db.collections()


def test_mtls_client_without_a_certificate_stays_outside(tmp_path: Path) -> None:
    authority, stranger = Authority(tmp_path, "ours"), Authority(tmp_path, "other")
    certificate, key = authority.issue("server")
    settings = ServerSettings(
        str(tmp_path / "library"), port=0, certificate=certificate, key=key, client_ca=authority.certificate
    )
    with Server(settings) as server:
        known, known_key = authority.issue("client")
        with nearrow.connect(
            server.location,
            ca_certificate=authority.certificate,
            client_certificate=known,
            client_key=known_key,
        ) as db:
            assert db.collections() == []
        unknown, unknown_key = stranger.issue("intruder")
        for shown in ({}, {"client_certificate": unknown, "client_key": unknown_key}):
            with (
                nearrow.connect(
                    server.location, ca_certificate=authority.certificate, deadline_seconds=0.5, **shown
                ) as db,
                pytest.raises(nearrow.UnavailableError),
            ):
                db.collections()


def test_half_a_pair_of_files_is_a_mistake(tmp_path: Path) -> None:
    certificate, key = Authority(tmp_path, "ours").issue("server")
    for given in ({"certificate": certificate}, {"key": key}, {"client_ca": certificate}):
        with pytest.raises(nearrow.InvalidArgumentError):
            ServerSettings(str(tmp_path / "library"), **given)
    with pytest.raises(nearrow.NotFoundError):
        ServerSettings(str(tmp_path / "library"), certificate=tmp_path / "missing", key=key)
    with pytest.raises(nearrow.InvalidArgumentError):
        nearrow.connect("grpc+tls://127.0.0.1:1", client_key=key)
