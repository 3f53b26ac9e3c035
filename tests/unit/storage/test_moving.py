"""A history that moves from a file into PostgreSQL, and goes on there."""

import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from app.errors import StartupError
from app.security.keys import Grant
from app.security.principal import Principal
from app.storage.history.answers import Answers
from app.storage.history.database import Database
from app.storage.history.intents import Intents
from app.storage.history.issued import IssuedKeys
from app.storage.history.moving import MOVED, move
from app.storage.history.parts import Part
from app.storage.history.postgresql import PostgreSQL
from app.storage.history.rows import History
from app.storage.history.sqlite import SQLite
from app.storage.history.together import NewIntent
from app.storage.journal.liveness import FileLocks
from tests.histories import add, row, said, save
from tests.servers.postgresql import PostgreSQLServer
from tests.service import ROOT

ALICE = {"user_id": "alice"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Of a history with everything in it."""
    path = tmp_path / "history.db"
    with closing(Database(SQLite(path))) as database:
        history = History(database)
        add(history, *(row(f"m{n}", new_memory=f"龙井 {n}", user_id="alice") for n in range(2500)))
        add(history, row("odd", new_memory="a\0b", is_deleted=True))
        save(history, said("I like tea", "And milk"), "user_id=alice")
        IssuedKeys(database).add(Grant(Principal("1a2b3c4d", ALICE), time.time() + 60))
        Answers(database).claim("admin", "k", "print", "dead", ALICE)
        intents = Intents(database)
        kept = NewIntent("kept", 2, "{}", repeat=("admin", "k"))
        intents.begin("dead", kept, first=Part(["m"], []))
        last = intents.begin("dead", NewIntent("gone", 2, "{}"))
        intents.forget([last])
    return path


@pytest.fixture
def url(postgresql: PostgreSQLServer) -> str:
    return postgresql.database()


def moved(path: Path, url: str) -> dict[str, int]:
    told: dict[str, int] = {}
    move(SQLite(path), PostgreSQL(url, connections=2), told.__setitem__)
    return told


def everything(database: Database) -> dict[str, list[Any]]:
    with database.reading() as connection:
        return {
            table.name: [
                *map(tuple, connection.execute(select(table).order_by(*table.primary_key)))
            ]
            for table in MOVED
        }


def test_all_rows_arrive_as_they_were(path: Path, url: str) -> None:
    told = moved(path, url)
    with (
        closing(Database(SQLite(path))) as old,
        closing(Database(PostgreSQL(url, connections=2))) as new,
    ):
        before, after = everything(old), everything(new)
        assert told == {name: len(rows) for name, rows in before.items()}
        assert before.pop("history")[:2500] == after["history"][:2500]
        assert "a␀b" in after.pop("history")[2500]
        assert before == after


def test_numbers_go_on_after_those_that_were_ever_given(path: Path, url: str) -> None:
    moved(path, url)
    with closing(Database(PostgreSQL(url, connections=2))) as database:
        assert Intents(database).begin("p", NewIntent("new", 2, "{}")) == 3
        history = History(database)
        add(history, row("m1", event="UPDATE"))
        assert [found["event"] for found in history.get_history("m1")] == ["ADD", "UPDATE"]


def test_a_second_time_it_is_refused_and_nothing_is_changed(path: Path, url: str) -> None:
    moved(path, url)
    with pytest.raises(StartupError, match="already: it was moved to before"):
        moved(path, url)


def test_what_breaks_off_leaves_nothing(path: Path, url: str, postgresql: PostgreSQLServer) -> None:
    def break_off(table: str, rows: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        move(SQLite(path), PostgreSQL(url, connections=2), break_off)
    assert postgresql.sql(url, "SELECT count(*) FROM history") == [(0,)]
    assert moved(path, url)["history"] == 2501


class TestCommand:
    def run(self, path: Path, url: str) -> subprocess.CompletedProcess[str]:
        environ = {"PYTHONPATH": str(ROOT), "DATA_DIR": str(path.parent), "DATABASE_URL": url}
        return subprocess.run(
            [sys.executable, "-m", "app.cli.move"],
            cwd=path.parent,
            env=environ | {"QDRANT_URL": "http://127.0.0.1:1"},
            capture_output=True,
            text=True,
        )

    def test_moves_while_no_service_runs(self, path: Path, url: str) -> None:
        with closing(FileLocks(path.parent / "processes")):
            refused = self.run(path, url)
        assert refused.returncode == 1
        assert "A service is running on" in refused.stderr
        done = self.run(path, url)
        assert done.returncode == 0, done.stderr
        assert "     2,501 history\n" in done.stdout

    def test_says_why_it_cannot_and_shows_no_password(self, path: Path) -> None:
        away = self.run(path, "postgresql://u:secret@127.0.0.1:1/d")
        assert away.returncode == 1
        assert "PostgreSQL does not answer" in away.stderr
        assert "Nothing was moved" in away.stderr
        assert "secret" not in away.stderr + away.stdout
