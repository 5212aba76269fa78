"""A seal or a seal signature of any bytes, of every structure, is read or Malformed; an altered one never passes."""

from __future__ import annotations

from contextlib import suppress

from certs.der import Malformed
from certs.findings import Findings
from certs.ofd.seal_verify import Context, verify_seal_signature
from certs.ofd.seals import parse_seal, parse_seal_signature
from certs.ofd.write import SignOptions, unpack
from certs.policy import Policy
from certs.report import Indication, worst
from tests.fuzz.engine import run
from tests.unit.certs.ofd_cases import NOW, world

_W = world()
_DOCUMENTS = [unpack(_W.signed(SignOptions(seal=_W.seal(structure)))) for structure in ("v1", "v4", "v5")]
_VALUES = [next(v for name, v in members.items() if name.endswith("SignedValue.dat")) for members in _DOCUMENTS]
_XML = {
    value: next(v for name, v in members.items() if name.endswith("Signature.xml"))
    for value, members in zip(_VALUES, _DOCUMENTS, strict=True)
}
SEEDS = [*_VALUES, *(parse_seal_signature(value).seal.raw for value in _VALUES)]
_CONTEXT = Context(NOW, _W.trust, Policy(revocation="off"), _W.revocation, (_W.authority.intermediate.cert,))
# what a signature is not over, so that it may change: DER says nothing of the signature value's own envelope
_PARTS = {(v.tbs, v.cert, v.signature) for v in map(parse_seal_signature, _VALUES)}


def one_input(data: bytes) -> None:
    with suppress(Malformed):
        parse_seal(data)
    try:
        value = parse_seal_signature(data)
    except Malformed:
        return
    findings = Findings(0)
    for signature_xml in _XML.values():
        verify_seal_signature(value, signature_xml, _CONTEXT, findings)
        if worst(f.indication for f in findings.found) is Indication.PASSED:
            assert any(value.tbs == tbs for tbs, _, _ in _PARTS)
        findings.found.clear()


if __name__ == "__main__":
    run(one_input, SEEDS)
