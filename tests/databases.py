"""Databases of the history, one of each kind: what a contract is tried on."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import pytest

from app.storage.history.database import Backend
from app.storage.history.postgresql import PostgreSQL
from app.storage.history.schema import TABLES, VERSION
from app.storage.history.sqlite import SQLite
from tests.servers.postgresql import PostgreSQLServer


class Place(Protocol):
    """Where one history is kept."""

    def backend(self) -> Backend:
        """As one process opens it."""

    def sql(self, statement: str, *values: Any) -> list[Any]:
        """What the database itself says, past our code; a ? for each value."""


class SQLitePlace:
    def __init__(self, path: Path) -> None:
        self.path = path

    def backend(self) -> Backend:
        return SQLite(self.path)

    def sql(self, statement: str, *values: Any) -> list[Any]:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            return connection.execute(statement, values).fetchall()


class PostgreSQLPlace:
    """A database that one test after the other has to itself."""

    def __init__(self, server: PostgreSQLServer) -> None:
        self.server = server
        self.url = server.database()

    def backend(self) -> Backend:
        return PostgreSQL(self.url, connections=10)

    def sql(self, statement: str, *values: Any) -> list[Any]:
        return self.server.sql(self.url, statement.replace("?", "%s"), *values)

    def empty(self) -> None:
        found = {name for (name,) in self.sql("SELECT tablename FROM pg_tables")}
        ours = {table.name for table in TABLES.sorted_tables if table is not VERSION}
        if names := found & ours:
            self.sql(f"TRUNCATE {', '.join(names)} RESTART IDENTITY")


def place_of(kind: str, request: pytest.FixtureRequest, folder: Path) -> Place:
    """An empty database, in a file of the folder or on the server that tests share."""
    if kind == "sqlite":
        return SQLitePlace(folder / "history.db")
    place: PostgreSQLPlace = request.getfixturevalue("postgresql_place")
    place.empty()
    return place
