"""Certificates are known by a keyed hash of their identifier: no table says whose is whose."""

from __future__ import annotations

from hub.vault import Vault


def identifier_index(vault: Vault, identifier: str) -> str:
    """The keyed hash under which those who relied on a certificate are found, in whatever case its identifier is written."""
    return vault.index(f"ecert:{identifier.upper()}")
