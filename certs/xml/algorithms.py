"""Algorithm identifiers of our XMLDSig profile, as data (XMLDSig 1.1, clause 6; RFC 9231; RFC 3061 for SM2 and SM3).

Neither W3C nor IETF registered identifiers for SM2 and SM3, so their object identifiers are used as ``urn:oid:``; the
forms that products derive from the xmldsig-more namespace are read too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from certs.keys import SignatureAlgorithm

DSIG: Final = "http://www.w3.org/2000/09/xmldsig#"
_MORE: Final = "http://www.w3.org/2001/04/xmldsig-more#"
_XENC: Final = "http://www.w3.org/2001/04/xmlenc#"

# Of several identifiers for one algorithm the first is the one that we write.
SIGNATURES: Final[Mapping[str, SignatureAlgorithm]] = {
    f"{_MORE}rsa-sha256": SignatureAlgorithm.RSA_PKCS1_SHA256,
    f"{_MORE}rsa-sha384": SignatureAlgorithm.RSA_PKCS1_SHA384,
    f"{_MORE}rsa-sha512": SignatureAlgorithm.RSA_PKCS1_SHA512,
    f"{_MORE}ecdsa-sha256": SignatureAlgorithm.ECDSA_SHA256,
    f"{_MORE}ecdsa-sha384": SignatureAlgorithm.ECDSA_SHA384,
    f"{_MORE}ecdsa-sha512": SignatureAlgorithm.ECDSA_SHA512,
    "http://www.w3.org/2021/04/xmldsig-more#eddsa-ed25519": SignatureAlgorithm.ED25519,
    "urn:oid:1.2.156.10197.1.501": SignatureAlgorithm.SM2_SM3,
    f"{_MORE}sm2-sm3": SignatureAlgorithm.SM2_SM3,
}
SHA1_SIGNATURES: Final[Mapping[str, SignatureAlgorithm]] = {f"{DSIG}rsa-sha1": SignatureAlgorithm.RSA_PKCS1_SHA1}

DIGESTS: Final[Mapping[str, str]] = {
    f"{_XENC}sha256": "sha256",
    f"{_MORE}sha384": "sha384",
    f"{_XENC}sha512": "sha512",
    "urn:oid:1.2.156.10197.1.401": "sm3",
    f"{_MORE}sm3": "sm3",
}
SHA1_DIGESTS: Final[Mapping[str, str]] = {f"{DSIG}sha1": "sha1"}

# Refused with a word of their own, because an administrator meets them with partners and must know what to ask for.
WEAK: Final = frozenset(
    {
        f"{DSIG}rsa-sha1",
        f"{DSIG}dsa-sha1",
        f"{DSIG}hmac-sha1",
        f"{DSIG}sha1",
        f"{_MORE}md5",
        f"{_MORE}rsa-md5",
        f"{_MORE}hmac-md5",
        f"{_MORE}ecdsa-sha1",
    }
)
