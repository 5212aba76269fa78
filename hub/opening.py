"""What every process of the hub opens first, the commands too: the vault and the database, as the settings say."""

from __future__ import annotations

from hub.audit.chain import AuditChain
from hub.config import Settings
from hub.db import Database
from hub.keyring import KeyFile
from hub.migrate import upgrade
from hub.vault import Vault
from schemas.ecert_types import use_types


def key_file(settings: Settings) -> KeyFile:
    """Where the keys at rest stand, unless the environment gives them."""
    return KeyFile(settings.state_dir / "vault.key")


def open_vault(settings: Settings) -> Vault:
    """Makes the key on the first run. Raises VaultError."""
    key = settings.vault_key.get_secret_value() if settings.vault_key else None
    return Vault.load(key_file(settings), from_environment=key, cipher=settings.cipher)


def open_database(settings: Settings, vault: Vault) -> Database:
    """The database as the settings say, migrated; and the certificate types that its rows speak of. Raises EcertTypesError."""
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    use_types(settings.ecert_types)
    upgrade(settings.effective_database_url)
    return Database(settings.effective_database_url, chain_audit=AuditChain(vault.audit_key).append)
