"""Statements that every message runs, given to the driver as they are.

SQLAlchemy writes and compiles them; what else it does for each execution (contexts, events, result objects) costs ten times what
the driver and SQLite need for a row: 70 beside 7 µs. So the hot statements are compiled once for each database and then run by the
driver. The transaction, the connection and the errors (:class:`sqlalchemy.exc.DBAPIError`) stay SQLAlchemy's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from functools import lru_cache
from operator import attrgetter, itemgetter
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.compiler import SQLCompiler

from hub.tables import UtcTime, from_micros, to_micros

Row = tuple[Any, ...]
Statement = sa.SelectBase | sa.Update


class Prepared:
    """One statement. Values are given by the names of its bind parameters; times are aware datetimes on both sides."""

    def __init__(self, statement: Statement) -> None:
        self._statement = statement
        self._compiled: dict[str, _Compiled] = {}

    def rows(self, conn: Connection, **values: object) -> list[Row]:
        compiled = self._for(conn)
        return compiled.read(_execute(conn, compiled.text, compiled.parameters(values)).fetchall())

    def row(self, conn: Connection, **values: object) -> Row | None:
        """The first, if there is one."""
        found = self.rows(conn, **values)
        return found[0] if found else None

    def run(self, conn: Connection, **values: object) -> int:
        """How many rows it changed."""
        compiled = self._for(conn)
        return int(_execute(conn, compiled.text, compiled.parameters(values)).rowcount)

    def _for(self, conn: Connection) -> _Compiled:
        name = conn.dialect.name
        found = self._compiled.get(name)
        if found is None:
            found = self._compiled[name] = _Compiled(self._statement, conn.dialect)
        return found


def in_list(write: Callable[[Sequence[sa.BindParameter[str]]], Statement]) -> Callable[[int], Prepared]:
    """Statements with an IN list, by its length: ``in_list(lambda ids: select(…).where(column.in_(ids)))(3)``.

    Its values are named v0, v1, … (:func:`listed`).
    """

    @lru_cache(maxsize=256)
    def of(length: int) -> Prepared:
        return Prepared(write([sa.bindparam(f"v{index}", type_=sa.String) for index in range(length)]))

    return of


def listed(values: Iterable[str]) -> dict[str, str]:
    return {f"v{index}": value for index, value in enumerate(values)}


class _Compiled:
    """The text for one database, and how values become the driver's and the driver's rows ours."""

    def __init__(self, statement: Statement, dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect)
        if not isinstance(compiled, SQLCompiler):
            raise TypeError(f"no SQL: {type(compiled).__name__}")
        self.text = str(compiled)
        self._order = compiled.positiontup if compiled.positional else None
        self._given = dict(compiled.params)  # constants of the statement; None for what each run gives
        self._times = frozenset(name for bind, name in compiled.bind_names.items() if isinstance(bind.type, UtcTime))
        columns = statement.selected_columns if isinstance(statement, sa.SelectBase) else ()
        self._reads = [(at, read) for at, column in enumerate(columns) if (read := _reader(column.type)) is not None]

    def parameters(self, values: Mapping[str, object]) -> Sequence[object] | Mapping[str, object]:
        given = {**self._given, **values}
        for name in self._times:
            value = given[name]
            if isinstance(value, datetime):
                given[name] = to_micros(value)
        return given if self._order is None else [given[name] for name in self._order]

    def read(self, rows: list[Row]) -> list[Row]:
        if not self._reads:
            return rows
        found = []
        for row in rows:
            values = list(row)
            for at, read in self._reads:
                if values[at] is not None:
                    values[at] = read(values[at])
            found.append(tuple(values))
        return found


def _reader(kind: sa.types.TypeEngine[Any]) -> Callable[[Any], object] | None:
    if isinstance(kind, UtcTime):
        return from_micros
    return bool if isinstance(kind, sa.Boolean) else None  # SQLite's are numbers


def _execute(conn: Connection, text: str, parameters: Any) -> Any:
    """In the connection's transaction, which begins here if none has."""
    if not conn.in_transaction():
        conn.begin()
    return run_text(conn, text, parameters)


def run_text(conn: Connection, text: str, parameters: Any = ()) -> Any:
    """A cursor of the driver's. What the driver raises becomes SQLAlchemy's; a connection that is lost is given up."""
    cursor = conn.connection.cursor()
    try:
        cursor.execute(text, parameters)
    except conn.dialect.loaded_dbapi.Error as error:
        lost = conn.dialect.is_disconnect(error, conn.connection, cursor)
        wrapped = DBAPIError.instance(
            text, None, error, conn.dialect.loaded_dbapi.Error, hide_parameters=True, connection_invalidated=lost,
            dialect=conn.dialect,
        )  # fmt: skip
        if lost:
            conn.invalidate(error)
        raise wrapped from error
    return cursor


# --- many rows ------------------------------------------------------------------------------------------------------------

_SIZES = (64, 32, 16, 8, 7, 6, 5, 4, 3, 2, 1)  # few statements, so that the drivers keep them prepared
Record = Mapping[str, object] | object  # a mapping by column, or a dataclass whose fields are columns


def insert_many(conn: Connection, table: sa.Table, rows: Sequence[Record]) -> None:
    """Insert rows that have the same columns, many with one statement.

    SQLite's driver gives the interpreter lock up for every row of an executemany, and the event loop takes it; here it does
    so once for up to 64 rows. Times become what :class:`hub.tables.UtcTime` stores; columns that no row names get their default.
    """
    for _ in _inserted(conn, table, rows, ""):
        pass


def insert_new(conn: Connection, table: sa.Table, rows: Sequence[Record]) -> list[object]:
    """Insert those that are not there yet, and give the first key of each of these."""
    key = next(iter(table.primary_key)).name
    suffix = f' ON CONFLICT DO NOTHING RETURNING "{key}"'
    return [found for cursor in _inserted(conn, table, rows, suffix) for (found,) in cursor.fetchall()]


def replace_many(conn: Connection, table: sa.Table, rows: Sequence[Record]) -> None:
    """Insert rows; those that are there get the values of all columns that are named."""
    for _ in _inserted(conn, table, rows, _replacing(table, _kind(rows[0])) if rows else ""):
        pass


def add_many(conn: Connection, table: sa.Table, rows: Sequence[Record], counter: str) -> None:
    """Insert rows; of those that are there ``counter`` grows by what the row says."""
    keys = ", ".join(f'"{column.name}"' for column in table.primary_key)
    suffix = f' ON CONFLICT ({keys}) DO UPDATE SET "{counter}" = "{table.name}"."{counter}" + excluded."{counter}"'
    for _ in _inserted(conn, table, rows, suffix):
        pass


@lru_cache(maxsize=64)
def _replacing(table: sa.Table, kind: tuple[str, ...] | type) -> str:
    key = [column.name for column in table.primary_key]
    named = [name for name in _shape(table, kind).columns if name not in key]
    keys, sets = ", ".join(f'"{name}"' for name in key), ", ".join(f'"{name}" = excluded."{name}"' for name in named)
    return f" ON CONFLICT ({keys}) DO UPDATE SET {sets}"


def _inserted(conn: Connection, table: sa.Table, rows: Sequence[Record], suffix: str) -> Iterator[Any]:
    if not rows:
        return
    shape = _shape(table, _kind(rows[0]))
    done = 0
    for size in _SIZES:
        while len(rows) - done >= size:
            values = [value for row in rows[done : done + size] for value in shape.values(row)]
            text = _insert_statement(table.name, shape.columns, size, conn.dialect.paramstyle)
            yield _execute(conn, text + suffix, values)
            done += size


def _kind(record: Record) -> tuple[str, ...] | type:
    return tuple(record) if isinstance(record, Mapping) else type(record)


@dataclass(frozen=True, slots=True)
class _Shape:
    """How records of one kind become values of a table's columns. ``times``: places of times; ``defaults`` stand at the end."""

    columns: tuple[str, ...]
    read: Callable[[Any], tuple[object, ...]]
    times: tuple[int, ...]
    defaults: tuple[object, ...]

    def values(self, record: Record) -> Sequence[object]:
        values = [*self.read(record), *self.defaults]
        for at in self.times:
            value = values[at]
            if isinstance(value, datetime):
                values[at] = to_micros(value)
        return values


@lru_cache(maxsize=256)
def _shape(table: sa.Table, kind: tuple[str, ...] | type) -> _Shape:
    """``kind``: the columns that mappings name, or a dataclass."""
    names = kind if isinstance(kind, tuple) else tuple(field.name for field in fields(kind))
    known = {column.name: column for column in table.columns}
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"{table.name} has no {', '.join(unknown)}")
    times = tuple(at for at, name in enumerate(names) if isinstance(known[name].type, UtcTime))
    defaults = {
        name: to_micros(column.default.arg) if isinstance(column.default.arg, datetime) else column.default.arg
        for name, column in known.items()
        if name not in names and isinstance(column.default, sa.ColumnDefault) and column.default.is_scalar
    }
    getter = itemgetter(*names) if isinstance(kind, tuple) else attrgetter(*names)
    read = getter if len(names) > 1 else lambda record: (getter(record),)
    return _Shape((*names, *defaults), read, times, tuple(defaults.values()))


@lru_cache(maxsize=512)
def _insert_statement(table: str, columns: tuple[str, ...], rows: int, paramstyle: str) -> str:
    mark = "?" if paramstyle == "qmark" else "%s"
    one = "(" + ", ".join([mark] * len(columns)) + ")"
    names = ", ".join(f'"{name}"' for name in columns)
    return f'INSERT INTO "{table}" ({names}) VALUES {", ".join([one] * rows)}'  # noqa: S608  names of our own tables
