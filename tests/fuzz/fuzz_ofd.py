"""An OFD document of any bytes gives a report and its fields, never an error; a report prints in every form.

Mutations are made inside: the archive is packed anew around one changed file, else nearly every input is no archive at all.
"""

from __future__ import annotations

import json

from certs.ofd.metadata import read_ecert_fields
from certs.ofd.write import SignOptions, pack, unpack
from certs.render import report_to_html, report_to_json, report_to_text
from certs.report import Indication
from tests.fuzz.engine import run
from tests.unit.certs.ofd_cases import world

_SIGNED = world().signed()
_MEMBERS = unpack(_SIGNED)
_NAMES = sorted(_MEMBERS)
_PLAIN = world().signed(SignOptions(seal=None))
# covered by their role: what they say may be said in other letters
_ROLES = ("Signatures.xml", "SignedValue.dat")
# a first octet that names a file: its new content follows; 0xff: the whole archive follows
SEEDS = [
    *(bytes([number]) + _MEMBERS[name] for number, name in enumerate(_NAMES)),
    b"\xff" + _SIGNED,
    b"\xff" + _PLAIN,
]


def one_input(data: bytes) -> None:
    if not data:
        return
    changed = None if data[0] == 0xFF else _NAMES[data[0] % len(_NAMES)]
    document = data[1:] if changed is None else pack({**_MEMBERS, changed: data[1:]})
    report = world().verify(document)
    if changed is not None and data[1:] != _MEMBERS[changed] and not changed.endswith(_ROLES):
        assert report.indication is not Indication.PASSED, changed
    json.dumps(report_to_json(report))
    for language in ("zh", "en"):
        report_to_text(report, language=language)
        assert "<script" not in report_to_html(report, language=language)
    read_ecert_fields(document)


if __name__ == "__main__":
    run(one_input, SEEDS)
