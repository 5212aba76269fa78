"""Which adapters there are: one plain dict. A new adapter is one import and one line here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from adapters.city_soap.client import CitySoap
from adapters.cloudevents.client import CloudEvents
from adapters.contract import Adapter, Endpoint, Manifest
from adapters.county_rest.client import CountyRest
from adapters.ecert_share.client import EcertShare
from adapters.ecert_usefor.client import EcertUsefor
from adapters.identity.client import Identity
from schemas.told import Told

ADAPTERS: Final[Mapping[str, type[Adapter]]] = {
    "city_soap": CitySoap,
    "cloudevents": CloudEvents,
    "county_rest": CountyRest,
    "ecert_share": EcertShare,
    "ecert_usefor": EcertUsefor,
    "identity": Identity,
}


class UnknownAdapter(Told, LookupError):
    """No adapter has this id."""


def adapter_class(adapter_id: str) -> type[Adapter]:
    """The class behind an id; raises :class:`UnknownAdapter`."""
    try:
        return ADAPTERS[adapter_id]
    except KeyError:
        raise UnknownAdapter(
            f"没有适配器 {adapter_id!r}; 可用: {', '.join(sorted(ADAPTERS))}",
            f"no adapter {adapter_id!r}; there are {', '.join(sorted(ADAPTERS))}",
        ) from None


def manifest(adapter_id: str) -> Manifest:
    """The manifest of an adapter; raises :class:`UnknownAdapter`."""
    return adapter_class(adapter_id).manifest


def create(adapter_id: str, endpoint: Endpoint) -> Adapter:
    """An adapter for one endpoint. Raises :class:`UnknownAdapter`, or PeerMisconfigured if its settings cannot work."""
    return adapter_class(adapter_id)(endpoint)
