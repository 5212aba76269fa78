"""Where things stand: SQL in the stores, web frameworks where something is served, secrets in sealed columns."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import sqlalchemy as sa

from hub import tables as t

HUB = Path(__file__).parents[3] / "hub"
# store.py, and what the database itself is made of; claims, outcomes and health are parts of the deliveries' store
SQL_ROOMS = {"store.py", "db.py", "engine.py", "migrate.py", "claims.py", "outcomes.py", "endpoint_health.py"}
STATEMENTS = {"select", "insert", "update", "delete", "text"}
FILES = [path for path in HUB.rglob("*.py") if path.name not in SQL_ROOMS and "migrations" not in path.parts]


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(HUB)) for path in FILES])
def test_sql_stands_in_the_stores(path: Path) -> None:
    if path.parent.name == "tables":
        return  # conditions of partial indexes
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id in ("sa", "sqlalchemy")
        ):
            assert node.attr not in STATEMENTS, f"{path.name}:{node.lineno}"


def test_bytes_rest_sealed() -> None:
    """A column of bytes is either sealed or a public key; see the head of hub/tables."""
    plain = {
        f"{table.name}.{column.name}"
        for table in t.metadata.sorted_tables
        for column in table.columns
        if isinstance(column.type, sa.LargeBinary) and not column.name.endswith("_sealed")
    }
    assert plain == {"system_keys.material"}
