"""The contract files as the hub serves them: one WSDL and the XSDs that it includes by relative name.

With ``base_url`` = ``https://hub.example/soap/v1``: the service listens at ``<base_url>/exchange`` (SOAP 1.1 and 1.2), the
WSDL is at ``<base_url>/exchange.wsdl`` and at ``<base_url>/exchange?wsdl``, and each XSD at ``<base_url>/<name>``; so the
relative schemaLocations work from either address.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Final
from xml.sax.saxutils import escape

from schemas import problems
from schemas.problems import HubProblem

XSD_FILES: Final = ("types.xsd", "transfer.xsd", "faults.xsd")
WSDL_FILE: Final = "exchange.wsdl"
SERVICE_PATH: Final = "/exchange"
_PLACEHOLDER: Final = "https://hub.invalid" + SERVICE_PATH


def render_wsdl(base_url: str) -> bytes:
    """The WSDL with the hub's own address in both ports. ``base_url`` is trusted configuration, not the Host header."""
    text = _read(WSDL_FILE).decode("utf-8")
    address = escape(base_url.rstrip("/") + SERVICE_PATH, {'"': "&quot;"})
    return text.replace(_PLACEHOLDER, address).encode("utf-8")


def xsd_file(name: str) -> bytes:
    """One of XSD_FILES; any other name is refused (operation-unknown), so that no path can be asked for."""
    if name not in XSD_FILES:
        raise HubProblem(problems.OPERATION_UNKNOWN, said=("没有此 XSD 文件", "no such schema file"))
    return _read(name)


def _read(name: str) -> bytes:
    return (files("schemas") / "wsdl" / name).read_bytes()
