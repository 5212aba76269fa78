"""Batch files: spooled while they come, kept sealed in the database until they are checked. Never whole in memory.

What comes is spooled to a file without a name (it is gone with the process), so that its signature can be verified over all of it.
What is kept are sealed parts in the database, so that any node can check the file, whichever took it.
"""

from __future__ import annotations

import functools
import hashlib
import io
import mmap
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, cast

from hub.db import Database, Tx
from hub.ecerts.collect import store
from hub.ecerts.collect.table import FileUnreadable
from hub.vault import Vault, VaultError

PART: Final = 1 << 20


@contextmanager
def spool(folder: Path) -> Iterator[IO[bytes]]:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        yield file


@contextmanager
def as_bytes(file: IO[bytes]) -> Iterator[bytes]:
    """The whole file as something that can be digested without being read into memory."""
    file.flush()
    if file.seek(0, io.SEEK_END) == 0:
        yield b""
        return
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        yield cast(bytes, mapped)


def keep(db: Database, vault: Vault, source: IO[bytes], batch_id: str) -> None:
    """Sealed, part by part, each committed: all of it is there when this returns. Parts without a batch are purged."""
    source.seek(0)
    number = 0
    while part := source.read(PART):
        db.write(functools.partial(_add, batch_id, number, vault.seal(part, _context(batch_id, number))))
        number += 1


def _add(batch_id: str, number: int, sealed: bytes, tx: Tx) -> None:
    store.add_part(tx.conn, batch_id, number, sealed, tx.now)


def digest_of(region: str, form: str, sha256: str) -> str:
    """What tells one batch from another under the same message id; ``sha256`` is the file's."""
    return hashlib.sha256(f"{region}\n{form}\n{sha256}".encode()).hexdigest()


@contextmanager
def kept(
    db: Database, vault: Vault, batch: store.BatchRow, folder: Path, alive: Callable[[], None]
) -> Iterator[IO[bytes]]:
    """The file again, in clear, without a name; ``alive`` is called between parts. FileUnreadable if it does not open, or is not
    what was taken: a part that is missing would read as the end of the file."""
    with spool(folder) as clear:
        number, whole = 0, hashlib.sha256()
        while True:
            with db.read() as conn:
                sealed = store.part(conn, batch.id, number)
            if sealed is None:
                break
            try:
                part = vault.open(sealed, _context(batch.id, number))
            except VaultError:
                raise FileUnreadable("file-lost") from None
            clear.write(part)
            whole.update(part)
            alive()
            number += 1
        if digest_of(batch.region, batch.form, whole.hexdigest()) != batch.digest:
            raise FileUnreadable("file-lost")
        clear.seek(0)
        yield clear


def _context(batch_id: str, number: int) -> str:
    return f"collect_files:{batch_id}:{number}"
