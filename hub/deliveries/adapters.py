"""One adapter object for each endpoint, kept for as long as its row stays the same."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable

from adapters.contract import Adapter, Endpoint, PeerMisconfigured
from adapters.registry import UnknownAdapter
from hub.deliveries.model import Target
from hub.vault import Vault, VaultError

Make = Callable[[str, Endpoint], Adapter]  # adapters.registry.create


class AdapterCache:
    """Adapters are built once (some take 100 ms), used by all threads, and rebuilt when their endpoint's row changes."""

    def __init__(self, vault: Vault, make: Make) -> None:
        self._vault = vault
        self._make = make
        self._lock = threading.Lock()
        self._building: dict[str, threading.Lock] = {}
        self._made: dict[str, tuple[Target, Adapter]] = {}
        self._retired: list[Adapter] = []  # calls may still be under way in them: closed at the end

    def of(self, target: Target) -> Adapter:
        """The adapter for this row. PeerMisconfigured if none can be made of it: the endpoint is paused until it is mended."""
        with self._lock:
            known = self._made.get(target.id)
            if known is not None and known[0] == target:
                return known[1]
            building = self._building.setdefault(target.id, threading.Lock())
        with building:  # others' endpoints do not wait for a slow one
            with self._lock:
                known = self._made.get(target.id)
                if known is not None and known[0] == target:
                    return known[1]
            adapter = self._build(target)
            with self._lock:
                if known is not None:
                    self._retired.append(known[1])
                self._made[target.id] = (target, adapter)
            return adapter

    def _build(self, target: Target) -> Adapter:
        try:
            secrets: dict[str, str] = {}
            if target.secrets_sealed is not None:
                secrets = json.loads(self._vault.open(target.secrets_sealed, f"endpoints:{target.id}"))
            settings = json.loads(target.settings)
            endpoint = Endpoint(target.id, target.region, target.base_url, settings, secrets)
            return self._make(target.adapter, endpoint)
        except VaultError:
            raise PeerMisconfigured("secrets-unreadable", "sealed under another key, or altered") from None
        except UnknownAdapter:
            raise PeerMisconfigured("unknown-adapter", target.adapter) from None

    def close(self) -> None:
        """Give every connection back."""
        with self._lock:
            adapters = [*self._retired, *(adapter for _, adapter in self._made.values())]
            self._retired, self._made = [], {}
        for adapter in adapters:
            adapter.close()
