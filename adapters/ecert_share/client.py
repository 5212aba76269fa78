"""The adapter of the provincial e-certificate library: one holder's newest certificate of one type, with its file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar, Final

from adapters.contract import (
    CollectedAnswer,
    CollectedQuery,
    Collection,
    CollectReceipt,
    Deadline,
    EcertDocument,
    EcertStanding,
    Endpoint,
    Health,
    Manifest,
    PeerMisconfigured,
    PeerRefused,
    PresentationBegun,
    PresentationRequest,
    PresentationStanding,
    PresentationState,
    PresentedQuery,
    ShownKind,
)
from adapters.ecert_share.library import Library, LinkExpired
from adapters.ecert_share.mapping import (
    Record,
    collected_answer_from_wire,
    collected_to_wire,
    holder_query_to_wire,
    metadata_from_wire,
    receipt_from_wire,
    standing_from_wire,
    use_cause_to_wire,
)
from adapters.manifests import load_manifest
from adapters.wire import unreadable
from certs.ofd.metadata import read_ecert_fields
from schemas.ecert_types import ecert_types
from schemas.ecerts import EcertMetadata, EcertQuery, EcertStatus, UseCause

MAX_EXPIRED: Final = 5  # files of one holder and type that are looked at
DEFAULT_LINK_S: Final = 600
DEFAULT_CATEGORY: Final = "公共服务"
_MEDIA_TYPES: Final = ((b"PK\x03\x04", "application/ofd"), (b"%PDF-", "application/pdf"))
_TRANSACTION, _ECERT = "trx:", "ecert:"
_DIGITS: Final = re.compile(r"\d+", re.ASCII)


class EcertShare:
    """省电子证照库."""

    manifest: ClassVar[Manifest] = load_manifest(Path(__file__).parent)

    def __init__(self, endpoint: Endpoint) -> None:
        self.library = Library(endpoint, max_idle=self.manifest.max_concurrency)
        self._category = endpoint.settings.get("call_category") or DEFAULT_CATEGORY
        seconds = endpoint.settings.get("link_seconds") or str(DEFAULT_LINK_S)
        if not seconds.isascii() or not seconds.isdigit() or not 1 <= int(seconds[:7]) <= 86_400:
            raise PeerMisconfigured("settings-link", "link_seconds: 1 to 86400")
        self._link_s = int(seconds)

    def close(self) -> None:
        """Give connections back."""
        self.library.close()

    def probe(self, deadline: Deadline) -> Health:
        """getCertRemarkInfo of the ID card: no person is asked about, and it needs a token that holds."""
        kind = ecert_types()["id-card"]
        self.library.remark_info(kind.title_zh, kind.code, deadline)
        return Health()

    def fetch_ecert(self, query: EcertQuery, deadline: Deadline) -> EcertDocument:
        """queryCertInfoByHolderCode → the newest valid record → downloadUrl → the file.

        PeerRefused(not-found, revoked, expired, restricted …) where there is none; the words are those of statuses.toml.
        """
        try:
            metadata, status = self._find(query, deadline)
        except PeerRefused as refused:
            if refused.code != EcertStatus.EXPIRED.value or not query.expired_too:
                raise
            return self._expired(query, deadline)
        content = self._load(_identifier(metadata), use_cause_to_wire(query.use_cause, self._category), deadline)
        return EcertDocument(content=content, media_type=_media_type(content), metadata=metadata, status=status)

    def _expired(self, query: EcertQuery, deadline: Deadline) -> EcertDocument:
        """downloadUrlsByHolderCode → the newest file → queryCertInfo of exactly that certificate, which must be status 22.

        A query answers 22 with neither a date nor an identifier: what the file says of itself stands in their place, and the caller
        verifies the file. Whether the province's library hands out files of certificates that ran out is unconfirmed: where it
        answers 22 here too, that is the answer.
        """
        data = holder_query_to_wire(query, self._category)
        found = []
        for link in self.library.links_by_holder(data, deadline)[:MAX_EXPIRED]:
            try:
                content = self.library.load(link, deadline)
            except LinkExpired:
                raise unreadable("a new link is refused", has_effect=False) from None
            fields = read_ecert_fields(content)
            if fields.get("type_code") == query.type_code and "identifier" in fields:
                found.append((_day(fields.get("issued_on")), fields, content))
        if not found:
            raise PeerRefused(EcertStatus.EXPIRED.value)
        _, fields, content = max(found, key=lambda one: one[0])
        metadata = EcertMetadata.model_validate(
            {name: fields[name] for name in EcertMetadata.model_fields if name in fields and name != "extra"}
        )
        question = {
            "certIdentifier": fields["identifier"],
            "useCause": use_cause_to_wire(query.use_cause, self._category),
        }
        try:
            _newest(self.library.query("queryCertInfo", question, deadline))
        except PeerRefused as refused:
            if refused.code != EcertStatus.EXPIRED.value:
                raise
            return EcertDocument(
                content=content, media_type=_media_type(content), metadata=metadata, status=EcertStatus.EXPIRED
            )
        raise unreadable("status 22 of the holder's, 0 of the certificate", has_effect=False)

    def ecert_status(self, query: EcertQuery, deadline: Deadline) -> EcertStanding:
        """The first half of :meth:`fetch_ecert`."""
        metadata, status = self._find(query, deadline)
        return EcertStanding(metadata=metadata, status=status)

    def collect(self, message: Collection, deadline: Deadline) -> CollectReceipt:
        """CertCollect/push (unconfirmed) under ``batchNo`` = the idempotency key."""
        reply = self.library.collect(
            message.idempotency_key, [collected_to_wire(one) for one in message.ecerts], deadline
        )
        try:
            return receipt_from_wire(reply)
        except ValueError:
            raise unreadable("the answer to CertCollect/push", has_effect=True) from None

    def collected(self, query: CollectedQuery, deadline: Deadline) -> CollectedAnswer:
        """CertCollect/summary (unconfirmed)."""
        try:
            return collected_answer_from_wire(self.library.collected(query.type_code, query.bucket, deadline))
        except ValueError:
            raise unreadable("the answer to CertCollect/summary", has_effect=False) from None

    def begin_presentation(self, request: PresentationRequest, deadline: Deadline) -> PresentationBegun:
        """ChannelVerify/begin/verify; for a shown e-certificate queryCertInfoByQRcode, after which there is nothing to wait for."""
        if request.kind is ShownKind.AUTHORIZATION_CODE:
            trx = self.library.begin_authorization(request.shown_code, request.type_codes, deadline)
            return PresentationBegun(reference=_TRANSACTION + trx)
        data = {"qrcode": request.shown_code, "useCause": self._cause(request.use_cause)}
        metadata, _ = _newest(self.library.query("queryCertInfoByQRcode", data, deadline))
        if metadata.type_code not in request.type_codes:
            raise PeerRefused("other-type-shown")
        return PresentationBegun(reference=_ECERT + _identifier(metadata))

    def presentation_status(self, begun: PresentationBegun, deadline: Deadline) -> PresentationStanding:
        """ChannelVerify/current/status. Who shows an e-certificate has agreed by that."""
        kind, name = _read_reference(begun.reference)
        if kind == _ECERT:
            return PresentationStanding(state=PresentationState.AUTHORIZED)
        return PresentationStanding(state=self.library.authorization(name, deadline))

    def fetch_presented(self, query: PresentedQuery, deadline: Deadline) -> EcertDocument:
        """queryCertInfosByVerifyTrx (or queryCertInfo of what was shown) → the newest valid record → downloadUrl → the file."""
        kind, name = _read_reference(query.reference)
        cause = self._cause(query.use_cause)
        if kind == _ECERT:
            found = self.library.query("queryCertInfo", {"certIdentifier": name, "useCause": cause}, deadline)
        else:
            data = {"trxId": name, "certTypeCode": query.type_code, "useCause": cause}
            found = self.library.query("queryCertInfosByVerifyTrx", data, deadline)
        metadata, status = _newest(found)
        if metadata.type_code != query.type_code:
            raise PeerRefused("no-permission", "another type was shown")
        content = self._load(_identifier(metadata), cause, deadline)
        return EcertDocument(content=content, media_type=_media_type(content), metadata=metadata, status=status)

    def _cause(self, cause: UseCause) -> str:
        try:
            return use_cause_to_wire(cause, self._category)
        except ValueError as error:
            raise PeerRefused("use-cause-too-long", str(error)) from None

    def _find(self, query: EcertQuery, deadline: Deadline) -> tuple[EcertMetadata, EcertStatus]:
        try:
            data = holder_query_to_wire(query, self._category)
        except ValueError as error:
            raise PeerRefused("use-cause-too-long", str(error)) from None
        return _newest(self.library.query("queryCertInfoByHolderCode", data, deadline))

    def _load(self, identifier: str, use_cause: str, deadline: Deadline) -> bytes:
        """Through a link, and once more through a new one if it expired on the way."""
        try:
            return self.library.load(self.library.link(identifier, use_cause, self._link_s, deadline), deadline)
        except LinkExpired:
            pass
        try:
            return self.library.load(self.library.link(identifier, use_cause, self._link_s, deadline), deadline)
        except LinkExpired:
            raise unreadable("a new link is refused", has_effect=False) from None


def _identifier(metadata: EcertMetadata) -> str:
    if metadata.identifier is None:
        raise unreadable("certificateIdentifier missing", has_effect=False)
    return metadata.identifier


def _read_reference(reference: str) -> tuple[str, str]:
    """What :meth:`EcertShare.begin_presentation` called it: by transaction or by certificate."""
    for kind in (_TRANSACTION, _ECERT):
        if reference.startswith(kind):
            return kind, reference.removeprefix(kind)
    raise PeerRefused("reference-unknown")


def _newest(records: tuple[Record, ...]) -> tuple[EcertMetadata, EcertStatus]:
    """The newest by date of issue among the valid ones; where none is valid, the standing of the newest is the answer."""
    try:
        found = [(metadata_from_wire(record), standing_from_wire(record)) for record in records]
    except ValueError as error:
        raise unreadable(str(error), has_effect=False) from None
    if not found:
        raise PeerRefused("not-found", "an empty list")
    newest = max(found, key=lambda one: (one[1] is EcertStatus.VALID, _day(one[0].issued_on)))
    if newest[1] is not EcertStatus.VALID:
        raise PeerRefused(newest[1].value)
    return newest


def _day(raw: str | None) -> tuple[int, ...]:
    """A date for sorting, whatever its form (2021-1-5, 20210105, 2021年1月5日); one that is none comes first."""
    text = raw or ""
    if len(text) == 8 and text.isascii() and text.isdigit():
        text = f"{text[:4]}-{text[4:6]}-{text[6:]}"
    numbers = tuple(int(one[:4]) for one in _DIGITS.findall(text)[:3])
    return numbers if len(numbers) == 3 else (0, 0, 0)


def _media_type(content: bytes) -> str:
    for magic, media_type in _MEDIA_TYPES:
        if content.startswith(magic):
            return media_type
    raise unreadable("the file is neither OFD nor PDF", has_effect=False)
