"""Callers known by their client certificate: over TLS itself, and from a proxy that is trusted and one that is not."""

from __future__ import annotations

import ipaddress
import json
import ssl
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from hub.access.callers import KeyKind
from tests.integration.intake_hub import (
    NOW,
    OTHER_SYSTEM,
    SYSTEM,
    RunningHub,
    issue,
    new_caller,
    pem,
    running_hub,
    transfer,
)


class Authority:
    """A small CA that TLS stacks accept (subject alternative names and all)."""

    def __init__(self, folder: Path) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test CA")])
        certificate = self._build(self._name, self._key.public_key(), ca=True)
        self.file = folder / "ca.pem"
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        self._folder = folder

    def _build(self, subject: x509.Name, key: ec.EllipticCurvePublicKey, *, ca: bool) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder().subject_name(subject).issuer_name(self._name).public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - timedelta(hours=1)).not_valid_after(NOW + timedelta(days=5))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )  # fmt: skip
        if ca:
            usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
            builder = builder.add_extension(usage, critical=True)
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        return builder.add_extension(names, critical=False).sign(self._key, hashes.SHA256())

    def issue(self, name: str) -> tuple[Path, Path]:
        """The files of a certificate and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        files = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        files[0].write_bytes(self._build(subject, key.public_key(), ca=False).public_bytes(serialization.Encoding.PEM))
        encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        files[1].write_bytes(key.private_bytes(encoding, form, serialization.NoEncryption()))
        return files


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def hub(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    certificate, key = authority.issue("server")
    with running_hub(
        tmp_path_factory.mktemp("state"), tls_certificate=certificate, tls_key=key, tls_client_ca=authority.file
    ) as running:
        yield running


def client(authority: Authority, files: tuple[Path, Path] | None = None) -> httpx.Client:
    context = ssl.create_default_context(cafile=str(authority.file))
    if files is not None:
        context.load_cert_chain(*files)
    return httpx.Client(verify=context)


def post(hub: RunningHub, sender: httpx.Client, **headers: str) -> httpx.Response:
    body = json.dumps(transfer()).encode()
    return sender.post(f"{hub.url}/v1/transfers", content=body, headers={"content-type": "application/json", **headers})


def test_a_registered_client_certificate_is_enough(hub: RunningHub, authority: Authority) -> None:
    files = authority.issue("qingdao")
    hub.register(SYSTEM, KeyKind.TLS, files[0].read_bytes())
    with client(authority, files) as sender:
        assert post(hub, sender).status_code == 202
        assert sender.get(f"{hub.url}/v1/transfers").status_code == 200  # the same connection, and no nonce to spend


def test_a_certificate_that_is_valid_but_not_registered_is_unknown(hub: RunningHub, authority: Authority) -> None:
    with client(authority, authority.issue("somebody")) as sender:
        response = post(hub, sender)
    assert (response.status_code, response.json()["detail"]) == (401, "key-unknown")


def test_tls_without_a_certificate_is_not_an_identity(hub: RunningHub, authority: Authority) -> None:
    with client(authority) as sender:
        assert post(hub, sender).json()["detail"] == "identity-missing"


def test_a_certificate_of_another_authority_ends_in_the_handshake(
    hub: RunningHub, authority: Authority, tmp_path: Path
) -> None:
    with client(authority, Authority(tmp_path).issue("mallory")) as sender, pytest.raises(httpx.TransportError):
        post(hub, sender)


def test_certificate_and_signature_must_name_the_same_system(hub: RunningHub, authority: Authority) -> None:
    files = authority.issue("jinan")
    hub.register(OTHER_SYSTEM, KeyKind.TLS, files[0].read_bytes())
    same, other = new_caller(hub, OTHER_SYSTEM), new_caller(hub, SYSTEM)
    body = json.dumps(transfer()).encode()
    with client(authority, files) as sender:
        assert sender.send(same.signed("POST", "/v1/transfers", body)).status_code == 202
        refused = sender.send(other.signed("POST", "/v1/transfers", body))
    assert (refused.status_code, refused.json()["detail"]) == (401, "identities-disagree")


def test_a_bad_signature_is_refused_even_beside_a_good_certificate(hub: RunningHub, authority: Authority) -> None:
    files = authority.issue("qingdao-2")
    hub.register(SYSTEM, KeyKind.TLS, files[0].read_bytes())
    with client(authority, files) as sender:
        response = post(hub, sender, **{"signature-input": "hub=()", "signature": "hub=:AAAA:"})
    assert (response.status_code, response.json()["code"]) == (401, "signature-refused")


@pytest.mark.parametrize(("proxies", "status"), [("127.0.0.0/8", 202), ("10.0.0.0/8", 401), ("", 401)])
def test_a_proxys_header_is_believed_only_from_a_trusted_proxy(tmp_path: Path, proxies: str, status: int) -> None:
    with (
        running_hub(tmp_path, trusted_proxy_header="X-Client-Cert", trusted_proxies=proxies) as hub,
        httpx.Client() as sender,
    ):
        certificate = pem(issue("behind-nginx"))
        hub.register(SYSTEM, KeyKind.TLS, certificate)
        header = {"x-client-cert": quote(certificate.decode())}
        assert post(hub, sender, **header).status_code == status
        assert post(hub, sender, **header, **{"x-forwarded-for": "127.0.0.1"}).status_code == status
        if status == 202:
            assert post(hub, sender, **{"x-client-cert": "rubbish"}).json()["detail"] == "proxy-certificate-malformed"


def test_the_header_means_nothing_unless_it_is_configured(tmp_path: Path) -> None:
    with running_hub(tmp_path) as hub, httpx.Client() as sender:
        certificate = pem(issue("nobody"))
        hub.register(SYSTEM, KeyKind.TLS, certificate)
        assert post(hub, sender, **{"x-client-cert": quote(certificate.decode())}).status_code == 401
