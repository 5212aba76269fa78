"""A simulated library's own test authority: it seals the files, and exports what the hub must trust to verify them.

Each file bears the seal of the office that it names as its issuer, with the office's credit code in the certificate, as the law has
it: no rule about who may seal for whom is needed to rely on them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Final

from certs import der
from certs.issuing.authority import Identity, SealAuthority, extension
from certs.keys import PrivateKey
from certs.ofd.seal_write import Picture, make_seal
from certs.ofd.seals import Seal
from certs.ofd.write import SignOptions, sign_ofd, write_ecert
from certs.pkcs8 import armour
from certs.x509.owners import CREDIT_CODE_EXTENSION
from certs.x509.signing_cert import SigningCert
from schemas.ecerts import EcertMetadata

_PICTURE: Final = Picture(
    "svg", b'<svg xmlns="http://www.w3.org/2000/svg"><circle cx="20" cy="20" r="18" fill="none"/></svg>'
)
SEAL_CENTRE: Final = "省电子证照库演示印章中心"
_READABLE: Final = (
    ("证照编号", "number"),
    ("持证主体", "holder_name"),
    ("持证主体代码", "holder_code"),
    ("颁发机构", "issuer_name"),
    ("颁发日期", "issued_on"),
    ("有效期至", "valid_until"),
    ("证照标识", "identifier"),
)


@dataclass(frozen=True, slots=True)
class Office:
    """Whose seal it is; the code is left out of the certificate where there is none."""

    name: str
    code: str | None = None


class Authority:
    """The library's own test authority. It lives in a folder, so that files sealed before a restart stay verifiable."""

    def __init__(self, folder: Path, now: datetime, *, organisation: str = SEAL_CENTRE) -> None:
        self._identities = _load(folder) if (folder / "signer.key").exists() else _create(folder, now, organisation)
        root, issuing, maker, signer = self._identities
        self._seal_of = lru_cache(maxsize=4096)(lambda office: _office_seal(issuing, maker, office, now))
        stranger = SealAuthority.create(now, organisation="无人信任的印章中心", signer_name="陌生签章人")
        self._own = signer, _seal(maker, signer, now)
        self._strange = stranger.signer, _seal(stranger.seal_maker, stranger.signer, now)
        self._since = max(now - timedelta(hours=1), root.cert.not_before)

    def seal(self, metadata: EcertMetadata, *, strange: bool = False, by: Office | None = None) -> bytes:
        """An OFD with these metadata, sealed now by its issuer or ``by`` another; ``strange``: by somebody whom nobody trusts."""
        values = {key: value for key, value in metadata.model_dump(by_alias=False).items() if value and key != "extra"}
        lines = [f"{title}：{values[name]}" for title, name in _READABLE if name in values]
        document = write_ecert(
            {**values, **metadata.extra},
            lines,
            title=metadata.type_name or "电子证照",
            created=self._since,
            doc_id=hashlib.sha256((metadata.identifier or "").encode()).hexdigest()[:32],
        )
        office = by or (Office(metadata.issuer_name, metadata.issuer_code) if metadata.issuer_name else None)
        signer, seal = self._strange if strange else self._seal_of(office) if office is not None else self._own
        return sign_ofd(document, signer, SignOptions(seal=seal), at=self._since)

    def export_anchors(self, folder: Path, now: datetime) -> None:
        """``root.pem`` and ``issuing.pem`` to be trusted, and their revocation lists (good for a year)."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, identity in zip(("root", "issuing"), self._identities, strict=False):
            (folder / f"{name}.pem").write_bytes(armour("CERTIFICATE", identity.cert.der))
            crl = identity.crl(this_update=now - timedelta(minutes=5), next_update=now + timedelta(days=365))
            (folder / f"{name}.crl").write_bytes(crl)


_NAMES: Final = ("root", "issuing", "maker", "signer")
_Identities = tuple[Identity, Identity, Identity, Identity]


def _create(folder: Path, now: datetime, organisation: str) -> _Identities:
    made = SealAuthority.create(now, organisation=organisation, signer_name="演示发证机关")
    identities = (made.root, made.intermediate, made.seal_maker, made.signer)
    folder.mkdir(parents=True, exist_ok=True)
    for name, identity in zip(_NAMES, identities, strict=True):
        (folder / f"{name}.pem").write_bytes(armour("CERTIFICATE", identity.cert.der))
        key = folder / f"{name}.key"
        key.touch(0o600)
        key.write_bytes(identity.key.to_pem())
    return identities


def _load(folder: Path) -> _Identities:
    root, issuing, maker, signer = (
        Identity(PrivateKey.from_pem((folder / f"{n}.key").read_bytes()), SigningCert.from_pem((folder / f"{n}.pem").read_bytes()))
        for n in _NAMES
    )  # fmt: skip
    return root, issuing, maker, signer


def _office_seal(issuing: Identity, maker: Identity, office: Office, now: datetime) -> tuple[Identity, Seal]:
    code = office.code or ""
    stated = [extension(CREDIT_CODE_EXTENSION, der.tlv(der.PRINTABLE_STRING, code.encode()), False)] if code else []
    subject = {"C": "CN", "O": office.name, "CN": office.name}
    signer = issuing.issue(subject, extra_extensions=stated)
    number = int.from_bytes(hashlib.sha256(f"{office.name}{code}".encode()).digest()[:4], "big")
    return signer, _seal(maker, signer, now, name=f"{office.name}电子印章", seal_id=f"3700{number:010d}")


def _seal(
    maker: Identity,
    signer: Identity,
    now: datetime,
    *,
    name: str = "演示发证机关电子印章",
    seal_id: str = "37000000000001",
) -> Seal:
    return make_seal(
        maker,
        [signer.cert],
        name=name,
        seal_id=seal_id,
        picture=_PICTURE,
        valid_from=max(now - timedelta(hours=2), maker.cert.not_before),
        valid_to=min(now + timedelta(days=3650), maker.cert.not_after),
    )
