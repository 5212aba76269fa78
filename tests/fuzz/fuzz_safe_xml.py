"""schemas.safe_xml: any bytes give a tree or UnsafeXml, and no tree exceeds its limits."""

from __future__ import annotations

from schemas.safe_xml import UnsafeXml, XmlLimits, parse
from tests.fuzz.engine import run

LIMITS = XmlLimits(max_depth=8, max_elements=50, max_attributes=4, max_namespaces=10)
SEEDS = [
    b'<?xml version="1.0" encoding="UTF-8"?><a xmlns:p="u"><p:b c="1">x</p:b><!-- y --><![CDATA[z]]></a>',
    '<?xml version="1.0" encoding="GB18030"?><a>𠮷</a>'.encode("gb18030"),
    "\ufeff<a>张</a>".encode("utf-16"),
    b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/hostname">]><a>&b;</a>',
]


def one_input(data: bytes) -> None:
    try:
        root = parse(data, limits=LIMITS)
    except UnsafeXml:
        return
    assert root.getroottree().docinfo.internalDTD is None
    assert sum(1 for _ in root.iter("*")) <= LIMITS.max_elements
    for element in root.iter("*"):
        assert sum(1 for _ in element.iterancestors()) < LIMITS.max_depth
        assert len(element.attrib) <= LIMITS.max_attributes


if __name__ == "__main__":
    run(one_input, SEEDS)
