"""A zip of one table and its documents. Nothing is ever unpacked to a name; a document is read when its row names it."""

from __future__ import annotations

import re
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import IO, Final

from hub.ecerts.collect.cures import MAX_OFD, MAX_ROWS
from hub.ecerts.collect.unreadable import FileUnreadable

MAX_TABLE: Final = 256 << 20  # of the table, unpacked
MAX_UNPACKED: Final = 16 << 30  # of all files together
MAX_RATIO: Final = 200  # an OFD is a zip itself and hardly gets smaller
_PART: Final = 1 << 20
_UTF8, _ENCRYPTED = 0x800, 0x1
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError)
_DRIVE: Final = re.compile(r"[A-Za-z]:")


class Archive:
    """FileUnreadable for a zip that breaks a limit or names what lies outside of it."""

    def __init__(self, file: IO[bytes]) -> None:
        try:
            self._zip = zipfile.ZipFile(file)
            members = self._zip.infolist()
        except _BROKEN:
            raise FileUnreadable("not-a-zip") from None
        if len(members) > 2 * MAX_ROWS:
            raise FileUnreadable("too-many-files")
        if sum(info.file_size for info in members) > MAX_UNPACKED:
            raise FileUnreadable("too-large-unpacked")
        self._members: dict[str, zipfile.ZipInfo] = {}
        for info in members:
            name = _name(info)
            if name.startswith("/") or _DRIVE.match(name) or ".." in name.split("/"):
                raise FileUnreadable("unsafe-name")
            if info.flag_bits & _ENCRYPTED:
                raise FileUnreadable("zip-encrypted")
            if name.endswith("/") or name.startswith("__MACOSX/") or name.rpartition("/")[2] == ".DS_Store":
                continue
            if name in self._members:
                raise FileUnreadable("doubled-file")
            self._members[name] = info
        self._used: set[str] = set()

    def table(self, folder: Path) -> tuple[IO[bytes], str]:
        """The one table at the root, unpacked to a file without a name, and its form."""
        tables = [name for name in self._members if name.lower().endswith((".csv", ".xlsx")) and "/" not in name]
        if len(tables) != 1:
            raise FileUnreadable("zip-needs-one-table")
        self._used.add(tables[0])
        info = self._members[tables[0]]
        if info.file_size > MAX_TABLE:
            raise FileUnreadable("too-large-unpacked")
        clear = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  closed with the reader; has no name
        try:
            with self._zip.open(info) as member:
                while part := member.read(_PART):
                    clear.write(part)
        except _BROKEN:
            raise FileUnreadable("not-a-zip") from None
        clear.seek(0)
        return clear, "csv" if tables[0].lower().endswith(".csv") else "xlsx"

    def document(self, name: str) -> tuple[bytes | None, str | None]:
        """The contents, or the rule by which the row that names it is faulty."""
        name = name.replace("\\", "/").removeprefix("./")
        info = self._members.get(name)
        if info is None:
            return None, "file-missing"
        self._used.add(name)
        if info.file_size > MAX_OFD or info.file_size > MAX_RATIO * max(info.compress_size, 1024):
            return None, "file-too-large"
        try:
            with self._zip.open(info) as member:
                return member.read(MAX_OFD), None
        except _BROKEN:
            return None, "file-damaged"

    def unused(self) -> list[str]:
        """Files that no row named."""
        return sorted(self._members.keys() - self._used)


def _name(info: zipfile.ZipInfo) -> str:
    """Chinese Windows writes names in GBK and does not say so; zipfile takes them for cp437."""
    name = info.filename
    if not info.flag_bits & _UTF8:
        raw = name.encode("cp437", "replace")
        for encoding in ("utf-8", "gb18030"):
            try:
                name = raw.decode(encoding)
                break
            except UnicodeDecodeError:
                continue
    return name.replace("\\", "/").removeprefix("./")
