"""Signs one envelope as zeep.wsse does (with xmlsec), for the fixtures of tests/interop.

Usage: python sign_with_zeep.py envelope.xml key.pem cert.pem outdir   (in a venv of its own with zeep and xmlsec)
"""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import xmlsec
from lxml import etree
from zeep import ns
from zeep.wsse.signature import BinarySignature, Signature
from zeep.wsse.utils import WSU, get_security_header

SHA256 = {"signature_method": xmlsec.Transform.RSA_SHA256, "digest_method": xmlsec.Transform.SHA256}


def main(envelope: str, key: str, cert: str, out: str) -> None:
    """Four messages: KeyInfo with X509Data or a token, zeep's default algorithms or SHA-256."""
    for kind, name in ((Signature, "zeep"), (BinarySignature, "zeep-binary")):
        for options, suffix in (({}, "-default-sha1"), (SHA256, "-sha256")):
            root = etree.parse(envelope).getroot()
            header = root.find("{http://schemas.xmlsoap.org/soap/envelope/}Header")
            root.remove(header)
            created = datetime.now(UTC).replace(microsecond=0)
            timestamp = WSU.Timestamp(
                WSU.Created(created.strftime("%Y-%m-%dT%H:%M:%SZ")),
                WSU.Expires((created + timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%SZ")),
            )
            get_security_header(root).append(timestamp)  # as zeep's UsernameToken(timestamp_token=...) does
            assert timestamp.tag == f"{{{ns.WSU}}}Timestamp"
            signed, _ = kind(key, cert, **options).apply(root, {})
            Path(out, f"{name}{suffix}.xml").write_bytes(etree.tostring(signed))


if __name__ == "__main__":
    main(*sys.argv[1:])
