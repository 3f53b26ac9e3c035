"""Statements that have another syntax in each database; SQLAlchemy's dialects make them."""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import Any

from sqlalchemy import Connection, Executable, Table, or_


def add_if_absent(connection: Connection, table: Table, row: Mapping[str, Any]) -> bool:
    """Add `row`, unless a row with its primary key exists. Returns whether it was added. Waits for
    another transaction that is adding such a row."""
    added = _insert(table, connection.dialect.name).execution_options(preserve_rowcount=True)
    return connection.execute(added, row).rowcount == 1


def add_those_absent(
    connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]
) -> None:
    """Add those of `rows` whose unique keys do not exist yet."""
    connection.execute(_insert(table, connection.dialect.name), rows)


def add_or_replace(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add rows with all their columns, in the place of those with their primary keys that are
    different."""
    connection.execute(_replacing(table, connection.dialect.name), rows)


@cache
def _insert(table: Table, dialect: str) -> Executable:
    return _made(table, dialect).on_conflict_do_nothing()  # type: ignore[no-any-return]


@cache
def _replacing(table: Table, dialect: str) -> Executable:
    made = _made(table, dialect)
    key = [*table.primary_key]
    others = {column.name: made.excluded[column.name] for column in table.c if column not in key}
    differ = or_(*(table.c[name].is_distinct_from(value) for name, value in others.items()))
    return made.on_conflict_do_update(  # type: ignore[no-any-return]
        index_elements=key, set_=others, where=differ
    )


def _made(table: Table, dialect: str) -> Any:
    """The dialect's own insert, which supports `on conflict`."""
    return import_module(f"sqlalchemy.dialects.{dialect}").insert(table)
