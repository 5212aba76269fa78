"""What a simulated e-certificate library holds: certificates of the synthetic population, of every type and in every state.

Everything follows from the holder's number in the population, so tests, demo and partners can foresee it. Of every 50
families (and organisations), those with these numbers (``index % 50``) are not as they should be:

==  ==============================================================================
40  the file is sealed by an authority that nobody trusts
41  **altered**: one digit in a file that the seal covers was changed after sealing
42  the file is somebody else's, though rightly sealed
43  revoked      44  expired (in 2022)      45  restricted      46  not found
47  good, and **low**: a diploma of senior high (普通高中), Putonghua 三级甲等
48  suspended    49  not yet activated
==  ==============================================================================

Number 900 of every 1,000: the file is genuine and bears the trusted seal of a school, not that of the office that it names.

Of every 10, number 5 also has an older, revoked certificate of the same type. How a state is told is each dialect's own matter.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

from adapters.population import Family, family, find_family
from adapters.sealing import Authority, Office
from certs.ofd.write import pack, unpack
from schemas.ecert_types import EcertType, ecert_types
from schemas.ecerts import EcertMetadata
from schemas.numbers import EcertIdentifier, credit_code_check
from schemas.regions import REGIONS
from schemas.rules import FieldError

PERSON, ORGANISATION = "111", "001"


_LOW: Final = 47
_ANOTHERS_SEAL: Final = 900
_LOW_FIELDS: Final = {"KZ_XL": "普通高中", "KZ_DJ": "三级甲等"}


class State(StrEnum):
    """How a holder's certificates stand."""

    VALID = "valid"
    STRANGE_SEAL = "strange-seal"
    ANOTHERS_SEAL = "anothers-seal"
    ALTERED = "altered"
    SOMEBODY_ELSES = "somebody-elses"
    REVOKED = "revoked"
    EXPIRED = "expired"
    RESTRICTED = "restricted"
    NOT_FOUND = "not-found"
    SUSPENDED = "suspended"
    NOT_ACTIVATED = "not-activated"


_STATES: Final = {
    40: State.STRANGE_SEAL,
    41: State.ALTERED,
    42: State.SOMEBODY_ELSES,
    43: State.REVOKED,
    44: State.EXPIRED,
    45: State.RESTRICTED,
    46: State.NOT_FOUND,
    48: State.SUSPENDED,
    49: State.NOT_ACTIVATED,
}


def state_of(index: int) -> State:
    """By the table above."""
    if index % 1000 == _ANOTHERS_SEAL:
        return State.ANOTHERS_SEAL
    return _STATES.get(index % 50, State.VALID)


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose certificate: a person or an organisation of the synthetic population."""

    region: str
    index: int
    role: str  # S student, G guardian, O organisation: in the certificate's serial number
    name: str
    code: str
    code_type: str


@dataclass(frozen=True, slots=True)
class Holding:
    """One certificate that the library knows."""

    holder: Holder
    kind: EcertType
    version: int
    metadata: EcertMetadata
    state: State


@dataclass(frozen=True, slots=True)
class _Form:
    """How certificates of a type look: issuing office, number, years of validity (0: for ever), holders."""

    office: str
    number: str
    years: int = 0
    holder_type: str = PERSON
    fields: Mapping[str, str] | None = None


_ADDRESS: Final = "{region_name}示例路{index}号"
_FORMS: Final[Mapping[str, _Form]] = {
    "id-card": _Form("公安局", "{code}", 20, fields={"KZ_ZZ": _ADDRESS}),
    "household-register": _Form("公安局", "{region}{index:06d}", fields={"KZ_HZXM": "{name}", "KZ_ZZ": _ADDRESS}),
    "real-estate-title": _Form("自然资源局", "鲁（2021）{region_name}不动产权第{index:07d}号", fields={"KZ_ZL": _ADDRESS}),
    "business-licence": _Form("行政审批服务局", "{code}", holder_type=ORGANISATION, fields={"KZ_FDDBR": "示例人"}),
    "teacher-qualification": _Form("教育局", "201837{region_3}11{index:06d}", fields={"KZ_RJXK": "语文"}),
    "putonghua-level": _Form("语言文字工作委员会", "37{region_3}{index:08d}", fields={"KZ_DJ": "二级甲等"}),
    "private-school-licence": _Form("教育局", "137{region_3}0{index:08d}", 10, ORGANISATION),
    "diploma": _Form("教育局", "{region}2015{index:08d}", fields={"KZ_XL": "本科"}),
    "degree": _Form("教育局", "{region}4{index:09d}", fields={"KZ_XW": "教育学学士"}),
    "course-completion": _Form("教育局", "{region}6{index:09d}", fields={"KZ_KC": "示例课程"}),
}  # fmt: skip


class Holdings:
    """All certificates, found and made on demand; files are sealed when first asked for, and kept."""

    def __init__(self, authority: Authority, *, seed: int = 1) -> None:
        self._authority = authority
        self._seed = seed
        self._types = {kind.code: kind for kind in ecert_types().values() if kind.key in _FORMS}
        self._sealed = lru_cache(maxsize=4096)(self._file)

    def kind(self, type_code: str) -> EcertType | None:
        """A certificate type that the library has published."""
        return self._types.get(type_code)

    def holder(self, code: str, code_type: str) -> Holder | None:
        """The holder of a code, of the type that it belongs to."""
        if code_type == ORGANISATION:
            return organisation_of(code)
        found = find_family(code, seed=self._seed) if code_type == PERSON else None
        if found is None:
            return None
        return _person(found, "S" if found.student.id_number == code else "G")

    def of(self, holder: Holder, kind: EcertType) -> tuple[Holding, ...]:
        """Every version that the library has, the oldest first."""
        state = state_of(holder.index)
        if _FORMS[kind.key].holder_type != holder.code_type or state is State.NOT_FOUND:
            return ()
        if holder.index % 10 == 5:
            return (self._holding(holder, kind, 1, State.REVOKED), self._holding(holder, kind, 2, state))
        return (self._holding(holder, kind, 1, state),)

    def by_identifier(self, identifier: str) -> Holding | None:
        """The certificate with this identifier; its serial number tells the holder."""
        try:
            parts = EcertIdentifier.parse(identifier)
        except FieldError:
            return None
        kind, serial = self.kind(parts.type_code), parts.serial
        if kind is None or len(serial) != 11 or not (serial[:6] + serial[7:]).isdigit() or serial[:6] not in REGIONS:
            return None
        region, role, index = serial[:6], serial[6], int(serial[7:])
        holder = organisation(region, index) if role == "O" else _person(family(region, index, seed=self._seed), role)
        return next((one for one in self.of(holder, kind) if one.metadata.identifier == identifier), None)

    def file(self, holding: Holding) -> bytes:
        """The sealed OFD, spoilt as the holder's state says; made once."""
        return self._sealed(str(holding.metadata.identifier))

    def _holding(self, holder: Holder, kind: EcertType, version: int, state: State) -> Holding:
        form, region = _FORMS[kind.key], REGIONS.get(holder.region)
        words = {
            "code": holder.code,
            "name": holder.name,
            "region": holder.region,
            "region_3": holder.region[2:5],
            "region_name": region.name,
            "index": holder.index,
        }
        issuer_code = _office_code(holder.region, form.office)
        fields = dict(form.fields or {})
        if holder.index % 50 == _LOW:
            fields |= {name: low for name, low in _LOW_FIELDS.items() if name in fields}
        # real feeds write dates in several ways; what the interface says and what stands in the file agree all the same
        year, day = 2015 + 4 * version + holder.index % 3, 1 + holder.index % 28
        until = 2022 if state is State.EXPIRED else year + form.years if form.years else None
        serial = f"{holder.region}{holder.role}{holder.index:04d}"
        metadata = EcertMetadata(
            identifier=str(EcertIdentifier.assign(kind.code, issuer_code, serial, version)),
            type_code=kind.code,
            type_name=kind.title_zh,
            number=form.number.format_map(words),
            holder_name=holder.name,
            holder_code=holder.code,
            holder_code_type=holder.code_type,
            issuer_name=f"{region.name}{form.office}",
            issuer_code=issuer_code,
            issued_on=f"{year}-1-{day}" if holder.index % 3 == 1 else f"{year}-01-{day:02d}",
            valid_from=f"{year}-01-{day:02d}",
            valid_until=f"{until}-01-{day:02d}" if until else None,
            extra={name: text.format_map(words) for name, text in fields.items()},
        )
        return Holding(holder, kind, version, metadata, state)

    def _file(self, identifier: str) -> bytes:
        holding = self.by_identifier(identifier)
        if holding is None:
            raise LookupError("no such certificate")
        inside = holding
        if holding.state is State.SOMEBODY_ELSES:
            neighbour = holding.holder.index - 1 if holding.holder.index else 1
            other = _neighbour(holding.holder, neighbour, self._seed)
            inside = self._holding(other, holding.kind, holding.version, State.VALID)
        school = Office(f"{REGIONS.get(holding.holder.region).name}示例学校")
        document = self._authority.seal(
            inside.metadata,
            strange=holding.state is State.STRANGE_SEAL,
            by=school if holding.state is State.ANOTHERS_SEAL else None,
        )
        return _alter(document) if holding.state is State.ALTERED else document


def _neighbour(holder: Holder, index: int, seed: int) -> Holder:
    if holder.role == "O":
        return organisation(holder.region, index)
    return _person(family(holder.region, index, seed=seed), holder.role)


def _person(found: Family, role: str) -> Holder:
    person = found.student if role == "S" else found.guardian
    return Holder(found.school.region, found.index, role, person.name, person.id_number, PERSON)


def organisation(region: str, index: int) -> Holder:
    """Organisation number ``index`` (0 to 9999) of a county: one that does not exist, with a right credit code."""
    body = f"92{region}X{index:04d}{region[2:]}"
    code = body + credit_code_check(body)
    return Holder(
        region, index, "O", f"{REGIONS.get(region).name}示例教育服务有限公司第{index}分公司", code, ORGANISATION
    )


def organisation_of(code: str) -> Holder | None:
    """The organisation with this credit code."""
    if len(code) != 18 or code[2:8] not in REGIONS or not code[9:13].isdigit():
        return None
    found = organisation(code[2:8], int(code[9:13]))
    return found if found.code == code else None


def _office_code(region: str, office: str) -> str:
    """A credit code for an office (GB 32100: 11 = government organ), the same for the same office."""
    number = int.from_bytes(hashlib.sha256(office.encode()).digest()[:4], "big") % 10**9
    body = f"11{region}{number:09d}"
    return body + credit_code_check(body)


def _alter(document: bytes) -> bytes:
    """One digit of what a person reads on the page is another one; the archive is whole, only the seal does not hold."""
    members = unpack(document)
    name = "Doc_0/Pages/Page_0/Content.xml"
    page = members[name]
    at = next(n for n in range(page.rindex(b"</ofd:TextCode>"), 0, -1) if page[n : n + 1].isdigit())
    digit = b"%d" % ((int(page[at : at + 1]) + 1) % 10)
    members[name] = page[:at] + digit + page[at + 1 :]
    return pack(members)
