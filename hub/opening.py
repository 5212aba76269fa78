"""What every process of the hub opens first, the commands too: the vault and the database, as the settings say."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy.engine import make_url

from hub.audit.chain import AuditChain
from hub.audit.store import read_head
from hub.config import Settings
from hub.db import Database
from hub.engine import make_engine
from hub.keyring import KeyFile, VaultError
from hub.migrate import current_revision, upgrade
from hub.vault import Vault
from schemas.ecert_types import use_types


def key_file(settings: Settings) -> KeyFile:
    """Where the keys at rest stand, unless the environment gives them."""
    return KeyFile(settings.state_dir / "vault.key")


def open_vault(settings: Settings) -> Vault:
    """Makes the key on the first run and never again: beside a database that was written under another key a new one would open
    nothing, and continue the audit chain so that all of it looks altered. Raises VaultError.
    """
    key = settings.vault_key.get_secret_value() if settings.vault_key else None
    file = key_file(settings)
    if key is None and not file.path.exists() and _was_written(settings.effective_database_url):
        raise VaultError(
            f"数据库已有数据, 而没有 {file.path}: 请放回该数据库的 vault.key (备份时另行保管的那份), 或设置 HUB_VAULT_KEY",
            f"there is no {file.path}, and the database holds data: put its own vault.key back, which was kept apart from the "
            "backup, or set HUB_VAULT_KEY",
        )
    return Vault.load(file, from_environment=key, cipher=settings.cipher)


def _was_written(url: str) -> bool:
    """Whether a hub has begun its audit log there. Makes no file."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite" and not (parsed.database and Path(parsed.database).exists()):
        return False
    engine = make_engine(parsed)
    try:
        with engine.connect() as conn, conn.begin():
            return current_revision(conn) is not None and read_head(conn).seq > 0
    finally:
        engine.dispose()


def open_database(settings: Settings, vault: Vault) -> Database:
    """The database as the settings say, migrated; and the certificate types that its rows speak of. Raises EcertTypesError."""
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    use_types(settings.ecert_types)
    upgrade(settings.effective_database_url)
    return Database(settings.effective_database_url, chain_audit=AuditChain(vault.audit_key).append)
