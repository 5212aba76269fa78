"""Whose a certificate is: the names and the unified social credit codes that its issuer attests.

An electronic seal names no owner but the certificate that signs with it (GB/T 38540-2020: the seal lists its signers'
certificates); the law has such a certificate name its holder (电子签名法 21). Where the code stands differs by authority: in the
extension of GM/T 0015-2023, in that of GM/T 0015-2012 for organisation codes, or in the subject.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from certs import der
from certs.der import Malformed
from certs.report import Owner
from certs.x509.signing_cert import SigningCert, readable_text
from schemas.numbers import CREDIT_CODE, check_credit_code
from schemas.rules import FieldError

ORGANISATION, COMMON_NAME = "2.5.4.10", "2.5.4.3"
CREDIT_CODE_EXTENSION: Final = "1.2.156.10260.4.4"  # GM/T 0015-2023
# and organizationCode of GM/T 0015-2012, where authorities put it before
_CODE_EXTENSIONS: Final = (CREDIT_CODE_EXTENSION, "1.2.156.10260.4.1.4")
_CODE_ATTRIBUTES: Final = ("2.5.4.97", "2.5.4.5")  # organizationIdentifier (NTRCN-…), serialNumber
_CODE: Final = re.compile(rf"(?<![0-9A-Za-z])(?:{CREDIT_CODE.pattern})(?![0-9A-Za-z])")


@lru_cache(maxsize=2048)
def owner_of(cert: SigningCert) -> Owner:
    """Never raises: what cannot be read is not there. A code whose check character is wrong is none."""
    attributes = _attributes(cert.subject)
    names = [value for oid in (ORGANISATION, COMMON_NAME) for kind, value in attributes if kind == oid]
    texts = [value for kind, value in attributes if kind in _CODE_ATTRIBUTES]
    texts += [cert.extensions[oid].value.decode("latin-1") for oid in _CODE_EXTENSIONS if oid in cert.extensions]
    codes = [found for text in texts for found in _CODE.findall(text) if _is_code(found)]
    return Owner(tuple(dict.fromkeys(names)), tuple(dict.fromkeys(codes)))


def _attributes(name: bytes) -> list[tuple[str, str]]:
    found = []
    try:
        for rdn in der.read(name, der.SEQUENCE).members(der.SET):
            for member in rdn.members(der.SEQUENCE):
                reader = member.reader()
                found.append((reader.take(der.OID).oid(), readable_text(reader.take())))
    except Malformed:
        return found
    return found


def _is_code(text: str) -> bool:
    try:
        check_credit_code(text)
    except FieldError:
        return False
    return True
