"""The trust store: which certificates are trusted for what, as one immutable value.

On disk it is a folder: one certificate (PEM or DER) for each anchor, and ``trust.json``, which says of each file what it
is trusted for. A file that the index does not name is not trusted. A file that is not the one the index was written for
(its SHA-256 differs) makes the whole store unusable: an anchor was replaced behind the administrator's back.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from certs.algorithms import key_weakness
from certs.errors import BadConfiguration, BadKey
from certs.policy import Policy
from certs.x509.path_checks import USES
from certs.x509.signing_cert import SigningCert
from schemas.parsing import validation_faults

INDEX: Final = "trust.json"
PURPOSES: Final = frozenset(USES) - {"ocsp", "crl"}  # those are never trusted by themselves
MAX_CERT_BYTES: Final = 64 * 1024
EXPIRES_SOON: Final = timedelta(days=60)


@dataclass(frozen=True, slots=True)
class Anchor:
    """A certificate that is trusted for purposes, from ``added_at`` on record and, if set, until ``expires_at``."""

    cert: SigningCert
    purposes: frozenset[str]
    added_at: datetime
    expires_at: datetime | None = None
    label: str = ""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the DER certificate, hexadecimal."""
        return self.cert.fingerprint


@dataclass(frozen=True, slots=True)
class TrustProblem:
    """Something an administrator should look at. ``kind`` is stable: see :meth:`TrustStore.check`."""

    kind: str
    fingerprint: str
    detail_zh: str
    detail_en: str


@dataclass(frozen=True, slots=True)
class TrustStore:
    """All anchors. ``strays`` are names of files in the folder that the index does not name."""

    anchors: tuple[Anchor, ...] = ()
    strays: tuple[str, ...] = ()

    @classmethod
    def of(cls, certs: Iterable[SigningCert], purposes: Iterable[str], added_at: datetime) -> TrustStore:
        """A store that trusts these certificates for these purposes; for programs and tests."""
        store = cls()
        for cert in certs:
            store = store.with_anchor(Anchor(cert, frozenset(purposes), added_at))
        return store

    @classmethod
    def load(cls, folder: Path) -> TrustStore:
        """Read a folder; without an index it is an empty store. What cannot be used is BadConfiguration."""
        index = folder / INDEX
        files = sorted(p.name for p in folder.glob("*") if p.suffix in {".pem", ".der", ".crt", ".cer"})
        if not index.exists():
            return cls(strays=tuple(files))
        try:
            entries = _Index.model_validate_json(index.read_bytes()).anchors
        except (OSError, ValidationError) as error:
            zh, en = _first(error)
            raise BadConfiguration(f"{index.name} 无法读取: {zh}", f"{index.name} cannot be read: {en}") from error
        anchors = tuple(_anchor(folder, entry) for entry in entries)
        named = {entry.file for entry in entries}
        return cls(anchors, tuple(name for name in files if name not in named))

    def save(self, folder: Path) -> None:
        """Write the folder: certificates first, then the index in one step, then away with files of removed anchors."""
        folder.mkdir(parents=True, exist_ok=True)
        entries = []
        before = {anchor.fingerprint for anchor in TrustStore.load(folder).anchors}
        for anchor in self.anchors:
            name = f"{anchor.fingerprint}.der"
            _write(folder / name, anchor.cert.der)
            entries.append(
                _Entry(
                    file=name,
                    sha256=anchor.fingerprint,
                    purposes=sorted(anchor.purposes),
                    added_at=anchor.added_at,
                    expires_at=anchor.expires_at,
                    label=anchor.label,
                )
            )
        _write(folder / INDEX, _Index(anchors=entries).model_dump_json(indent=2, exclude_none=True).encode() + b"\n")
        for fingerprint in before - {anchor.fingerprint for anchor in self.anchors}:
            (folder / f"{fingerprint}.der").unlink(missing_ok=True)

    def with_anchor(self, anchor: Anchor) -> TrustStore:
        """A store with this anchor, in place of one with the same certificate."""
        unknown = anchor.purposes - PURPOSES
        if unknown or not anchor.purposes:
            named, known = " ".join(sorted(unknown)), " ".join(sorted(PURPOSES))
            raise BadConfiguration(
                f"没有用途 {named}; 可用: {known}" if named else f"未给出用途; 可用: {known}",
                f"unknown purpose: {named or 'none given'}; there are {known}",
            )
        rest = tuple(a for a in self.anchors if a.fingerprint != anchor.fingerprint)
        return replace(self, anchors=(*rest, anchor))

    def without(self, fingerprint: str) -> TrustStore:
        """A store without the anchor whose fingerprint begins so (at least 8 digits, and one anchor only)."""
        wanted = fingerprint.lower().replace(":", "")
        if len(wanted) < 8:
            raise BadConfiguration(
                "请给出指纹的前 8 位或更多", "name an anchor by the first 8 digits of its fingerprint, or more"
            )
        found = [a for a in self.anchors if a.fingerprint.startswith(wanted)]
        if len(found) != 1:
            raise BadConfiguration(
                f"有 {len(found)} 个信任根的指纹以 {wanted[:16]} 开头; hub trust list 列出全部",
                f"{len(found)} anchors have a fingerprint that begins with {wanted[:16]}; hub trust list shows all",
            )
        return replace(self, anchors=tuple(a for a in self.anchors if a is not found[0]))

    def for_purpose(self, purpose: str, at: datetime) -> tuple[Anchor, ...]:
        """The anchors that are trusted for a purpose at a time."""
        return tuple(a for a in self.anchors if purpose in a.purposes and (a.expires_at is None or at <= a.expires_at))

    def check(self, at: datetime) -> list[TrustProblem]:
        """What is wrong at a time: expired, expiring (within 60 days), not-yet-valid, trust-ended, duplicate, weak, stray."""
        problems: list[TrustProblem] = []
        keys: dict[bytes, Anchor] = {}
        for anchor in self.anchors:
            cert = anchor.cert
            found: list[tuple[str, str, str]] = []
            if at > cert.not_after:
                found.append(("expired", "证书已过期", "the certificate has expired"))
            elif at > cert.not_after - EXPIRES_SOON:
                found.append(("expiring", "证书即将过期", "the certificate expires within 60 days"))
            if at < cert.not_before:
                found.append(("not-yet-valid", "证书尚未生效", "the certificate is not valid yet"))
            if anchor.expires_at is not None and at > anchor.expires_at:
                found.append(("trust-ended", "信任期限已过", "the trust in it has ended"))
            if cert.subject + cert.spki in keys:
                found.append(("duplicate", "另有同名同钥的信任根", "another anchor has the same name and key"))
            keys.setdefault(cert.subject + cert.spki, anchor)
            weakness = key_weakness(cert.spki, Policy())
            if weakness:
                found.append(("weak", *weakness))
            problems.extend(TrustProblem(kind, anchor.fingerprint, zh, en) for kind, zh, en in found)
        stray = ("文件未列入索引，不受信任", "the file is not in the index, so it is not trusted")
        problems.extend(TrustProblem("stray", "", f"{name}：{stray[0]}", f"{name}: {stray[1]}") for name in self.strays)
        return problems


class _Entry(BaseModel):
    """One anchor in ``trust.json``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str = Field(pattern=r"^[\w][\w.-]{0,120}$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    purposes: list[str] = Field(min_length=1)
    added_at: AwareDatetime
    expires_at: AwareDatetime | None = None
    label: str = Field(default="", max_length=200)


class _Index(BaseModel):
    """``trust.json``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    anchors: list[_Entry]


def _anchor(folder: Path, entry: _Entry) -> Anchor:
    unknown = set(entry.purposes) - PURPOSES
    if unknown:
        raise BadConfiguration(
            f"{entry.file}: 没有用途 {' '.join(sorted(unknown))}",
            f"{entry.file}: unknown purpose {' '.join(sorted(unknown))}",
        )
    try:
        data = (folder / entry.file).read_bytes()
    except OSError as error:
        raise BadConfiguration(f"{entry.file}: 无法读取", f"{entry.file}: cannot be read") from error
    cert = read_certificate(data, entry.file)
    if cert.fingerprint != entry.sha256:
        raise BadConfiguration(
            f"{entry.file}: 不是当初加入的证书 (SHA-256 不同)",
            f"{entry.file}: is not the certificate that was added (SHA-256 differs)",
        )
    expires = entry.expires_at.astimezone(UTC) if entry.expires_at else None
    return Anchor(cert, frozenset(entry.purposes), entry.added_at.astimezone(UTC), expires, entry.label)


def read_certificate(data: bytes, name: str) -> SigningCert:
    """One certificate, PEM or DER, from a file of at most 64 KiB."""
    if len(data) > MAX_CERT_BYTES:
        raise BadConfiguration(f"{name}: 超过 {MAX_CERT_BYTES} 字节", f"{name}: above {MAX_CERT_BYTES} bytes")
    try:
        return SigningCert.from_pem(data) if b"-----BEGIN" in data else SigningCert.from_der(data)
    except BadKey as error:
        raise BadConfiguration(f"{name}: 不是证书 (PEM 或 DER)", f"{name}: not a certificate (PEM or DER)") from error


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all."""
    temporary = path.with_name(f".{path.name}.new")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _first(error: OSError | ValidationError) -> tuple[str, str]:
    if isinstance(error, ValidationError):
        fault = validation_faults(error)[0]
        return f"{fault.path}: {fault.reason_zh}, {fault.cure_zh}", f"{fault.path}: {fault.reason_en}: {fault.cure_en}"
    return type(error).__name__, type(error).__name__
